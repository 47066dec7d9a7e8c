"""Power-law drift: the exponent of every device by regression, then its mean and spread over the conductance."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from pinat_compile.characterization import forms
from pinat_compile.characterization.forms import Form
from pinat_compile.characterization.goodness import band, corrected, mean_bins, normality, parameters
from pinat_compile.characterization.likelihood import Estimate, Undetermined, maximise
from pinat_compile.characterization.measurements import Floats
from pinat_compile.characterization.noise import sigma_at
from pinat_compile.characterization.points import Points, levels
from pinat_compile.characterization.result import Band, Finding, Fit, Kept
from pinat_compile.hardware.device import CellSection, DriftSection, ReadNoiseSection
from pinat_compile.physics.devices.read_noise import accumulated

FEWEST = 30
"""Devices that a fit needs."""
NOISIEST = 0.25
"""Relative read noise above which the logarithm of a read says little."""
DEGREES = 30
"""Degrees of freedom from which on the scatter about the power laws is taken instead of the read noise."""


@dataclass(frozen=True, eq=False)
class Exponents:
    """Of every device [n]: target, exponent nu, standard error of it. ``factor``: scatter over the read noise."""

    target_us: Floats
    nu: Floats
    error: Floats
    factor: float | None
    points: int


def fit_drift(
    points: Points, like: DriftSection, cell: CellSection, noise: ReadNoiseSection | None
) -> tuple[tuple[Fit, DriftSection] | Kept, list[Finding]]:
    """Mean and spread of nu in g (t / t0)^-nu, in the form of ``like``; `Kept` says why not. And what is no power law.

    ln g falls linearly in ln (t / t0): a weighted regression for each device, whatever it was programmed to. What it
    gives is N(mean(x), std²(x) + error²), x the target over g_max: maximum likelihood over the devices.
    """
    if not points.identified:
        return Kept("drift", "no device ids: nu of a device cannot be told from its programming error"), []
    late = points.where(points.time_s >= like.t0_s / 1.02)
    if len(np.unique(late.moment)) < 2:
        return Kept("drift", f"fewer than two times from t0_s = {like.t0_s:g} on"), []
    found = exponents(late, like, cell, noise)
    if len(found.nu) < FEWEST:
        return Kept("drift", f"{len(found.nu)} devices were read at several times, {FEWEST} are needed"), []
    x = found.target_us / cell.g_max_us
    for terms in range(max(len(like.mean or ()), len(like.std or ())), -1, -1):
        mean, std = (forms.curve(like.curve(name), name, x, terms if terms else None) for name in ("mean", "std"))
        solved = _solve(found, x, mean, std)
        if solved is not None:
            section = replace(like, **_keys(solved, mean, std))
            return (_fit(found, x, mean, std, solved), section), _findings(found)
    return Kept("drift", "the exponents of the devices do not determine mean and spread"), _findings(found)


def exponents(points: Points, like: DriftSection, cell: CellSection, noise: ReadNoiseSection | None) -> Exponents:
    """nu of every device with two times or more, from points at t0 and later."""
    usable = (points.g_us > 0.0) & (points.target_us > 0.0) & (points.target_us <= 1.0001 * cell.g_max_us)
    points = points.where(usable)
    variance = _relative_variance(points, like, cell, noise)
    quiet = variance < NOISIEST**2
    points, variance = points.where(quiet), variance[quiet]
    units, unit = np.unique(points.unit, return_inverse=True)
    unit = unit.ravel()
    weight, along = 1.0 / variance, np.log(np.maximum(points.time_s / like.t0_s, 1.0))
    height = np.log(points.g_us) + 0.5 * variance  # E ln g lies below ln E g by half the variance
    total = np.bincount(unit, weight)
    middle, level = (np.bincount(unit, weight * row) / total for row in (along, height))
    apart, rest = along - middle[unit], height - level[unit]
    width = np.bincount(unit, weight * apart**2)
    solved = width > 1e-9 * total
    slope = np.bincount(unit, weight * apart * rest) / np.where(solved, width, 1.0)
    squares = np.bincount(unit, weight * (rest - slope[unit] * apart) ** 2)
    free = np.where(solved, np.bincount(unit) - 2, 0)
    degrees = int(free.sum())
    factor = float(squares[solved].sum()) / degrees if degrees >= DEGREES else None
    known = 1.0 if factor is None else factor
    known = 0.0 if factor is None and noise is None else known
    target = np.bincount(unit, points.target_us) / np.bincount(unit)
    error = np.sqrt(known / np.where(solved, width, 1.0))
    return Exponents(target[solved], -slope[solved], error[solved], factor if noise is not None else None, len(points))


def _relative_variance(points: Points, like: DriftSection, cell: CellSection, noise: ReadNoiseSection | None) -> Floats:
    """Of the mean read of each point; read noise that nobody knows is the same for all reads.

    At the conductance that the device has by all its reads: a weight must not depend on the read that it weighs.
    """
    if noise is None:
        return np.full(len(points), 1e-6) / points.reads
    fallen = np.log(np.maximum(points.time_s / like.t0_s, 1.0))
    fallen *= forms.curve(like.curve("mean"), "mean", np.zeros(0)).at(np.zeros(0), points.target_us / cell.g_max_us)
    programmed = np.bincount(points.unit, np.log(points.g_us) + fallen) / np.bincount(points.unit).clip(min=1)
    g = np.exp(programmed)[points.unit]
    shares = np.array([accumulated(noise, time) for time in points.moments.tolist()])[points.moment]
    sigma = sigma_at(noise, cell, g)
    relative = sigma / (g if noise.model in ("power", "curve") else g * np.exp(-fallen))
    return np.asarray((relative**2 * (shares[:, 0] / points.reads + shares[:, 1])).clip(min=1e-12))


def _solve(found: Exponents, x: Floats, mean: Form, std: Form) -> Estimate | None:
    """The likelihood's maximum; ``None`` where there is none or where a curve would be negative."""
    def loglike(theta: Floats) -> Floats:
        spread = np.maximum(std.at(theta[len(mean):], x), 1e-6)
        variance = spread**2 + found.error**2
        return np.asarray(-0.5 * (np.log(variance) + (found.nu - mean.at(theta[: len(mean)], x)) ** 2 / variance))

    try:
        estimate = maximise(loglike, np.concatenate([mean.start, std.start]))
    except Undetermined:
        return None
    grid = np.linspace(0.0, 1.0, 101)
    lowest = min(float(mean.at(estimate.values[: len(mean)], grid).min()),
                 float(std.at(estimate.values[len(mean):], grid).min()))
    return estimate if lowest >= 0.0 else None


def _keys(estimate: Estimate, mean: Form, std: Form) -> dict[str, Any]:
    return cast(dict[str, Any], {**mean.keys(estimate.values[: len(mean)]), **std.keys(estimate.values[len(mean):])})


def _fit(found: Exponents, x: Floats, mean: Form, std: Form, estimate: Estimate) -> Fit:
    fitted, spread = mean.at(estimate.values[: len(mean)], x), std.at(estimate.values[len(mean):], x)
    z = (found.nu - fitted) / np.hypot(spread, found.error)
    bins = mean_bins(z, levels(found.target_us), found.target_us, found.nu, fitted, math.nan)
    grid = np.linspace(max(float(x.min()), 1e-3), float(x.max()), 200)
    bands: tuple[Band, ...] = (
        band(estimate, "mean nu", grid, lambda theta: mean.at(theta[: len(mean)], grid)),
        band(estimate, "spread of nu", grid, lambda theta: std.at(theta[len(mean):], grid)),
    )
    noise = "" if found.factor is None else f"; scatter about the power laws is {found.factor:.3g} x the read noise"
    how = f"nu of {len(found.nu):,} devices by weighted regression, then maximum likelihood{noise}"
    return Fit("drift", "power_law", parameters(estimate, (*mean.names, *std.names), [""] * len(estimate.values)),
               found.points, how, corrected(bins), normality([z]), bands)


def _findings(found: Exponents) -> list[Finding]:
    if found.factor is None or 0.8 < found.factor < 1.25:
        return []
    what = (f"reads scatter about the devices' power laws with {found.factor:.3g} times the variance of the read "
            "noise: another law of drift, or read noise that differs")
    return [Finding("drift", found.points, what)]
