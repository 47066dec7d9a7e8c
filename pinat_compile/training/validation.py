"""How good the present values are: accuracy of held-out samples on validation chips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from pinat_compile.compiler.compiled import Compiled
from pinat_compile.data import Dataset
from pinat_compile.data.classes import class_axis
from pinat_compile.simulator.conditions import VALIDATION_CHIPS
from pinat_compile.simulator.module import Simulator
from pinat_compile.training.losses import check_labels

BATCH = 256


@torch.no_grad()
def validated(
    compiled: Compiled,
    simulator: Simulator,
    data: Dataset,
    chips: int,
    *,
    severities: Sequence[float] = (1.0,),
    device: str = "cpu",
) -> list[float]:
    """Mean accuracy (without labels: agreement with the original network) over the validation chips, by severity.

    ``simulator`` gives the values; its mode is left as it was found. No ``chips``: in floating point, without arrays.
    """
    training = simulator.training
    simulator.eval()
    found = [_accuracy(compiled, simulator, data, chips, severity, device) for severity in severities]
    simulator.train(training)
    return found


def _accuracy(
    compiled: Compiled, simulator: Simulator, data: Dataset, chips: int, severity: float, device: str
) -> float:
    right = total = 0
    for chip in _chips(simulator, chips, severity):
        for batch in data.batches(BATCH):
            inputs = {name: torch.from_numpy(value).to(device) for name, value in batch.inputs.items()}
            outputs = chip.run(inputs)[chip.graph.outputs[0]].cpu()
            axis = class_axis(outputs.shape, None if batch.labels is None else batch.labels.shape)
            found = outputs.argmax(dim=axis)
            if batch.labels is not None:
                wanted = torch.from_numpy(batch.labels)
            else:
                reference = compiled.reference.run(batch.inputs)[compiled.source.outputs[0]]
                wanted = torch.from_numpy(reference).argmax(dim=axis)
            check_labels(wanted, outputs.movedim(axis, -1).flatten(0, -2))
            right += int((found == wanted).sum())
            total += wanted.numel()
    return right / total


def _chips(simulator: Simulator, count: int, severity: float) -> list[Simulator]:
    if not count:
        return [simulator.view(replace(simulator.conditions, chip=None), analog=())]
    now = simulator.conditions
    return [
        simulator.view(replace(now, chip=VALIDATION_CHIPS + number, severity=severity)) for number in range(count)
    ]
