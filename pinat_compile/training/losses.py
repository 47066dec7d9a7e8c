"""What a batch is judged by while training: labels, the original network's outputs, agreement between chips."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from pinat_compile.data.classes import class_axis
from pinat_compile.errors import DataError
from pinat_compile.training.settings import Settings


def task_loss(settings: Settings, outputs: Tensor, labels: Tensor | None, taught: Tensor | None) -> Tensor:
    """(1 - kappa) CE + kappa tau² KL; CE alone with ``ce``, KL alone without labels. A mean over samples.

    With ``mse`` the mean square of the error, with ``cosine`` 1 - cosine similarity. ``taught``: the original network's
    outputs; may be ``None`` with ``ce``.
    """
    if settings.loss in ("mse", "cosine"):
        values = wanted(outputs, labels, taught)
        if settings.loss == "mse":
            return F.mse_loss(outputs, values)
        return 1 - cosines(outputs, values).mean()
    axis = class_axis(outputs.shape, None if labels is None else labels.shape)
    outputs = outputs.movedim(axis, -1).flatten(0, -2)
    if settings.loss == "ce":
        if labels is None:
            raise DataError("fine-tuning: loss ce needs labels, the data have none", hint="use --loss distill")
        return _cross_entropy(outputs, labels)
    assert taught is not None
    soft = softened(outputs, taught.movedim(axis, -1).flatten(0, -2), settings.tau)
    if labels is None:
        return soft
    return (1 - settings.kappa) * _cross_entropy(outputs, labels) + settings.kappa * soft


def softened(outputs: Tensor, taught: Tensor, tau: float) -> Tensor:
    """tau² KL(teacher || student) of softened outputs [n, classes] (Hinton et al., arXiv 1503.02531, section 2)."""
    student, teacher = (F.log_softmax(x / tau, dim=-1) for x in (outputs, taught))
    return F.kl_div(student, teacher, reduction="batchmean", log_target=True) * tau**2


def divergence(a: Tensor, b: Tensor) -> Tensor:
    """Mean of both KL divergences between two noisy passes of the same samples (Liang et al., arXiv 2106.14448)."""
    axis = class_axis(a.shape)
    p, q = (F.log_softmax(x.movedim(axis, -1).flatten(0, -2), dim=-1) for x in (a, b))
    forth = F.kl_div(p, q, reduction="batchmean", log_target=True)
    return 0.5 * (forth + F.kl_div(q, p, reduction="batchmean", log_target=True))


def wanted(outputs: Tensor, labels: Tensor | None, taught: Tensor | None) -> Tensor:
    """The values that outputs [n, ...] should be: ``labels`` where they are values, else the original network's.

    DataError for labels of another shape.
    """
    if labels is None or not labels.is_floating_point():
        assert taught is not None
        return taught
    if labels.shape != outputs.shape:
        found = f"{list(labels.shape[1:])} per sample, the network's output {list(outputs.shape[1:])}"
        raise DataError(f"fine-tuning: labels have shape {found}", hint="give labels of the output's shape, or none")
    return labels.to(outputs.dtype)


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of the angle between the values of each sample: [n, ...] twice → [n]."""
    return F.cosine_similarity(a.flatten(1), b.flatten(1), dim=1)


def _cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    check_labels(labels, outputs)
    return F.cross_entropy(outputs, labels.reshape(-1))


def check_labels(labels: Tensor, outputs: Tensor) -> None:
    """DataError unless there is one class number for each row of ``outputs`` [n, classes]."""
    hint = "give one class number from 0 per output, or data without labels to learn from the original network"
    if labels.is_floating_point() or labels.is_complex():
        raise DataError("fine-tuning: labels are not whole numbers", hint=hint)
    if labels.numel() != len(outputs):
        raise DataError(f"fine-tuning: {labels.numel()} labels for {len(outputs)} outputs of a batch", hint=hint)
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < outputs.shape[-1]:
        found = f"from {int(labels.min())} to {int(labels.max())}"
        raise DataError(f"fine-tuning: labels {found}, but the network has {outputs.shape[-1]} outputs", hint=hint)
