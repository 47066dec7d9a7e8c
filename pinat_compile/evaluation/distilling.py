"""Distilling a chip's digital affine: scales and offsets learn from the original network's outputs, on the chip.

What moment matching finds layer by layer is the start; here all layers move together, towards the outputs, through the
chip as it is: programmed once, read noise fresh in every pass, straight through its converters. The chip's cells and
the plan stay. Unlabelled samples are enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from pinat_compile.data.classes import class_axis
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.simulator.deployment import Deployment
from pinat_compile.simulator.module import Simulator
from pinat_compile.training.losses import softened

PASSES = 10
"""Passes over the samples."""
BATCH = 50
RATE = 0.01
"""Of Adam; scales start near 1, offsets are in units of their layer's deviation."""
TAU = 4.0


@dataclass(frozen=True, slots=True)
class Distilled:
    """Scales and offsets by node, and the loss of the first and of the last pass."""

    scales: dict[str, Tensor]
    offsets: dict[str, Tensor]
    before: float
    after: float


def distilled(
    chip: Simulator, made: Deployment, batches: Sequence[dict[str, Tensor]], taught: Sequence[Tensor]
) -> Distilled:
    """Train the affine of every layer of ``chip``, from what ``made`` holds; ``taught``: wanted outputs of batches."""
    scales, offsets, units = _start(chip, made, batches[0])
    optimiser = torch.optim.Adam([*scales.values(), *offsets.values()], lr=RATE)
    steps, losses = PASSES * len(batches), []
    with torch.enable_grad():
        for step in range(steps):
            for group in optimiser.param_groups:
                group["lr"] = RATE * (1.0 - step / steps)
            moved = {name: offset * units[name] for name, offset in offsets.items()}
            held = chip.view(chip.conditions, deployment=replace(made, scales=scales, offsets=moved))
            held.seed, held.next_sample = chip.seed, step * BATCH
            held.share_programmed(chip)
            outputs = held.run(batches[step % len(batches)])[chip.graph.outputs[0]]
            loss = _loss(outputs, taught[step % len(batches)])
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimiser.step()
            losses.append(float(loss.detach()))
    ends = losses[: len(batches)], losses[-len(batches) :]
    return Distilled(
        {name: scale.detach() for name, scale in scales.items()},
        {name: (offset * units[name]).detach() for name, offset in offsets.items()},
        *(sum(end) / len(end) for end in ends),
    )


def _start(
    chip: Simulator, made: Deployment, inputs: dict[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """Scales, offsets in units of each layer's deviation, and those units [1]; by node."""
    nodes = [node for node in chip.graph.nodes if isinstance(node.op, ArrayMvm)]
    outputs = chip.run(inputs, record=[node.outputs[0] for node in nodes])
    scales, offsets, units = {}, {}, {}
    for node in nodes:
        assert isinstance(node.op, ArrayMvm)
        y = outputs[node.outputs[0]]
        size = chip.graph.matrices[node.op.matrix].outputs
        unit = y.std().clamp(min=1e-6).reshape(1)
        scale, offset = made.scales.get(node.name), made.offsets.get(node.name)
        ones, zeros = (torch.full((size,), value, device=y.device) for value in (1.0, 0.0))
        scales[node.name] = (ones if scale is None else scale.to(y)).clone().requires_grad_(True)
        offsets[node.name] = (zeros if offset is None else offset.to(y) / unit).clone().requires_grad_(True)
        units[node.name] = unit
    return scales, offsets, units


def _loss(outputs: Tensor, taught: Tensor) -> Tensor:
    """Softened KL where there are classes, else the mean square error relative to the power wanted."""
    axis = class_axis(outputs.shape)
    if outputs.ndim > 1 and outputs.shape[axis] > 1:
        pair = [x.movedim(axis, -1).flatten(0, -2) for x in (outputs, taught)]
        return softened(pair[0], pair[1], TAU)
    return F.mse_loss(outputs, taught) / taught.square().mean().clamp(min=1e-12)
