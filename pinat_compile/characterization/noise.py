"""Read noise, from repeated reads: the scatter about the mean of the same device at the same time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch

from pinat_compile.characterization import forms
from pinat_compile.characterization.forms import Form
from pinat_compile.characterization.goodness import band, chi_square_bins, corrected, parameters
from pinat_compile.characterization.likelihood import Estimate, Undetermined, maximise
from pinat_compile.characterization.measurements import Floats
from pinat_compile.characterization.points import Points, levels
from pinat_compile.characterization.result import Fit, Kept
from pinat_compile.hardware.device import CellSection, Device, ReadNoiseSection
from pinat_compile.physics.devices.read_noise import accumulated, read_sigma_us

FEWEST = 30
"""Degrees of freedom that a fit needs."""
FAR = 4.0
"""Standard deviations of a read from an end at which hardly any is held there."""
UNITS = {"sigma_fraction": "of g_max", "coefficients": "µS", "log10_us": "µS", "q0": "", "exponent": "", "q": ""}


def fit_read_noise(
    points: Points, like: ReadNoiseSection | None, cell: CellSection
) -> tuple[Fit, ReadNoiseSection] | Kept:
    """The read noise of a model like ``like``'s, or a polynomial whose order BIC chooses; `Kept` says why not.

    The sum of squares about a mean of n reads is sigma² chi²(n - 1): likelihood without the unknown mean. sigma is that
    at the mean read; what grows with time is known from ``t_read_ns``, a setting of the instrument.
    """
    if not points.identified:
        return Kept("read_noise", "no device ids: read noise cannot be told from programming error")
    programmed = _programmed(points)
    mask = (points.reads > 1) & (points.g_us > 0.0) & (programmed > 0.0)
    repeated, programmed = points.where(mask), programmed[mask]
    if int((repeated.reads - 1).sum()) < FEWEST:
        return Kept("read_noise", "too few repeated reads of a device at one time")
    chosen: list[tuple[Form, Estimate]] = []
    for _ in range(2):  # the second time without devices so close to 0 (or an end) that their reads are clipped
        chosen = _candidates(repeated, programmed, like, cell)
        if not chosen:
            return Kept("read_noise", "the repeated reads do not determine it")
        form, estimate = min(chosen, key=lambda each: each[1].bic)
        reach = 3.5 * _sigma(form, estimate.values, repeated, programmed, like) * np.sqrt(_fresh(like, repeated.time_s))
        low, high = (cell.g_min_us, cell.g_max_us) if cell.bounded else (0.0, np.inf)
        free = (repeated.g_us - reach > low) & (repeated.g_us + reach < high)
        if int((repeated.reads[free] - 1).sum()) < FEWEST:
            break
        repeated, programmed = repeated.where(free), programmed[free]
    section = _section(form, estimate, like)
    sigma = np.maximum(_sigma(form, estimate.values, repeated, programmed, like), 1e-7 * cell.g_max_us)
    return _described(repeated, form, estimate, section, sigma, len(chosen), cell), section


def _programmed(points: Points) -> Floats:
    """The conductance [n] at which each device was first read."""
    first = points.first()
    found = np.zeros(int(points.unit.max()) + 1)
    found[first.unit] = first.g_us
    return np.asarray(found[points.unit])


def _sigma(
    form: Form, theta: Floats, points: Points, programmed: Floats, like: ReadNoiseSection | None
) -> Floats:
    """sigma at the conductances now; relative noise Q is that of the conductances before they drifted."""
    if like is None or like.model not in ("power", "curve"):
        return np.asarray(form.at(theta, points.g_us))
    return np.asarray(points.g_us * form.at(theta, programmed) / programmed)


def read_sd(section: ReadNoiseSection | None, cell: CellSection, points: Points) -> Floats:
    """Standard deviation in µS of the mean read of each point: 1/f noise that is slow stays, what is fresh averages."""
    sigma = sigma_at(section, cell, points.target_us)
    if section is None:
        return sigma
    shares = np.array([accumulated(section, time) for time in points.moments.tolist()])[points.moment]  # [n, 2]
    return np.asarray(sigma * np.sqrt(shares[:, 0] / points.reads + shares[:, 1]))


def clear_of_ends(section: ReadNoiseSection | None, cell: CellSection, points: Points) -> Points:
    """The points, of levels some of whose reads are held at 0 (or at an end of a bounded cell) with one read alone.

    The mean of several reads that are held at a bound follows another law than the one read of `clipped_loglike`.
    """
    low, high = (cell.g_min_us, cell.g_max_us) if cell.bounded else (0.0, np.inf)
    reach = FAR * read_sd(section, cell, points.once(np.ones(len(points), bool)))
    near = (points.g_us - reach <= low) | (points.g_us + reach >= high)
    group = levels(points.target_us, 64) + 1000 * points.moment
    return points.once(np.isin(group, np.unique(group[near])))


def sigma_at(section: ReadNoiseSection | None, cell: CellSection, g_us: Floats) -> Floats:
    """sigma in µS at conductances [n], but for the growth of 1/f noise."""
    sigma = read_sigma_us(Device(cell, read_noise=section), torch.from_numpy(np.ascontiguousarray(g_us)))
    return np.asarray(sigma) if isinstance(sigma, torch.Tensor) else np.full(len(g_us), float(sigma))


def _fresh(section: ReadNoiseSection | None, time_s: Floats) -> Floats:
    """What multiplies the variance of a read about the others of its time."""
    times, place = np.unique(time_s, return_inverse=True)
    shares = [1.0 if section is None else accumulated(section, time)[0] for time in times.tolist()]
    return np.asarray(np.array(shares).clip(min=1e-12)[place.ravel()])


def _candidates(
    points: Points, programmed: Floats, like: ReadNoiseSection | None, cell: CellSection
) -> list[tuple[Form, Estimate]]:
    grown, free = _fresh(like, points.time_s), points.reads - 1
    found = []
    for form in _forms(points, like, cell):
        def loglike(theta: Floats, form: Form = form) -> Floats:
            sigma = _sigma(form, theta, points, programmed, like)
            variance = grown * np.maximum(sigma, 1e-7 * cell.g_max_us) ** 2
            return np.asarray(-0.5 * (free * np.log(variance) + points.squares_us2 / variance))

        try:
            estimate = maximise(loglike, form.start)
        except Undetermined:
            continue
        grid = np.linspace(0.0, cell.g_max_us, 101)
        if form.at(estimate.values, grid).min() >= 0.0:
            found.append((form, estimate))
    return found


def _forms(points: Points, like: ReadNoiseSection | None, cell: CellSection) -> list[Form]:
    """The model of ``like``; orders 0 to 2 of a polynomial where it has none, or has that."""
    g_max = cell.g_max_us
    rms = float(np.sqrt((points.squares_us2 / _fresh(like, points.time_s)).sum() / (points.reads - 1).sum()))
    if like is not None:
        form = forms.read_sigma(like, g_max, points.target_us)
        if form is not None:
            return [form] if len(form) else []
    orders = min(3, len(np.unique(levels(points.target_us))))
    whole = [forms.polynomial_sigma(order, g_max, np.array([rms, *[0.0] * order])) for order in range(1, orders)]
    return [forms.constant_read(g_max, rms / g_max) if like is None else
            forms.polynomial_sigma(0, g_max, np.array([rms])), *whole]


def _section(form: Form, estimate: Estimate, like: ReadNoiseSection | None) -> ReadNoiseSection:
    keys = form.keys(estimate.values)
    if like is not None:
        return replace(like, **cast(dict[str, Any], keys))
    model = "constant" if "sigma_fraction" in keys else "polynomial"
    return ReadNoiseSection(model=cast(Any, model), **cast(dict[str, Any], keys))


def _described(points: Points, form: Form, estimate: Estimate, section: ReadNoiseSection, sigma: Floats,
               candidates: int, cell: CellSection) -> Fit:
    grown = _fresh(section, points.time_s)
    squares, free = points.squares_us2 / (sigma**2 * grown), points.reads - 1
    group = levels(points.target_us) + 1000 * points.moment
    shown = form.at(estimate.values, points.target_us)
    bins = chi_square_bins(squares, free, group, points.target_us, points.moments[points.moment], shown)
    x = np.linspace(max(float(points.target_us.min()), 1e-6 * cell.g_max_us), float(points.target_us.max()), 200)
    how = f"likelihood of {int(free.sum()):,} degrees of freedom about {len(points):,} means"
    how += f"; order {len(form) - 1} of {candidates} by BIC" if candidates > 1 else ""
    if section.t_read_ns is not None:
        how += f"; t_read_ns = {section.t_read_ns:g} and split_s kept"
    units = [UNITS.get(name.split("[")[0].removesuffix("_log"), "") for name in form.names]
    return Fit("read_noise", section.model, parameters(estimate, form.names, units), int(points.reads.sum()), how,
               corrected(bins), None, (band(estimate, "fitted", x, lambda theta: form.at(theta, x)),))
