"""How good the present values are: accuracy of held-out samples on validation chips."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from pinat_compile.compiler.compiled import Compiled
from pinat_compile.data import Dataset
from pinat_compile.data.classes import class_axis
from pinat_compile.data.dataset import Batch
from pinat_compile.simulator.conditions import VALIDATION_CHIPS
from pinat_compile.simulator.module import Simulator
from pinat_compile.training.losses import check_labels, cosines, wanted
from pinat_compile.training.ranks import Ranks

BATCH = 256

Judge = Callable[[Compiled, Mapping[str, Tensor], Batch], Tensor]
"""A score for each output of a batch."""


@torch.no_grad()
def validated(
    compiled: Compiled,
    simulator: Simulator,
    data: Dataset,
    chips: int,
    *,
    severities: Sequence[float] = (1.0,),
    values: bool = False,
    device: str = "cpu",
    ranks: Ranks | None = None,
) -> list[float]:
    """Mean accuracy (without labels: agreement with the original network) over the validation chips, by severity.

    ``values``: the network gives values, not scores of classes; mean cosine similarity to what is wanted.
    ``simulator`` gives the values; its mode is left as it was found. No ``chips``: in floating point, without arrays.
    ``ranks``: processes that share the chips among them; the result is the same in all.
    """
    training = simulator.training
    simulator.eval()
    judge, shared = _close if values else _right, ranks or Ranks()
    found = [_accuracy(compiled, _chips(simulator, chips, m), data, judge, device, shared) for m in severities]
    simulator.train(training)
    return found


def _accuracy(
    compiled: Compiled, chips: Sequence[Simulator], data: Dataset, judge: Judge, device: str, ranks: Ranks
) -> float:
    """The mean score over all of ``chips``, of which this process runs its share."""
    scores = [
        judge(compiled, chip.run({n: torch.from_numpy(x).to(device) for n, x in batch.inputs.items()}), batch)
        for chip in ranks.mine(chips)
        for batch in data.batches(BATCH)
    ]
    total, count = ranks.totals([float(sum(s.sum() for s in scores)), sum(s.numel() for s in scores)], device)
    return total / count


def _right(compiled: Compiled, found: Mapping[str, Tensor], batch: Batch) -> Tensor:
    """1 for each output of the batch that is right, else 0."""
    outputs = found[compiled.source.outputs[0]].cpu()
    axis = class_axis(outputs.shape, None if batch.labels is None else batch.labels.shape)
    labels = _reference(compiled, batch).argmax(dim=axis) if batch.labels is None else torch.from_numpy(batch.labels)
    check_labels(labels, outputs.movedim(axis, -1).flatten(0, -2))
    return (outputs.argmax(dim=axis) == labels).flatten().double()


def _close(compiled: Compiled, found: Mapping[str, Tensor], batch: Batch) -> Tensor:
    """Cosine similarity of each sample's output to what is wanted."""
    outputs = found[compiled.source.outputs[0]].cpu()
    labels = None if batch.labels is None else torch.from_numpy(batch.labels)
    return cosines(outputs, wanted(outputs, labels, _reference(compiled, batch))).double()


def _reference(compiled: Compiled, batch: Batch) -> Tensor:
    return torch.from_numpy(compiled.reference.run(batch.inputs)[compiled.source.outputs[0]])


def _chips(simulator: Simulator, count: int, severity: float) -> list[Simulator]:
    if not count:
        return [simulator.view(replace(simulator.conditions, chip=None), analog=())]
    now = simulator.conditions
    return [
        simulator.view(replace(now, chip=VALIDATION_CHIPS + number, severity=severity)) for number in range(count)
    ]
