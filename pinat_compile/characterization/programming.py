"""Programming error: sigma over the conductance, by maximum likelihood on every device, time by time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pinat_compile.characterization import forms
from pinat_compile.characterization.forms import Form, numbers
from pinat_compile.characterization.goodness import band, corrected, normality, parameters, variance_bins
from pinat_compile.characterization.likelihood import (
    Estimate,
    Loglike,
    Undetermined,
    clipped_loglike,
    held,
    maximise,
    profile_interval,
)
from pinat_compile.characterization.measurements import Floats
from pinat_compile.characterization.points import Points, levels
from pinat_compile.characterization.result import Band, Bin, Finding, Fit, Kept, Parameter
from pinat_compile.hardware.device import CellSection, ProgrammingSection, RelaxationSection

FEWEST = 30
"""Devices at one time that a fit needs."""
FAINT = 1.0
"""A programming error below this share of the read noise has intervals by profile likelihood."""
HIGHEST = 4
"""The highest order of polynomial that competes, unless the target has a higher one."""


@dataclass(frozen=True, eq=False)
class Moment:
    """The devices of one time: ``points`` [n], and what is known of them before the fit.

    Their mean is ``gain`` * target; ``gain`` multiplies the programming error too. ``known_us``: standard deviation
    that other effects add to the device, ``read_us``: that of its mean read. ``time_s``: what the target will say.
    """

    points: Points
    time_s: float
    gain: Floats
    known_us: Floats
    read_us: Floats


def moments_of(points: Points, read_us: Floats) -> list[Moment]:
    """The times at which enough devices were read, each on its own."""
    found = []
    for number, time in enumerate(points.moments.tolist()):
        mask = points.moment == number
        if int(mask.sum()) >= FEWEST:
            part = points.where(mask)
            found.append(Moment(part, float(f"{time:.6g}"), np.ones(len(part)), np.zeros(len(part)), read_us[mask]))
    return found


def fit_programming(
    moments: Sequence[Moment], like: ProgrammingSection | None, cell: CellSection, *, shifts: bool = False
) -> tuple[list[Fit], ProgrammingSection, RelaxationSection | None] | Kept:
    """The programming error at each time, and with ``shifts`` how far the mean moves at each level of conductance.

    A device at target g is N(g + shift, sigma²(g)), held to g >= 0 (or to a bounded cell), plus its read noise. The
    order of the polynomial, one for all times, has the least BIC among those from that of ``like`` up whose sigma is
    nowhere negative within its errors; intervals of a simpler polynomial than the device's would not cover it. Only
    where there is none the lower orders compete.
    """
    if not moments:
        return Kept("programming", f"no time at which {FEWEST} devices were read")
    exponential = like is not None and like.model == "exponential"
    moments = [_above_zero(moment) for moment in moments] if exponential else list(moments)
    least = 0 if like is None or exponential else _order(like)
    solutions: list[list[_Solution]] = []
    for orders in ((0,),) if exponential else (range(least, max(least, HIGHEST) + 1), range(least)):
        solutions = solutions or [found for order in orders if (found := _solved(moments, order, like, cell, shifts))]
    if not solutions:
        return Kept("programming", "the measurements do not determine sigma")
    best = min(solutions, key=lambda each: sum(one.estimate.bic for one in each))
    return _results(best, like, cell, exponential, shifts, len(solutions))


def _order(like: ProgrammingSection) -> int:
    """The highest power that the target's polynomial has at any time."""
    return max(power for row in like.coefficients for power, value in enumerate(row) if value or not power)


def _solved(
    moments: Sequence[Moment], order: int, like: ProgrammingSection | None, cell: CellSection, shifts: bool
) -> list[_Solution]:
    """The fits of all times; none where one is not determined, or negative somewhere."""
    exponential = like is not None and like.model == "exponential"
    try:
        found = [_fit_one(moment, order, exponential, cell, shifts) for moment in moments]
    except Undetermined:
        return []
    return found if all(each.valid(cell) for each in found) else []


@dataclass(frozen=True, eq=False)
class _Solution:
    """One time, fitted: the parameters of sigma stand first, then the shifts at ``states_us``."""

    moment: Moment
    form: Form
    states_us: Floats
    estimate: Estimate
    loglike: Loglike

    @property
    def faint(self) -> bool:
        """Whether the error lies so far below the read noise somewhere that its likelihood is no parabola."""
        sigma = self.form.at(self.estimate.values[: len(self.form)], self.moment.points.target_us)
        return bool((self.moment.gain * sigma < FAINT * self.moment.read_us).any())

    def intervals(self) -> tuple[Parameter, ...]:
        """The parameters of sigma."""
        count = len(self.form)
        part = replace(self.estimate, values=self.estimate.values[:count],
                       covariance=self.estimate.covariance[:count, :count])
        found = parameters(part, self.form.names, ["µS"] * count)
        if not self.faint:
            return found
        ends = [profile_interval(self.loglike, self.estimate, index) for index in range(count)]
        return tuple(replace(each, low=low, high=high) for each, (low, high) in zip(found, ends, strict=True))

    def valid(self, cell: CellSection) -> bool:
        theta = self.estimate.values[: len(self.form)]
        return float(self.form.at(theta, np.linspace(0.0, cell.g_max_us, 101)).min()) >= 0.0

    def residuals(self, cell: CellSection) -> tuple[Floats, Floats, Floats]:
        """Standardised residuals [n], whether a read so low (or high) may be clipped, total sigma in µS."""
        mean, sd = _model(self.moment, self.form, self.states_us, self.estimate.values)
        total = np.sqrt(sd**2 + self.moment.read_us**2)
        low, high = ends(cell)
        clipped = (mean - 3.5 * total < low) | (mean + 3.5 * total > high)
        return (self.moment.points.g_us - mean) / total, clipped.astype(np.float64), total


def ends(cell: CellSection) -> tuple[float, float]:
    """Where reads are clipped."""
    return (cell.g_min_us, cell.g_max_us) if cell.bounded else (0.0, np.inf)


def _above_zero(moment: Moment) -> Moment:
    """Without devices at 0, where A (1 - e^(-g/B)) leaves no error."""
    mask = moment.points.target_us > 0.0
    return Moment(moment.points.where(mask), moment.time_s, moment.gain[mask], moment.known_us[mask],
                  moment.read_us[mask])


def _model(moment: Moment, form: Form, states_us: Floats, theta: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of the devices; the error is that of the moved conductance."""
    target = moment.points.target_us
    moved = target + _shift(target, states_us, theta[len(form):]) if len(states_us) else target
    sigma = np.maximum(form.at(theta[: len(form)], moved), 1e-7 * max(float(target.max()), 1e-9))
    return moment.gain * moved, np.hypot(moment.gain * sigma, moment.known_us)


def _shift(g: Floats, states_us: Floats, values: Floats) -> Floats:
    return np.interp(g, states_us, values)


def _fit_one(moment: Moment, order: int, exponential: bool, cell: CellSection, shifts: bool) -> _Solution:
    points = moment.points
    deviation = points.g_us / moment.gain - points.target_us
    square = float((deviation**2).mean())
    rms = max(square - float((moment.read_us**2).mean()), 1e-4 * square) ** 0.5
    if exponential:
        form = forms.exponential_sigma(cell.g_max_us, np.array([rms, 0.1 * cell.g_max_us]))
    else:
        if order >= len(np.unique(levels(points.target_us, 64))):
            raise Undetermined
        form = forms.polynomial_sigma(order, cell.g_max_us, np.array([max(rms, 1e-12), *[0.0] * order]))
    states = _states(points.target_us, cell) if shifts else np.zeros(0)
    start = np.concatenate([form.start, [float(deviation[np.abs(points.target_us - state) <= _reach(states)].mean())
                                         for state in states]])
    low, high = ends(cell)

    def loglike(theta: Floats) -> Floats:
        mean, sd = _model(moment, form, states, theta)
        return clipped_loglike(points.g_us, mean, sd, moment.read_us, low, high)

    estimate = maximise(loglike, start)
    estimate = estimate if exponential else _not_negative(estimate, order)
    return _Solution(moment, form, states, estimate, loglike)


def _not_negative(estimate: Estimate, order: int) -> Estimate:
    """With a polynomial sigma that is nowhere negative, where one is within the errors."""
    sigma = np.vander(np.linspace(0.0, 1.0, 101), order + 1, increasing=True)  # [x, coefficients]
    rows = np.pad(sigma, ((0, 0), (0, len(estimate.values) - order - 1)))
    found = held(estimate, rows, 1e-5 * float(np.abs(sigma @ estimate.values[: order + 1]).max()))
    return estimate if found is None else found


def _states(target_us: Floats, cell: CellSection) -> Floats:
    """Levels at which the shift is fitted: those of the data, or eleven over their range where there are many."""
    distinct = np.unique(target_us)
    return distinct if len(distinct) <= 16 else np.linspace(distinct[0], distinct[-1], 11)


def _reach(states_us: Floats) -> float:
    return 0.51 * float(np.diff(states_us).max()) if len(states_us) > 1 else np.inf


def _results(
    solution: list[_Solution], like: ProgrammingSection | None, cell: CellSection, exponential: bool, shifts: bool,
    candidates: int,
) -> tuple[list[Fit], ProgrammingSection, RelaxationSection | None]:
    g_max, times = cell.g_max_us, tuple(each.moment.time_s for each in solution)
    rows = tuple(numbers(each.estimate.values[: len(each.form)]) for each in solution)
    linear = times[0] == 0.0 or (like is not None and like.interpolation == "linear")
    model = "exponential" if exponential else "polynomial"
    section = ProgrammingSection(model="exponential" if exponential else "polynomial", times_s=times, coefficients=rows,
                                 reference_g_max_us=g_max, interpolation="linear" if linear else "log")
    count = sum(len(each.moment.points) for each in solution)
    residuals = [each.residuals(cell) for each in solution]
    how = f"maximum likelihood, {'A (1 - e^(-g/B))' if exponential else f'polynomial of order {len(rows[0]) - 1}'}"
    if candidates > 1:
        how += f", by BIC among {candidates}"
    if any(each.faint for each in solution):
        how += "; below the read noise, its intervals by profile likelihood"
    bins: list[Bin] = []
    for each, (z, clipped, total) in zip(solution, residuals, strict=True):
        points = each.moment.points
        bins += variance_bins(z, clipped, levels(points.target_us), points.target_us, each.moment.time_s, total,
                              np.hypot(each.moment.read_us, each.moment.known_us))
    fits = [Fit("programming", model, _parameters(solution), count, how, corrected(bins),
                normality(z[clipped == 0.0] for z, clipped, _ in residuals), tuple(_band(each) for each in solution))]
    if not shifts:
        return fits, section, None
    return [*fits, _shift_fit(solution)], section, _table(solution, g_max, times)


def _parameters(solution: list[_Solution]) -> tuple[Parameter, ...]:
    return tuple(
        replace(row, name=row.name.replace("coefficients", f"coefficients[{index}]"))
        for index, each in enumerate(solution)
        for row in each.intervals()
    )


def _band(each: _Solution) -> Band:
    targets = each.moment.points.target_us
    x = np.linspace(float(targets.min()), float(targets.max()), 200)
    return band(each.estimate, f"{each.moment.time_s:g} s", x, lambda theta: each.form.at(theta[: len(each.form)], x))


def _table(solution: list[_Solution], g_max: float, times: tuple[float, ...]) -> RelaxationSection:
    states = np.unique(np.concatenate([each.states_us for each in solution]))
    rows = [np.interp(states, each.states_us, each.estimate.values[len(each.form):]) for each in solution]
    if states[0] > 0.0:  # a device at 0 stays there
        states, rows = np.concatenate([[0.0], states]), [np.concatenate([[0.0], row]) for row in rows]
    return RelaxationSection(model="table", reference_g_max_us=g_max, states_us=numbers(states), times_s=times,
                             shifts_us=tuple(numbers(row) for row in rows))


def _shift_fit(solution: list[_Solution]) -> Fit:
    found: list[Parameter] = []
    bands = []
    for index, each in enumerate(solution):
        count = len(each.form)
        part = Estimate(each.estimate.values[count:], each.estimate.covariance[count:, count:], 0.0, 1)
        found += parameters(part, [f"shifts_us[{index}] at {state:.4g} µS" for state in each.states_us],
                            ["µS"] * len(each.states_us))
        x = each.states_us
        bands.append(band(part, f"{each.moment.time_s:g} s", x, lambda theta: theta))
    count = sum(len(each.moment.points) for each in solution)
    return Fit("relaxation", "table", tuple(found), count, "maximum likelihood, together with the programming error",
               bands=tuple(bands))


def beyond(points: Points, cell: CellSection) -> list[Finding]:
    """Conductances outside the cell."""
    found = []
    above, below = points.target_us > 1.0001 * cell.g_max_us, points.target_us < 0.9999 * cell.g_min_us
    span = f"g_min = {cell.g_min_us:g} to g_max = {cell.g_max_us:g} µS"
    for mask, said in ((above, "targets above g_max: not fitted"), (below, "targets below g_min")):
        if mask.any():
            found.append(Finding("cell", int(mask.sum()), f"{said}; {span}"))
    read = (points.g_us > 1.0001 * cell.g_max_us) | (points.g_us < 0.9999 * cell.g_min_us)
    if read.any():
        said = "a bounded cell never is" if cell.bounded else "levels near an end may well be"
        found.append(Finding("cell", int(read.sum()), f"reads outside {span} ({said})"))
    negative = points.g_us < 0.0
    if negative.any():
        found.append(Finding("cell", int(negative.sum()), "reads below 0: taken as 0"))
    return found
