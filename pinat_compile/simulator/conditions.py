"""Which chip, and under which conditions."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pinat_compile.errors import OptionError

VALIDATION_CHIPS = 100_000
"""Chips from here are for validation; those below are for testing."""
MOST_READS = 1000
"""How often a product may be read to be averaged."""
LARGEST = 1e12
"""Seconds, kelvin and severity, at most: far beyond what is sensible, and far from what overflows."""
TRAINING_CHIPS = 1_000_000
"""Chips from here are for training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GainDrift:
    """How far the gains of all column amplifiers have drifted since the chip was calibrated, at severity 1.

    ``common``: the largest relative change that all columns share, one uniform draw per chip, as from supply or heat.
    ``per_column``: the relative standard deviation of each column's own, Gaussian. An assumed size, not a measured one.
    """

    common: float = 0.10
    per_column: float = 0.03

    def __post_init__(self) -> None:
        for name in ("common", "per_column"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise OptionError(f"gain drift: {name} = {value}: must be 0 to 1", hint="0.1 is 10 %")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """A chip (``None``: ideal devices), seconds since programming, kelvin, and a multiplier on every deviation.

    ``gain_drift``: of the columns' amplifiers, since the chip was calibrated; multiplied by ``severity`` like the rest.
    ``reads``: how often each matrix-vector product is read; the codes are averaged, and what is fresh in a read with
    them.
    """

    chip: int | None
    time_s: float
    temperature_k: float = 300.0
    severity: float = 1.0
    gain_drift: GainDrift | None = None
    reads: int = 1

    def __post_init__(self) -> None:
        if self.chip is not None and self.chip < 0:
            raise OptionError(f"chip = {self.chip}: chips are numbered from 0", hint="for example --chip 0")
        if not 0.0 <= self.time_s <= LARGEST:
            what = f"time = {self.time_s} s: a time after programming is 0 to {LARGEST:g} s"
            raise OptionError(what, hint="for example 1h")
        if not 0.0 < self.temperature_k <= LARGEST:
            what = f"temperature = {self.temperature_k} K: must be above 0, at most {LARGEST:g}"
            raise OptionError(what, hint="for example 300")
        if not 1 <= self.reads <= MOST_READS:
            raise OptionError(f"reads = {self.reads}: expected 1 to {MOST_READS:,}", hint="1 is the default")
        if not 0.0 <= self.severity <= LARGEST:
            raise OptionError(f"severity = {self.severity}: must be 0 to {LARGEST:g}", hint="1 is nominal")


def check_device(name: str | None) -> str:
    """The device's name, cpu for ``None``; OptionError where torch does not have it."""
    import torch

    try:
        torch.zeros(1, device=name or "cpu").cpu()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise OptionError(f"--device {name}: {reason}", hint="cpu, or cuda where torch finds a GPU") from None
    return name or "cpu"


_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "y": 365.25 * 86400.0}


def seconds(time: str | float) -> float:
    """Seconds from a number or a text such as ``"1s"``, ``"30min"``, ``"1h"``, ``"30d"``, ``"1y"``."""
    if not isinstance(time, str):
        return float(time)
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?(?:e[-+]?\d+)?)\s*([a-z]*)\s*", time.lower())
    if match is None or match[2] not in _UNITS:
        raise OptionError(f"time {time!r}: not a time after programming", hint="for example 1s, 30min, 1h, 30d or 1y")
    return float(match[1]) * _UNITS[match[2]]
