"""What a target file may say of its devices: one section per effect, all optional but the cell.

Conductances in µS, x = g / g_max. Coefficients are those of a device of ``reference_g_max_us``; standard deviations and
shifts scale with g_max. Polynomials list the constant first. An absent section: the device does not have that effect.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pinat_compile.hardware.checks import NOT_NEGATIVE, POSITIVE, SHARE, Between, Section

Count = Annotated[int, Between(1, 65536)]
Positive = Annotated[float, POSITIVE]
NotNegative = Annotated[float, NOT_NEGATIVE]
Share = Annotated[float, SHARE]
Floats = tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CellSection(Section):
    """One device: the conductances it is programmed to, 2**bits equidistant levels from g_min to g_max.

    ``bits = None``: any conductance in between (a target without quantisation). ``bounded``: no error takes a device
    out of g_min to g_max; else only below 0.
    """

    section: ClassVar[str] = "cell"
    bits: Annotated[int, Between(1, 8)] | None = None
    g_min_us: NotNegative
    g_max_us: Positive
    bounded: bool = False

    def check(self) -> None:
        if self.g_min_us >= self.g_max_us:
            raise self.wrong("g_min_us", f"must lie below cell.g_max_us = {self.g_max_us}")


@dataclass(frozen=True, slots=True)
class Curve:
    """A quantity over x: a polynomial, or below ``below`` (everywhere, if that is ``None``) a clamped logarithm.

    ``log`` = (a, b) and ``range`` = (low, high) stand for clamp(a ln x + b, low, high).
    """

    polynomial: Floats | None
    log: Floats | None
    range: Floats | None
    below: float | None

    def at(self, x: float) -> float:
        if self.log is not None and self.range is not None and (self.below is None or x < self.below):
            value = self.log[0] * math.log(max(x, 1e-7)) + self.log[1]
            return min(max(value, self.range[0]), self.range[1])
        return polynomial(self.polynomial or (0.0,), x)


def polynomial(coefficients: Sequence[float], x: float) -> float:
    return sum(c * x**power for power, c in enumerate(coefficients))


class CurveSection(Section):
    """A section with curves: key ``NAME`` is the polynomial, ``NAME_log``, ``NAME_range``, ``NAME_below`` the rest."""

    __slots__ = ()

    def curve(self, name: str) -> Curve:
        return Curve(*(getattr(self, name + suffix) for suffix in ("", "_log", "_range", "_below")))

    def check_curve(self, name: str) -> None:
        """That the four keys fit together, and that the curve is nowhere below 0."""
        curve = self.curve(name)
        if curve.polynomial is None and curve.log is None:
            raise self.wrong(name, f"give it, or {name}_log and {name}_range")
        if (curve.log is None) != (curve.range is None):
            raise self.wrong(f"{name}_log", f"goes together with {name}_range")
        for key in ("_log", "_range"):
            pair = getattr(self, name + key)
            if pair is not None and len(pair) != 2:
                raise self.wrong(name + key, "must hold two numbers")
        if curve.range is not None and curve.range[0] > curve.range[1]:
            raise self.wrong(f"{name}_range", "the lower bound comes first")
        both = curve.polynomial is not None and curve.log is not None
        if both != (curve.below is not None):
            raise self.wrong(f"{name}_below", f"is where {name}_log ends and {name} begins: give all three or one")
        for step in range(101):
            if curve.at(step / 100) < 0.0:
                why = f"is {curve.at(step / 100):.3g}, below 0, at g = {step / 100:g} g_max"
                raise self.wrong(name if curve.polynomial else f"{name}_log", why)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgrammingSection(Section):
    """Programming error: sigma in µS over the conductance, at one or more times after programming.

    ``coefficients[k]`` belongs to ``times_s[k]``. polynomial: c0, c1, … of x. exponential: sigma = A (1 - e^(-g/B)), A
    and B in µS. Between the times the coefficients are interpolated, linearly in ln t or in t, and held outside them.
    One standard draw per device serves all times: the total deviation from the target grows or shrinks with sigma.
    """

    section: ClassVar[str] = "programming"
    model: Literal["polynomial", "exponential"]
    times_s: Annotated[Floats, NOT_NEGATIVE]
    coefficients: tuple[Floats, ...]
    reference_g_max_us: Positive
    interpolation: Literal["log", "linear"] = "log"

    def check(self) -> None:
        if not self.times_s or any(a >= b for a, b in pairwise(self.times_s)):
            raise self.wrong("times_s", "must hold one or more times, each later than the one before")
        if self.times_s[0] == 0.0 and len(self.times_s) > 1 and self.interpolation == "log":
            raise self.wrong("times_s", "ln 0 does not exist", 'set programming.interpolation = "linear"')
        if len(self.coefficients) != len(self.times_s):
            raise self.wrong("coefficients", f"must hold one list for each of the {len(self.times_s)} times_s")
        if len({len(row) for row in self.coefficients}) != 1 or not self.coefficients[0]:
            raise self.wrong("coefficients", "all lists must have the same length, at least 1", "fill up with zeros")
        for time, row in zip(self.times_s, self.coefficients, strict=True):
            if self.model == "exponential":
                check_exponential(self, row)
                continue
            for step in range(101):
                x = step / 100
                sigma = polynomial(row, x)
                if sigma < 0.0:
                    why = f"sigma is {sigma:.3g} µS, below 0, at g = {x:g} g_max and {time:g} s"
                    raise self.wrong("coefficients", why, "the order is c0, c1, …: the constant comes first")


def check_exponential(section: Section, row: Floats) -> None:
    if len(row) != 2 or row[0] < 0.0 or row[1] <= 0.0:
        raise section.wrong("coefficients", "A (1 - e^(-g/B)) needs A, 0 or more, and B, more than 0, in µS")


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteVerifySection(Section):
    """Write, read back, write again: a device is programmed anew until it is within ``tolerance_us`` of its target.

    The programming section, at one time, then is the error of a single attempt. After ``max_pulses`` attempts the last
    one stays. ``pulse_pj``: energy of an attempt, its verification included.
    """

    section: ClassVar[str] = "write_verify"
    tolerance_us: Positive
    max_pulses: Count
    pulse_pj: NotNegative | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftSection(CurveSection):
    """Power law g (t / t0)^-nu with nu = |mean(x) + std(x) xi| of the target's x, one xi per device for all times.

    No drift until ``t0_s``. ``mean`` and ``std`` are curves: polynomial, clamped logarithm, or one below the other.
    """

    section: ClassVar[str] = "drift"
    model: Literal["power_law"]
    t0_s: Positive
    mean: Floats | None = None
    mean_log: Floats | None = None
    mean_range: Floats | None = None
    mean_below: Share | None = None
    std: Floats | None = None
    std_log: Floats | None = None
    std_range: Floats | None = None
    std_below: Share | None = None

    def check(self) -> None:
        self.check_curve("mean")
        self.check_curve("std")


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaxationSection(Section):
    """An additive change of the conductance after programming.

    logarithmic: from ``t0_s`` on the mean moves by ``mean_log_us`` ln(t / 1 s) and the conductance spreads by
    ``std_us`` + ``std_log_us`` ln(t / 1 s), one standard draw per device for all times; the programming error is that
    of the target. table: the mean moves by ``shifts_us[k][i]`` at ``times_s[k]`` and conductance ``states_us[i]``,
    linear between and held outside; the programming error is that of the moved conductance.
    """

    section: ClassVar[str] = "relaxation"
    model: Literal["logarithmic", "table"]
    reference_g_max_us: Positive
    t0_s: Positive | None = None
    mean_log_us: float | None = None
    std_us: NotNegative | None = None
    std_log_us: NotNegative | None = None
    states_us: Annotated[Floats, NOT_NEGATIVE] | None = None
    times_s: Annotated[Floats, NOT_NEGATIVE] | None = None
    shifts_us: tuple[Floats, ...] | None = None

    def check(self) -> None:
        keys = {
            "logarithmic": ("t0_s", "mean_log_us", "std_us", "std_log_us"),
            "table": ("states_us", "times_s", "shifts_us"),
        }
        check_model(self, keys)
        if self.states_us is None or self.times_s is None or self.shifts_us is None:
            return
        for key, axis in (("states_us", self.states_us), ("times_s", self.times_s)):
            if not axis or any(a >= b for a, b in pairwise(axis)):
                raise self.wrong(key, "must hold one or more numbers, each larger than the one before")
        if len(self.shifts_us) != len(self.times_s) or {len(row) for row in self.shifts_us} != {len(self.states_us)}:
            raise self.wrong("shifts_us", "must hold a list for each of times_s, with a number for each of states_us")


@dataclass(frozen=True, slots=True, kw_only=True)
class TemperatureSection(Section):
    """Thermally activated conduction: g(T) = g(300 K) e^(-(Ea/k) (1/T - 1/300 K))."""

    section: ClassVar[str] = "temperature"
    activation_ev: Annotated[float, Between(-2.0, 2.0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class MismatchSection(Section):
    """Device-to-device gain error, fixed for a chip: g * exp(sigma * xi) or g * (1 + sigma * xi)."""

    section: ClassVar[str] = "mismatch"
    model: Literal["lognormal", "gaussian"]
    sigma: Annotated[float, Between(0.0, 2.0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckSection(Section):
    """Probability that a device is stuck: at its lowest or highest conductance, or at any (uniform) between the two."""

    section: ClassVar[str] = "stuck"
    at_g_min: Share = 0.0
    at_g_max: Share = 0.0
    at_any: Share | None = None

    @property
    def total(self) -> float:
        return self.at_g_min + self.at_g_max + (self.at_any or 0.0)

    def check(self) -> None:
        if self.total > 1.0 + 1e-12:
            others = f"stuck.at_g_min = {self.at_g_min}" + (f", stuck.at_any = {self.at_any}" if self.at_any else "")
            raise self.wrong("at_g_max", f"together with {others} it must not exceed 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadNoiseSection(CurveSection):
    """Noise of a device, Gaussian, around its conductance g at that time.

    constant: sigma = ``sigma_fraction`` * g_max. polynomial: ``coefficients`` c0, c1, … of x, in µS. exponential:
    ``coefficients`` A, B in µS, sigma = A (1 - e^(-g/B)). log10: sigma = ``log10_us`` * log10(g / 1 µS). power: sigma =
    g Q with Q = min(``q_max``, ``q0`` * x^-``exponent``); curve: sigma = g Q with Q the curve ``q``, both at the x that
    was programmed, before it drifted.

    ``t_read_ns = None``: white, fresh in every MVM. Else it is accumulated 1/f noise: the variance is multiplied by
    ln((t + t_read) / (2 t_read)), nothing until t = t_read; of it, what fluctuates more slowly than ``split_s`` is
    frozen for a chip at one time, the rest fresh in every MVM (all of it where ``split_s`` is ``None``).
    """

    section: ClassVar[str] = "read_noise"
    model: Literal["constant", "polynomial", "exponential", "log10", "power", "curve"]
    sigma_fraction: Share | None = None
    coefficients: Floats | None = None
    reference_g_max_us: Positive | None = None
    log10_us: NotNegative | None = None
    q0: NotNegative | None = None
    exponent: NotNegative | None = None
    q_max: NotNegative | None = None
    q: Floats | None = None
    q_log: Floats | None = None
    q_range: Floats | None = None
    q_below: Share | None = None
    t_read_ns: Positive | None = None
    split_s: Positive | None = None

    def check(self) -> None:
        keys: dict[str, tuple[str, ...]] = {
            "constant": ("sigma_fraction",),
            "polynomial": ("coefficients", "reference_g_max_us"),
            "exponential": ("coefficients", "reference_g_max_us"),
            "log10": ("log10_us", "reference_g_max_us"),
            "power": ("q0", "exponent", "q_max"),
            "curve": (),
        }
        check_model(self, keys, curve=("q", "q_log", "q_range", "q_below"))
        if self.model == "curve":
            self.check_curve("q")
        if self.coefficients is not None and self.model == "exponential":
            check_exponential(self, self.coefficients)
        elif self.coefficients is not None:
            for step in range(101):
                if polynomial(self.coefficients, step / 100) < 0.0:
                    raise self.wrong("coefficients", f"sigma is below 0 at g = {step / 100:g} g_max")
        if self.split_s is not None and self.t_read_ns is None:
            raise self.wrong("split_s", "white noise has no slow part", "give read_noise.t_read_ns as well")


def check_model(section: Section, keys: dict[str, tuple[str, ...]], curve: tuple[str, ...] = ()) -> None:
    """That the keys of the chosen model are given, and none of another model."""
    model = getattr(section, "model")  # noqa: B009
    for key in keys[model]:
        if getattr(section, key) is None:
            raise section.wrong("model", f"needs {section.section}.{key}")
    wanted = (*keys[model], *(curve if model == "curve" else ()))
    for key in {key for row in (*keys.values(), curve) for key in row} - set(wanted):
        if getattr(section, key) is not None:
            raise section.wrong(key, f'does not belong to the model "{model}"', f"--set {section.section}.{key}=none")


@dataclass(frozen=True, slots=True, kw_only=True)
class TelegraphSection(Section):
    """Random telegraph noise: at each read a device is, with ``probability``, lower by ``amplitude`` * g.

    The conductance that it was programmed to is the mean of the two states.
    """

    section: ClassVar[str] = "telegraph"
    probability: Share
    amplitude: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class NonlinearitySection(Section):
    """Current that is not proportional to voltage: I = G V + N2(G) V² + N3(G) V³, N in A/V² and A/V³.

    ``square``, ``cube``: N2 and N3 as polynomials c0, c1, … of log10(G / 1 S). ``full_scale_v``: the voltage of the
    largest input code. Nothing is added to a device below 1 nS.
    """

    section: ClassVar[str] = "nonlinearity"
    square: Floats
    cube: Floats
    full_scale_v: Annotated[float, Between(0.0, 10.0, above=True)]

    def check(self) -> None:
        for key in ("square", "cube"):
            if not getattr(self, key):
                raise self.wrong(key, "must hold one or more numbers", "try [0.0]")


@dataclass(frozen=True, slots=True)
class Device:
    """The device of a target: its cell and every model of what is not ideal in it."""

    cell: CellSection
    programming: ProgrammingSection | None = None
    mismatch: MismatchSection | None = None
    stuck: StuckSection | None = None
    read_noise: ReadNoiseSection | None = None
    write_verify: WriteVerifySection | None = None
    drift: DriftSection | None = None
    relaxation: RelaxationSection | None = None
    temperature: TemperatureSection | None = None
    telegraph: TelegraphSection | None = None
    nonlinearity: NonlinearitySection | None = None

    @property
    def t0_s(self) -> float:
        """The first time of interest, in seconds since programming: the first at which the device is described."""
        if self.drift is not None:
            return self.drift.t0_s
        if self.relaxation is not None and self.relaxation.t0_s is not None:
            return self.relaxation.t0_s
        return 1.0 if self.programming is None else self.programming.times_s[0]

    @property
    def perfect(self) -> bool:
        """Whether it holds and conducts what it was asked for, always."""
        return self == Device(self.cell)
