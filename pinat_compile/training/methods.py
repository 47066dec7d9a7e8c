"""What each method does to the chip that a batch runs on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from pinat_compile.physics.randomness import Key, generator, uniform
from pinat_compile.simulator.arrays import ArrayMatrix, Programmed
from pinat_compile.simulator.conditions import TRAINING_CHIPS, Conditions
from pinat_compile.simulator.module import Simulator
from pinat_compile.simulator.noise import StreamNoise
from pinat_compile.training.settings import Settings

SEVERITY_SPAN = 2.2
"""Severities are uniform from 0 to this many times the setting."""


@dataclass(frozen=True, slots=True)
class WeightNoise:
    """Gaussian noise of ``eta`` times the largest programmable weight on every weight (Joshi et al. 2020)."""

    eta: float
    source: torch.Generator

    def __call__(self, arrays: ArrayMatrix, held: Programmed) -> Programmed:
        cells = arrays.cells
        top = held.weights[:, :, -1:]  # the top slice carries the noise of the whole weight
        sigma = self.eta * cells.weight_max / cells.slice_weights[-1]
        draws = torch.randn(top.shape, generator=self.source, device=top.device, dtype=top.dtype)
        noisy = torch.cat((held.weights[:, :, :-1], top + sigma * draws), dim=2)
        return replace(held, weights=noisy, whole=None)


def virtual_chips(simulator: Simulator, settings: Settings, step: int) -> Iterator[Simulator]:
    """The chips that share batch number ``step``, as views of ``simulator`` in training mode."""
    key = Key(("training", settings.seed, step))
    if settings.method == "nt":
        chip = simulator.view(replace(simulator.conditions, chip=None))
        chip.disturb = WeightNoise(settings.noise, generator(key.at("weights"), settings.device))
        yield chip
        return
    count = settings.chips_per_batch
    spread = uniform(key.at("severity"), (count,)).tolist()
    for index in range(count):
        severity = settings.severity * SEVERITY_SPAN * (index + spread[index]) / count
        conditions = Conditions(
            chip=training_chip(settings, step, index),
            time_s=simulator.conditions.time_s,
            temperature_k=simulator.conditions.temperature_k,
            severity=severity,
        )
        chip = simulator.view(conditions)
        chip.noise = StreamNoise(generator(key.at("read", index), settings.device))
        yield chip


def training_chip(settings: Settings, step: int, index: int) -> int:
    """The number of a training chip: one that no evaluation uses, another one for every batch and seed."""
    return TRAINING_CHIPS + (settings.seed << 32) + step * settings.chips_per_batch + index
