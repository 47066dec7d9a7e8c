"""A cost: energy by component, in joules. Values sum with ``+`` and scale with ``*``; what was not counted is None."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

COMPONENTS = (
    "array", "laser", "modulator", "detector", "dac", "adc", "sample_hold", "shift_add", "registers", "digital",
    "buffer", "bus", "link", "io", "reload", "heaters", "leakage",
)  # fmt: skip
"""The parts of an inference's energy, in the order of the report.

The first nine belong to tiles of a matrix. ``laser``, ``modulator``, ``detector`` and ``heaters``, which hold phases
from one sample to the next, are those of optics. ``bus``: between a tile's buffer and its cores; ``link``: between
tiles; ``io``: onto and off the chips; ``reload``: writing arrays anew in every inference; ``leakage``: of the arrays'
share of the chip over the interval from one sample to the next.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Joules per component of one inference, and of writing the arrays once; busy seconds; mm².

    ``None``: does not apply, or is not counted because the target has no constant for it. None + None stays None;
    None + x is x.
    """

    array: float | None = None
    laser: float | None = None
    modulator: float | None = None
    detector: float | None = None
    dac: float | None = None
    adc: float | None = None
    sample_hold: float | None = None
    shift_add: float | None = None
    registers: float | None = None
    digital: float | None = None
    buffer: float | None = None
    bus: float | None = None
    link: float | None = None
    io: float | None = None
    reload: float | None = None
    heaters: float | None = None
    leakage: float | None = None
    write: float | None = None
    latency_s: float | None = None
    area_mm2: float | None = None

    @property
    def energy_total(self) -> float | None:
        """Sum of the inference's components (writing is not one of them); None where none was counted."""
        counted: list[float] = [value for name in COMPONENTS if (value := getattr(self, name)) is not None]
        return sum(counted) if counted else None

    @property
    def energy_j(self) -> dict[str, float | None]:
        """``total``, then every component, as in the report."""
        return {"total": self.energy_total, **{name: getattr(self, name) for name in COMPONENTS}}

    def __add__(self, other: Cost) -> Cost:
        def add(name: str) -> float | None:
            a: float | None = getattr(self, name)
            b: float | None = getattr(other, name)
            return b if a is None else a if b is None else a + b

        return _each(add)

    def __radd__(self, other: int) -> Cost:
        """So that the builtin ``sum`` works; it starts at 0."""
        return self

    def __mul__(self, times: float) -> Cost:
        def scale(name: str) -> float | None:
            value: float | None = getattr(self, name)
            return None if value is None else value * times

        return _each(scale)

    __rmul__ = __mul__


def _each(value_of: Callable[[str], float | None]) -> Cost:
    return Cost(**{item.name: value_of(item.name) for item in fields(Cost)})
