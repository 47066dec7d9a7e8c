"""How strong the noise of a step is: schedules of severity over the chips of a batch and over training."""

from __future__ import annotations

from pinat_compile.physics.randomness import Key, normal, uniform
from pinat_compile.training.settings import Settings

SPAN = 2.2
"""``uniform`` severities reach this many times the setting."""
GRID = 32
"""Severities are multiples of 1 / 32, so that a stock of devices (`physics.stock`) serves again."""
SPREAD = 0.5
"""Deviation of ``normal`` severities, as a share of the setting."""
RAMP = 0.5
"""Share of the steps over which ``ramp`` grows (Rasch et al., Nature Communications 14, 5282 (2023) ramp noise in)."""


def severities(settings: Settings, key: Key, done: float) -> list[float]:
    """One severity per chip of a batch; ``done``: the share of training that lies behind, from 0 to 1."""
    return [round(strength * GRID) / GRID for strength in _severities(settings, key, done)]


def _severities(settings: Settings, key: Key, done: float) -> list[float]:
    count, m = settings.chips_per_batch, settings.severity
    if settings.severity_schedule == "uniform":
        spread = uniform(key.at("severity"), (count,)).tolist()
        return [m * SPAN * (index + spread[index]) / count for index in range(count)]
    if settings.severity_schedule == "normal":
        return [m * abs(1.0 + SPREAD * draw) for draw in normal(key.at("severity"), (count,)).tolist()]
    share = min(1.0, done / RAMP) if settings.severity_schedule == "ramp" else 1.0
    return [m * share] * count
