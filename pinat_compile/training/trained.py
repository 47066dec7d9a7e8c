"""What fine-tuning moves, and how: parameters, rates, projection, running means."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.physics.optics.technology import technology_of
from pinat_compile.simulator.module import Simulator
from pinat_compile.simulator.optical import weight_of_parameters
from pinat_compile.training.settings import Settings

INSIDE = 1.0 - 2.0**-20
"""Weights are kept this share inside what cells can hold: at the limit itself rounding would stop their gradient."""


def trained_parameters(simulator: Simulator, settings: Settings) -> dict[str, nn.Parameter]:
    """What is trained: weights (on optics what is set in their place), gains and biases, and converters' ranges."""
    names: dict[str, None] = {}
    for _, node in simulator.graph.walk():
        if isinstance(node.op, ArrayMvm):
            matrix = simulator.graph.matrices[node.op.matrix]
            names.update(dict.fromkeys((matrix.primary, *node.inputs[1:])))
    if settings.learn_ranges:
        names.update(dict.fromkeys(sorted(range_names(simulator))))
    parameters = simulator.parameter_names()
    chosen = {name: parameters[name] for name in names}
    for parameter in chosen.values():
        parameter.requires_grad_(True)
    return chosen


def range_names(simulator: Simulator) -> set[str]:
    """The tensors that hold converter ranges."""
    return {name for matrix in simulator.graph.matrices.values() for name in matrix.range_names}


def optical_names(simulator: Simulator) -> set[str]:
    """The tensors that hold the parameters of optics."""
    held = (matrix.ranges for matrix in simulator.graph.matrices.values())
    return {ranges.parameters for ranges in held if ranges is not None and ranges.parameters is not None}


def optical_weights(simulator: Simulator) -> dict[str, Tensor]:
    """What the parameters of optics stand for now: weights by the names of their tensors."""
    matrices = [matrix for matrix in simulator.graph.matrices.values() if matrix.primary != matrix.weight]
    return {m.weight: weight_of_parameters(simulator.arrays(m.name), simulator.value) for m in matrices}


@torch.no_grad()
def project(simulator: Simulator, trained: Mapping[str, Tensor], *, weights: bool) -> None:
    """Ranges above zero, and ``weights`` back into what cells can hold."""
    for matrix in simulator.graph.matrices.values():
        weight = trained.get(matrix.weight)
        if not weights or weight is None or matrix.cells is None or matrix.ranges is None:
            continue
        limit = simulator.value(matrix.ranges.weight_scale) * matrix.cells.weight_max  # [outputs]
        shaped = limit if matrix.view == "in_out" else limit.reshape(-1, *(1,) * (weight.ndim - 1))
        weight.clamp_(-shaped * INSIDE, shaped * INSIDE)
    for name in range_names(simulator):
        if name in trained:
            trained[name].clamp_(min=torch.finfo(torch.float32).tiny)


@dataclass
class Optimiser:
    """Adam with decoupled decay, or SGD with Nesterov momentum; the rate of a step follows from its number alone."""

    optimiser: torch.optim.Optimizer
    settings: Settings
    steps: int

    @classmethod
    def of(cls, simulator: Simulator, trained: Mapping[str, nn.Parameter], settings: Settings, steps: int) -> Optimiser:
        """For ``steps`` steps; each range is a group of its own, with a rate relative to its size, as are the
        parameters of a matrix on optics, with a rate relative to their span."""
        ranges, rate = range_names(simulator), settings.learning_rate
        optics = optical_names(simulator)
        plain = [p for n, p in trained.items() if n not in ranges and n not in optics]
        groups: list[dict[str, Any]] = [{"params": plain, "base": rate}]
        for name in sorted(optics.intersection(trained)):
            unit = technology_of(simulator.target).unit
            groups.append({"params": [trained[name]], "base": rate * unit, "weight_decay": 0.0})
        for name in ranges.intersection(trained):
            size = float(trained[name].detach().abs().mean())
            groups.append({"params": [trained[name]], "base": rate * settings.range_rate * size, "weight_decay": 0.0})
        groups[1:] = sorted(groups[1:], key=lambda group: _place(trained, group["params"][0]))
        decay, momentum = settings.weight_decay, settings.momentum
        made: torch.optim.Optimizer
        if settings.optimiser == "sgd":
            nesterov = momentum > 0
            made = torch.optim.SGD(groups, lr=rate, momentum=momentum, weight_decay=decay, nesterov=nesterov)
        else:
            made = torch.optim.AdamW(groups, lr=rate, betas=(momentum, 0.999), weight_decay=decay)
        return cls(made, settings, steps)

    def step(self, number: int) -> None:
        """Step ``number``, from 0, with the gradients that are there."""
        for group in self.optimiser.param_groups:
            group["lr"] = group["base"] * self.share(number)
        self.optimiser.step()

    def share(self, number: int) -> float:
        """The rate of step ``number`` as a share of the setting."""
        warm = max(1, int(self.steps * self.settings.warmup))
        if number < warm:
            return (number + 1) / warm
        done = (number - warm) / max(1, self.steps - warm)
        if self.settings.schedule == "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * done))
        return 1.0 - done if self.settings.schedule == "linear" else 1.0

    # --- as tensors, for checkpoints ---

    def tensors(self) -> dict[str, Tensor]:
        """The optimiser's memory by ``parameter/quantity``."""
        state = self.optimiser.state_dict()["state"]
        return {f"{i}/{key}": v for i, held in state.items() for key, v in held.items() if isinstance(v, Tensor)}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `tensors`."""
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            index, _, key = name.partition("/")
            state.setdefault(int(index), {})[key] = value
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": state})


def _place(trained: Mapping[str, Tensor], parameter: Tensor) -> int:
    return next(index for index, held in enumerate(trained.values()) if held is parameter)


@torch.no_grad()
def average(mean: dict[str, Tensor], trained: Mapping[str, Tensor], decay: float, step: int) -> None:
    """Move ``mean`` towards ``trained`` in place: an exponential mean whose memory grows over the first steps."""
    keep = min(decay, (1.0 + step) / (10.0 + step))
    for name, value in trained.items():
        mean[name].lerp_(value, 1.0 - keep)
