"""What a network's output is judged by: one score per sample, whose mean is the figure."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pinat_compile.data.classes import class_axis
from pinat_compile.errors import DataError, OptionError
from pinat_compile.graph import Array

Scores = npt.NDArray[np.float64]

Score = Callable[[Array, Array], Scores]
"""(outputs [n, ...], expected [n, ...]) -> one score per sample [n]."""


@dataclass(frozen=True, slots=True)
class Metric:
    """``score`` of outputs against the labels (``against="labels"``) or against the reference's outputs."""

    name: str
    score: Score
    against: str
    higher_is_better: bool = True


NAMES = ("top1", "agreement", "mse", "psnr", "cosine")

HINT = f"metrics: {', '.join(NAMES)}, or module:function"


def metric_for(name: str | None, labels: Array | None, outputs: Array, where: str) -> Metric:
    """The metric called ``name``, checked against the data: ``labels`` (all of them) and one batch of ``outputs``.

    ``None`` chooses: top1 with class numbers, mse with other labels, agreement without labels.
    mse, psnr, cosine and ``module:function`` compare with labels of the outputs' shape where there are such, else with
    the reference's outputs. ``where`` names the data in messages. Raises DataError or OptionError.
    """
    if name is None:
        name = "agreement" if labels is None else "top1" if _is_integer(labels) else "mse"
    if name == "top1":
        check_classes(labels, outputs, where)
        return Metric("top1", _top(1), "labels")
    if name == "agreement":
        if outputs.ndim < 2 or outputs.shape[class_axis(outputs.shape)] < 2:
            raise DataError(
                f"metric agreement: the network's output {list(outputs.shape)} holds no scores of classes",
                hint="--metric mse, psnr or cosine compare values",
            )
        return Metric("agreement", _agreement, "reference")
    against = "labels" if labels is not None and not _is_integer(labels) else "reference"
    if labels is not None and against == "labels" and labels.shape[1:] != outputs.shape[1:]:
        raise DataError(
            f"{where}: a label has shape {list(labels.shape[1:])}, the network's output {list(outputs.shape[1:])}",
            hint="class numbers are whole numbers: save y.astype(int); else give labels of the output's shape, or "
            "none: then the reference's outputs are compared with",
        )
    if name in _VALUES:
        score, higher = _VALUES[name]
        return Metric(name, score, against, higher)
    if ":" in name:
        return Metric(name, _users(name), "reference" if labels is None else "labels")
    raise OptionError(f"unknown metric {name!r}", hint=HINT)


def check_classes(labels: Array | None, outputs: Array, where: str) -> None:
    """DataError unless ``labels`` are class numbers of the classes that ``outputs`` scores."""
    if labels is None:
        raise DataError(f"{where}: it has no labels for metric top1", hint="give labels as y, or --metric agreement")
    if not _is_integer(labels):
        hint = "save class numbers as whole numbers, y.astype(int); --metric mse compares values"
        raise DataError(f"{where}: labels are {labels.dtype}, not class numbers", hint=hint)
    if outputs.ndim < 2 or labels.ndim != outputs.ndim - 1:
        raise DataError(
            f"{where}: labels of shape {list(labels.shape[1:])} per sample do not fit the network's output "
            f"{list(outputs.shape[1:])}",
            hint="class numbers need one score per class; --metric mse compares values",
        )
    classes = outputs.shape[class_axis(outputs.shape, labels.shape)]
    wrong = np.flatnonzero((labels.reshape(len(labels), -1) < 0).any(axis=1) | _above(labels, classes))
    if len(wrong):
        first = int(wrong[0])
        bad = labels[first].reshape(-1)
        value = int(bad[(bad < 0) | (bad >= classes)][0])
        raise DataError(
            f"{where}: sample {first} has label {value}, the network has {classes} classes (0 to {classes - 1})",
            hint="number classes from 0, and check that data and network belong together",
        )


def top5_of(outputs: Array, labels: Array) -> Scores | None:
    """Per sample the share of labels among the five largest scores; None with five classes or fewer."""
    return None if outputs.shape[class_axis(outputs.shape, labels.shape)] <= 5 else _top(5)(outputs, labels)


def _is_integer(labels: Array) -> bool:
    return labels.dtype.kind in "iub"


def _above(labels: Array, classes: int) -> npt.NDArray[np.bool_]:
    return np.asarray((labels.reshape(len(labels), -1) >= classes).any(axis=1))


def _per_sample(values: Array) -> Scores:
    """The mean of each sample's values: [n, ...] → [n]."""
    return np.asarray(values.reshape(len(values), -1).mean(axis=1, dtype=np.float64))


# --- scores ---


def _top(count: int) -> Score:
    def score(outputs: Array, labels: Array) -> Scores:
        scores = np.moveaxis(outputs, class_axis(outputs.shape, labels.shape), -1)  # [n, ..., classes]
        if count == 1:
            return _per_sample(scores.argmax(axis=-1) == labels)
        best = np.argpartition(scores, -count, axis=-1)[..., -count:]
        return _per_sample((best == labels[..., None]).any(axis=-1))

    return score


def _agreement(outputs: Array, reference: Array) -> Scores:
    axis = class_axis(reference.shape)
    return _per_sample(outputs.argmax(axis=axis) == reference.argmax(axis=axis))


def _mse(outputs: Array, expected: Array) -> Scores:
    return _per_sample(np.square(outputs.astype(np.float64) - expected))


def _psnr(outputs: Array, expected: Array) -> Scores:
    """10 log10(range² / mse), in dB; range is the largest minus the smallest expected value of a sample."""
    flat = expected.reshape(len(expected), -1).astype(np.float64)
    peak = flat.max(axis=1) - flat.min(axis=1)
    with np.errstate(divide="ignore"):
        return np.asarray(20.0 * np.log10(peak) - 10.0 * np.log10(_mse(outputs, expected)))


def _cosine(outputs: Array, expected: Array) -> Scores:
    a, b = (x.reshape(len(x), -1).astype(np.float64) for x in (outputs, expected))
    norm = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray((a * b).sum(axis=1) / np.where(norm > 0, norm, 1.0))


_VALUES: dict[str, tuple[Score, bool]] = {"mse": (_mse, False), "psnr": (_psnr, True), "cosine": (_cosine, True)}


def _users(name: str) -> Score:
    """The user's ``module:function(outputs, expected)``: one score per sample, more is better."""
    function = _imported(name)

    def score(outputs: Array, expected: Array) -> Scores:
        try:
            found = np.asarray(function(outputs, expected), dtype=np.float64)
        except (Exception, SystemExit) as error:
            raise OptionError(
                f"metric {name}: it raised {type(error).__name__}: {error}",
                hint="it takes (outputs, expected) of a batch and returns one number per sample",
            ) from error
        if not np.isfinite(found).all():
            raise OptionError(f"metric {name}: gave a score that is not finite", hint="clip it to what it may be")
        if found.shape != (len(outputs),):
            raise OptionError(
                f"metric {name}: gave shape {list(found.shape)} for {len(outputs)} samples",
                hint="it takes (outputs, expected) of a batch and returns one number per sample",
            )
        return found

    return score


def _imported(name: str) -> Callable[[Array, Array], npt.ArrayLike]:
    module_name, _, function_name = name.partition(":")
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        function = getattr(importlib.import_module(module_name), function_name, None)
    except (Exception, SystemExit) as error:
        what = f"{type(error).__name__}: {error}"
        raise OptionError(f"metric {name}: {what}", hint="run in the module's folder, or install it") from error
    finally:
        sys.path.remove(here)
    if not callable(function):
        raise OptionError(f"metric {name}: module {module_name} has no function {function_name}", hint=HINT)
    return function  # type: ignore[no-any-return]
