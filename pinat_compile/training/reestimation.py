"""Noise-aware statistics: gains and biases matched to the ideal network over several virtual chips together.

Tsai et al., arXiv 2007.03230, re-estimate the statistics of batch norm under noise; exported networks have theirs
folded, so the digital affine of every output takes that place: each channel's mean and deviation, over chips and
samples, become those of the ideal execution. No chip of an evaluation is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pinat_compile.data import Dataset
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.physics.randomness import Key
from pinat_compile.simulator.conditions import TRAINING_CHIPS
from pinat_compile.simulator.matching import fit
from pinat_compile.simulator.module import Simulator
from pinat_compile.training.methods import on_chip
from pinat_compile.training.settings import Settings

FIRST_CHIP = TRAINING_CHIPS + (1 << 62)
"""Far above the chips of training steps, whatever the seed."""


@torch.no_grad()
def reestimated(simulator: Simulator, ideal: Simulator, data: Dataset, settings: Settings) -> dict[str, Tensor]:
    """New gains and biases, by the names of their tensors, for the network of ``simulator``.

    ``ideal``: the mapped network on ideal devices; with its present values for what was trained, which noise then
    leaves as it is on average.
    """
    inputs = [
        {name: torch.from_numpy(value).to(settings.device) for name, value in batch.inputs.items()}
        for batch in data.spread(settings.reestimate).batches(64)
    ]
    chips = [
        on_chip(
            simulator,
            settings,
            FIRST_CHIP + settings.seed * settings.reestimate_chips + index,
            settings.reestimate_severity,
            Key(("reestimation", settings.seed, index)),
        ).eval()
        for index in range(settings.reestimate_chips)
    ]
    nodes = [node for node in simulator.graph.nodes if isinstance(node.op, ArrayMvm)]
    ours = [run for chip in chips for x in inputs for run in chip.steps(x)]
    theirs = [run for _ in chips for x in inputs for run in ideal.steps(x)]
    matches = fit("moments", ours, theirs, len(nodes))
    found: dict[str, list[Tensor]] = {}
    for node in nodes:
        match = matches[node.name]
        gain, bias = (simulator.value(name) for name in node.inputs[1:])
        found.setdefault(node.inputs[1], []).append(gain * match.scale.to(gain))
        found.setdefault(node.inputs[2], []).append(bias * match.scale.to(bias) + match.offset.to(bias))
    return mean_of(found)


def mean_of(found: Mapping[str, list[Tensor]]) -> dict[str, Tensor]:
    """One value for each tensor: the mean where several nodes share it."""
    return {name: torch.stack(values).mean(dim=0) for name, values in found.items()}
