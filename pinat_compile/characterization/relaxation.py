"""Logarithmic relaxation: how the mean moves and the spread grows with ln t."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from pinat_compile.characterization.forms import numbers
from pinat_compile.characterization.goodness import band, corrected, normality, parameters, variance_bins
from pinat_compile.characterization.likelihood import Estimate, Undetermined, clipped_loglike, maximise
from pinat_compile.characterization.measurements import Floats
from pinat_compile.characterization.points import Points, levels
from pinat_compile.characterization.programming import ends
from pinat_compile.characterization.result import Band, Bin, Fit, Kept
from pinat_compile.hardware.device import CellSection, Device, ProgrammingSection, RelaxationSection
from pinat_compile.physics.devices.programming import programming_sigma_us

FEWEST = 30
NAMES = ("mean_log_us", "std_us", "std_log_us")


def fit_relaxation(
    points: Points, read_us: Floats, like: RelaxationSection, programming: ProgrammingSection | None, cell: CellSection
) -> tuple[Fit, RelaxationSection] | Kept:
    """c, a, b of a mean that moves by c ln(t / 1 s) and a spread of a + b ln(t / 1 s) beside the programming error.

    Every read has the likelihood of its own time; reads of one device depend on each other, which the covariance takes
    into account (White 1982).
    """
    t0 = like.t0_s or 1.0
    late = (points.time_s >= t0 / 1.02) & (points.target_us <= 1.0001 * cell.g_max_us)
    points, read_us = points.where(late), read_us[late]
    if len(np.unique(points.moment)) < 2 or len(np.unique(points.unit)) < FEWEST:
        return Kept("relaxation", f"needs {FEWEST} devices and two times from t0_s = {t0:g} on")
    along = np.log(np.maximum(points.time_s, t0))
    sigma = _programming(points, programming, cell)

    def model(theta: Floats) -> tuple[Floats, Floats]:
        spread = np.maximum(theta[1] + theta[2] * along, 0.0)
        return points.target_us + theta[0] * along, np.maximum(np.hypot(sigma, spread), 1e-7 * cell.g_max_us)

    def loglike(theta: Floats) -> Floats:
        return clipped_loglike(points.g_us, *model(theta), read_us, *ends(cell))

    scale = cell.g_max_us / like.reference_g_max_us
    start = scale * np.array([like.mean_log_us or 0.0, like.std_us or 0.01, like.std_log_us or 0.01])
    try:
        estimate = maximise(loglike, start, groups=np.unique(points.unit, return_inverse=True)[1].ravel())
    except Undetermined:
        return Kept("relaxation", "the measurements do not determine it")
    if estimate.values[1] < 0.0 or estimate.values[2] < 0.0:
        return Kept("relaxation", "the spread does not grow with ln t as the model has it")
    values = numbers(estimate.values)
    section = replace(like, reference_g_max_us=cell.g_max_us, mean_log_us=values[0], std_us=values[1],
                      std_log_us=values[2])
    return _fit(points, read_us, estimate, *model(estimate.values), cell), section


def _programming(points: Points, programming: ProgrammingSection | None, cell: CellSection) -> Floats:
    """The programming error, which is that of the target and of the first time."""
    if programming is None:
        return np.zeros(len(points))
    device = Device(cell, programming=programming)
    sigma: Floats = programming_sigma_us(device, torch.from_numpy(points.target_us), programming.times_s[-1]).numpy()
    return sigma


def _fit(points: Points, read_us: Floats, estimate: Estimate, mean: Floats, sd: Floats, cell: CellSection) -> Fit:
    total = np.hypot(sd, read_us)
    low, high = ends(cell)
    clipped = ((mean - 3.5 * total < low) | (mean + 3.5 * total > high)).astype(np.float64)
    z = (points.g_us - mean) / total
    bins: list[Bin] = []
    for number in np.unique(points.moment):
        at = points.moment == number
        bins += variance_bins(z[at], clipped[at], levels(points.target_us[at]), points.target_us[at],
                              float(points.moments[number]), total[at], read_us[at])
    x = np.linspace(float(np.log(points.time_s).min()), float(np.log(points.time_s).max()), 200)
    bands: tuple[Band, ...] = (
        band(estimate, "mean", np.exp(x), lambda theta: theta[0] * x),
        band(estimate, "spread", np.exp(x), lambda theta: theta[1] + theta[2] * x),
    )
    return Fit("relaxation", "logarithmic", parameters(estimate, NAMES, ["µS"] * 3), len(points),
               "maximum likelihood, intervals clustered by device", corrected(bins),
               normality(z[(points.moment == number) & (clipped == 0.0)] for number in np.unique(points.moment)), bands)
