"""The curves that are fitted: what the sections of a target offer, as functions of their parameters.

The same curves as in pinat_compile.physics.devices, over NumPy arrays and free parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pinat_compile.characterization.measurements import Floats
from pinat_compile.hardware.device import Curve, ReadNoiseSection

LEVEL = 1e-9
"""Shares of g_max that differ by less are one."""


@dataclass(frozen=True, eq=False)
class Form:
    """A curve: names of its parameters, where to start, its value at ``points``, and its keys in a section."""

    names: tuple[str, ...]
    start: Floats
    at: Callable[[Floats, Floats], Floats]
    keys: Callable[[Floats], dict[str, object]]

    def __len__(self) -> int:
        return len(self.start)


def numbers(values: Floats) -> tuple[float, ...]:
    """As a target holds them: seven digits."""
    return tuple(float(f"{value:.7g}") for value in values)


def polynomial_sigma(order: int, g_max: float, start: Floats) -> Form:
    """sigma(g) = c0 + c1 x + …, x = g / g_max held to [0, 1]."""

    def at(theta: Floats, g: Floats) -> Floats:
        return np.asarray(np.polynomial.polynomial.polyval((g / g_max).clip(0.0, 1.0), theta))

    names = tuple(f"coefficients[{power}]" for power in range(order + 1))
    return Form(names, start, at, lambda theta: {"coefficients": numbers(theta), "reference_g_max_us": g_max})


def exponential_sigma(g_max: float, start: Floats) -> Form:
    """sigma(g) = A (1 - e^(-g / B))."""

    def at(theta: Floats, g: Floats) -> Floats:
        return np.asarray(-theta[0] * np.expm1(-g.clip(min=0.0) / max(theta[1], 1e-9)))

    return Form(("coefficients[A]", "coefficients[B]"), start, at,
                lambda theta: {"coefficients": numbers(theta), "reference_g_max_us": g_max})


def read_sigma(section: ReadNoiseSection, g_max: float, g: Floats) -> Form | None:
    """The read noise of a section, but for its growth in time; ``None`` where it must be chosen (a polynomial)."""
    scale = g_max / section.reference_g_max_us if section.reference_g_max_us is not None else 1.0
    if section.sigma_fraction is not None:
        return constant_read(g_max, max(section.sigma_fraction, 1e-4))
    if section.model == "exponential" and section.coefficients is not None:
        return exponential_sigma(g_max, scale * np.array(section.coefficients))
    if section.log10_us is not None:
        return Form(("log10_us",), np.array([scale * section.log10_us]),
                    lambda theta, g: theta[0] * np.log10(g.clip(min=1.0)),
                    lambda theta: {"log10_us": numbers(theta)[0], "reference_g_max_us": g_max})
    if section.q0 is not None and section.exponent is not None and section.q_max is not None:
        return _power(section.q0, section.exponent, section.q_max, g_max)
    if section.model == "curve":
        form = curve(section.curve("q"), "q", g / g_max)
        return Form(form.names, form.start, lambda theta, g: g * form.at(theta, g / g_max), form.keys)
    return None


def constant_read(g_max: float, start: float) -> Form:
    return Form(("sigma_fraction",), np.array([start]), lambda theta, g: np.full_like(g, theta[0] * g_max),
                lambda theta: {"sigma_fraction": numbers(theta)[0]})


def _power(q0: float, exponent: float, q_max: float, g_max: float) -> Form:
    def at(theta: Floats, g: Floats) -> Floats:
        return np.asarray(g * np.minimum(theta[0] * (g / g_max).clip(min=1e-7) ** -theta[1], q_max))

    return Form(("q0", "exponent"), np.array([q0, exponent]), at,
                lambda theta: {"q0": numbers(theta)[0], "exponent": numbers(theta)[1], "q_max": q_max})


def curve(like: Curve, name: str, x: Floats, terms: int | None = None) -> Form:
    """A curve of the form of ``like`` over x = g / g_max: its logarithm and its polynomial, as far as ``x`` shows them.

    Bounds and the place where the two meet stay. The logarithm is fitted where three levels of x lie on it and inside
    its bounds, the polynomial with at most as many terms as levels lie on it (and at most ``terms``); else it stays.
    """
    levels = np.unique(np.round(x / LEVEL)) * LEVEL
    meets = like.below if like.below is not None else (np.inf if like.log is not None else 0.0)
    log, low, high = np.array(like.log or (0.0, 0.0)), *(like.range or (0.0, 0.0))
    on_log = levels[(levels < meets) & (levels > 0.0)]
    raw = log[0] * np.log(on_log) + log[1]
    free_log = 2 if int(((raw > low) & (raw < high)).sum()) >= 3 else 0
    whole = np.array(like.polynomial or ())
    free = min(len(whole), int((levels >= meets).sum()), len(whole) if terms is None else terms)
    start = np.concatenate([log[:free_log], whole[:free]])

    def parts(theta: Floats) -> tuple[Floats, Floats]:
        return (theta[:2] if free_log else log), (theta[free_log:] if free else whole)

    def at(theta: Floats, x: Floats) -> Floats:
        ab, coefficients = parts(theta)
        below = (ab[0] * np.log(x.clip(min=1e-7)) + ab[1]).clip(low, high)
        above = np.polynomial.polynomial.polyval(x, coefficients) if len(coefficients) else below
        return np.asarray(np.where(x < meets, below, above))

    def keys(theta: Floats) -> dict[str, object]:
        ab, coefficients = parts(theta)
        found: dict[str, object] = {name: numbers(coefficients) if len(coefficients) else None}
        if like.log is not None:
            found |= {f"{name}_log": numbers(ab), f"{name}_range": like.range, f"{name}_below": like.below}
        return found

    names = (*(f"{name}_log[{index}]" for index in range(free_log)), *(f"{name}[{power}]" for power in range(free)))
    return Form(names, start, at, keys)
