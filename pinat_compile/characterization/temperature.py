"""Thermal activation: how conductances follow 1/T, each device compared with itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from statsmodels.regression.linear_model import WLS

from pinat_compile.characterization.forms import numbers
from pinat_compile.characterization.likelihood import NORMAL_95
from pinat_compile.characterization.measurements import Floats, Ints
from pinat_compile.characterization.points import Points
from pinat_compile.characterization.result import Fit, Kept, Parameter
from pinat_compile.hardware.device import TemperatureSection
from pinat_compile.physics.devices.drift import BOLTZMANN_EV, REFERENCE_K

SMALLEST_STEP_K = 1.0
"""Temperatures that differ by less are one."""


def fit_temperature(points: Points, g_max_us: float) -> tuple[Fit, TemperatureSection] | Kept:
    """Ea of g(T) = g(300 K) e^(-(Ea/k)(1/T - 1/300 K)), by weighted least squares of ln g within each device and time.

    Without device ids within each target and time. Standard errors are clustered by device (or target).
    """
    if float(np.ptp(points.temperature_k)) < SMALLEST_STEP_K:
        return Kept("temperature", f"all measurements at {points.temperature_k[0]:g} K")
    use = points.where((points.g_us > 0.0) & (points.target_us > 0.05 * g_max_us))
    kept = "temperatures change together with time or device: activation cannot be told from them"
    owner = use.unit if use.identified else np.unique(use.target_us, return_inverse=True)[1].ravel()
    cell = np.unique(np.stack([owner, use.moment]), axis=1, return_inverse=True)[1].ravel()
    along = -activation_axis(use.temperature_k)
    weight = use.target_us**2
    apart, rest = _within(cell, weight, (along, np.log(use.g_us)))
    clusters = int(len(np.unique(owner[np.abs(apart) > 1e-9])))
    if clusters < 10:
        return Kept("temperature", kept)
    used = np.abs(apart) > 1e-9
    result = WLS(rest[used], apart[used, None], weights=weight[used]).fit(
        cov_type="cluster", cov_kwds={"groups": owner[used]})
    value, error = float(result.params[0]), float(result.bse[0])
    name = "device" if use.identified else "target"
    how = f"weighted least squares of ln g within {clusters:,} {name}s, intervals clustered by {name}"
    parameter = Parameter("activation_ev", value, error, value - NORMAL_95 * error, value + NORMAL_95 * error, "eV")
    if abs(value) > 2.0:
        return Kept("temperature", f"an activation energy of {value:.3g} eV is none")
    return Fit("temperature", "activation", (parameter,), int(used.sum()), how), TemperatureSection(
        activation_ev=numbers(np.array([value]))[0])


def activation_axis(temperature_k: Floats) -> Floats:
    """(1/T - 1/300 K) / k, in 1/eV."""
    return np.asarray((1.0 / temperature_k - 1.0 / REFERENCE_K) / BOLTZMANN_EV)


def at_300_k(points: Points, section: TemperatureSection | None) -> Points:
    """Conductances as they would be at 300 K."""
    if section is None:
        return points
    return points.scaled(np.exp(section.activation_ev * activation_axis(points.temperature_k)))


def _within(cell: Ints, weight: Floats, rows: Sequence[Floats]) -> list[Floats]:
    """Less the weighted mean of each cell."""
    total = np.bincount(cell, weight)
    return [row - (np.bincount(cell, weight * row) / total)[cell] for row in rows]
