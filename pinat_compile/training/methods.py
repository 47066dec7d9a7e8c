"""What each method does to the chips that a batch runs on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from pinat_compile.physics.randomness import Key, generator, normal, uniform
from pinat_compile.simulator.conditions import TRAINING_CHIPS, Conditions
from pinat_compile.simulator.module import Simulator
from pinat_compile.simulator.noise import BankNoise
from pinat_compile.training.noise import OutputNoise, SampleNoise, WeightNoise
from pinat_compile.training.settings import Settings
from pinat_compile.training.severity import severities


def virtual_chips(
    simulator: Simulator, settings: Settings, step: int, sizes: Sequence[int], done: float = 0.0
) -> list[Simulator]:
    """The chips that share batch number ``step``, as views of ``simulator``, one for each part of ``sizes`` samples.

    ``done``: the share of training that lies behind.
    """
    key = Key(("training", settings.seed, step))
    strengths = severities(settings, key, done)
    return [
        _chip(simulator, settings, key, step, index, strengths[index], size) for index, size in enumerate(sizes)
    ]


def _chip(
    simulator: Simulator, settings: Settings, key: Key, step: int, index: int, severity: float, size: int
) -> Simulator:
    if settings.noise == "chips":
        number = training_chip(settings, step, index)
        return on_chip(simulator, settings, number, severity, key.at("read", index), _time_s(simulator, settings, key))
    analog = None if settings.on_arrays else ()
    chip = simulator.view(replace(simulator.conditions, chip=None), analog=analog)
    source = generator(key.at("noise", index), settings.device)
    if settings.noise == "outputs":
        deviations = deviations_of(settings, key.at("deviation", index), size) if settings.theta else None
        chip.alter = OutputNoise(chip, settings.eta * severity, deviations, source)
    elif settings.noise == "weights" and settings.theta:
        deviations = severity * deviations_of(settings, key.at("deviation", index), size)
        chip.alter = SampleNoise(chip, settings, deviations.to(settings.device), source)
    elif settings.noise == "weights":
        chip.disturb = WeightNoise(chip, settings.eta * severity, settings.eta_of == "layer", source)
    return chip


def on_chip(
    simulator: Simulator, settings: Settings, number: int, severity: float, key: Key, time_s: float | None = None
) -> Simulator:
    """Chip ``number`` of the target, its read noise from places of the bank that ``key`` draws."""
    now = simulator.conditions
    chip = simulator.view(
        Conditions(
            chip=number,
            time_s=now.time_s if time_s is None else time_s,
            temperature_k=now.temperature_k,
            severity=severity,
        )
    )
    chip.noise = BankNoise(key)
    chip.sigma_gradient = settings.sigma_gradient
    return chip


def deviations_of(settings: Settings, key: Key, size: int) -> Tensor:
    """|N(alpha, theta²)| for each of ``size`` samples (Wang et al., arXiv 2503.16183)."""
    return (settings.alpha + settings.theta * normal(key, (size,))).abs()


def _time_s(simulator: Simulator, settings: Settings, key: Key) -> float | None:
    """Log-uniform from the simulator's own time to ``latest_s``."""
    first = simulator.conditions.time_s
    if settings.latest_s is None or settings.latest_s <= first or first <= 0.0:
        return None
    share = float(uniform(key.at("time"), (1,)))
    return first * math.exp(share * math.log(settings.latest_s / first))


def training_chip(settings: Settings, step: int, index: int) -> int:
    """The number of a training chip: one that no evaluation uses, another one for every batch and seed."""
    return TRAINING_CHIPS + (settings.seed << 32) + step * settings.chips_per_batch + index
