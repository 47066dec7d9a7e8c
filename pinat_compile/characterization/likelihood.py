"""Maximum likelihood: estimates, their covariance, and the likelihood of conductances that cannot fall below 0."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq, minimize, nnls
from scipy.special import log_ndtr, ndtr, owens_t
from scipy.stats import chi2
from statsmodels.base.model import GenericLikelihoodModel
from statsmodels.tools.numdiff import approx_fprime, approx_hess3

from pinat_compile.characterization.measurements import Floats, Ints

Loglike = Callable[[Floats], Floats]
"""Parameters [p] -> log likelihood of each observation [n]."""

NORMAL_95 = 1.959964
"""Half the width of a 95 % interval in standard errors."""

HALF_CHI_SQUARE_95 = 1.920729
"""Half the 95 % quantile of chi-square with one degree of freedom."""

_LARGEST = 1e12


class Undetermined(Exception):
    """The data do not determine the parameters."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """Parameters [p] with covariance [p, p], the log likelihood, and the number of independent observations."""

    values: Floats
    covariance: Floats
    loglike: float
    observations: int

    @property
    def errors(self) -> Floats:
        return np.asarray(np.sqrt(np.diag(self.covariance)))

    @property
    def bic(self) -> float:
        """Bayesian information criterion (Schwarz 1978): p ln n - 2 ln L; the smaller, the better."""
        return len(self.values) * float(np.log(self.observations)) - 2.0 * self.loglike

    def band(self, function: Callable[[Floats], Floats]) -> tuple[Floats, Floats]:
        """A function of the parameters and the standard error of what it gives, by the delta method."""
        value = function(self.values)
        steps = 0.01 * np.where(self.errors > 0.0, self.errors, 1.0)
        slope = np.stack([
            (function(self.values + step) - function(self.values - step)) / (2.0 * step.sum())
            for step in np.diag(steps)
        ], axis=-1)  # [..., p]
        return value, np.sqrt(np.einsum("...i,ij,...j->...", slope, self.covariance, slope).clip(min=0.0))


class _Model(GenericLikelihoodModel):  # type: ignore[misc]
    """Any likelihood, in coordinates in which a standard error is about 1: finite steps are safe and sure there."""

    def __init__(self, loglike: Loglike, start: Floats, frame: Floats, observations: int) -> None:
        super().__init__(np.zeros(observations), np.zeros((observations, len(start))), hasconst=False)
        self._loglike, self._start, self._frame = loglike, start, frame
        self.df_model, self.df_resid = len(start), observations - len(start)

    def loglikeobs(self, params: Floats) -> Floats:
        rows = self._loglike(self._start + self._frame @ params)
        return np.nan_to_num(rows, nan=-_LARGEST, neginf=-_LARGEST)

    def score_obs(self, params: Floats) -> Floats:
        return np.asarray(approx_fprime(params, self.loglikeobs, epsilon=1e-3, centered=True))

    def score(self, params: Floats) -> Floats:
        return np.asarray(self.score_obs(params).sum(axis=0))

    def hessian(self, params: Floats) -> Floats:
        return np.asarray(approx_hess3(params, self.loglike, epsilon=0.1))


def maximise(loglike: Loglike, start: Floats, *, groups: Ints | None = None) -> Estimate:
    """The parameters that make the observations most likely, from ``start``; raises Undetermined.

    ``groups`` [n]: observations of one group depend on each other; the covariance then is the sandwich of White (1982)
    with scores added up per group.
    """
    start = np.asarray(start, np.float64)
    observations = len(loglike(start))
    values = start
    for _ in range(3):  # each time in the coordinates of the last
        model = _Model(loglike, values, _frame(loglike, values), observations)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what did not converge shows below
            found = model.fit(np.zeros(len(start)), method="bfgs", maxiter=200, disp=0, skip_hessian=True)
        moved = float(np.abs(found.params).max())
        values = values + model._frame @ found.params
        if moved < 0.01:
            break
    return _estimate(loglike, values, observations, groups)


def held(estimate: Estimate, rows: Floats, least: float) -> Estimate | None:
    """The point nearest to an estimate, counted in its errors, at which ``rows`` [n, p] @ values >= ``least``.

    Least distance programming (Lawson and Hanson 1974, chapter 23). Where the truth is such a point this brings the
    estimate nearer to it, and intervals cover no less. ``None`` where it is too far (beyond 99.9 %).
    """
    short = least - rows @ estimate.values
    if short.max() <= 0.0:
        return estimate
    frame = np.linalg.cholesky(estimate.covariance)
    system = np.vstack([(rows @ frame).T, short])  # [p + 1, n]
    wanted = np.append(np.zeros(len(estimate.values)), 1.0)
    rest = system @ nnls(system, wanted)[0] - wanted
    way = -rest[:-1] / rest[-1] if rest[-1] else np.full(len(frame), np.inf)
    square = float(way @ way)
    if not square < chi2.ppf(0.999, len(way)):
        return None
    return replace(estimate, values=estimate.values + frame @ way, loglike=estimate.loglike - 0.5 * square)


def profile_interval(loglike: Loglike, estimate: Estimate, index: int) -> tuple[float, float]:
    """The 95 % interval of one parameter by its profile likelihood (Venzon and Moolgavkar 1988).

    The values at which the likelihood, the other parameters at their best, falls by half of chi-square's quantile. It
    holds where the likelihood is no parabola, where Wald's intervals do not.
    """
    value, error = float(estimate.values[index]), float(estimate.errors[index])
    others = np.arange(len(estimate.values)) != index
    slope = estimate.covariance[others, index] / error**2
    rest = estimate.covariance[np.ix_(others, others)] - np.outer(slope, slope) * error**2
    frame = np.linalg.cholesky(rest)  # in which the others' errors are 1
    top = float(loglike(estimate.values).sum())

    def fallen(steps: float) -> float:
        at = estimate.values.copy()
        at[index] = value + steps * error
        near = at[others] + slope * steps * error

        def cost(z: Floats) -> float:
            at[others] = near + frame @ z
            return -float(np.nan_to_num(loglike(at), nan=-_LARGEST, neginf=-_LARGEST).sum())

        best = minimize(cost, np.zeros(len(frame)), method="BFGS", options={"gtol": 0.02}) if len(frame) else None
        return top - HALF_CHI_SQUARE_95 + float(cost(np.zeros(0)) if best is None else best.fun)

    ends = []
    for sign in (-1.0, 1.0):
        far = next((reach for reach in (2.0, 3.0, 4.0, 6.0, 9.0) if fallen(sign * reach) > 0.0), None)
        steps = np.inf if far is None else brentq(lambda reach, sign=sign: fallen(sign * reach), 0.0, far, xtol=0.02)
        ends.append(value + sign * steps * error)
    return ends[0], ends[1]


def _estimate(loglike: Loglike, values: Floats, observations: int, groups: Ints | None) -> Estimate:
    model = _Model(loglike, values, _frame(loglike, values), observations)
    zero = np.zeros(len(values))
    information = -model.hessian(zero)
    if not np.isfinite(information).all() or np.linalg.eigvalsh(information).min() <= 1e-6:
        raise Undetermined
    inner = np.linalg.inv(information)
    independent = observations
    if groups is not None:
        scores = model.score_obs(zero)
        independent = int(groups.max()) + 1
        added = np.stack([np.bincount(groups, row, independent) for row in scores.T], axis=1)
        inner = inner @ (added.T @ added) @ inner * independent / (independent - 1)
    covariance = model._frame @ inner @ model._frame.T
    return Estimate(values, covariance, float(model.loglike(zero)), independent)


def _frame(loglike: Loglike, at: Floats) -> Floats:
    """Coordinates [p, p] in which the outer product of the scores is 1; raises Undetermined."""
    steps = 1e-4 * np.maximum(np.abs(at), 0.01 * np.abs(at).max() + 1e-12)
    scores = np.stack([
        (loglike(at + step) - loglike(at - step)) / 2.0 for step in np.diag(steps)
    ], axis=1)  # [n, p], per step
    if not np.isfinite(scores).all():
        raise Undetermined
    values, vectors = np.linalg.eigh(scores.T @ scores)
    if values[0] <= 1e-13 * max(values[-1], 1e-300):
        raise Undetermined
    return np.asarray(steps[:, None] * (vectors / np.sqrt(values)))


def clipped_loglike(g: Floats, mean: Floats, sd: Floats, read: Floats, low: float, high: float) -> Floats:
    """Log likelihood [n] of reads ``g`` of devices N(mean, sd²) with read noise N(0, read²), held within bounds.

    Neither a device nor its read leaves these bounds: near one the density is that of max(0, max(0, N(mean, sd²)) +
    N(0, read²)) from there; without read noise that of a censored normal (Tobin 1958). sd, read: [n].
    """
    total = np.sqrt(sd**2 + read**2)
    z = (g - mean) / total
    rows: Floats = -0.5 * z * z - np.log(total) - 0.9189385332046727
    below, above = g <= low, g >= high
    rows[above] = log_ndtr(-(high - mean[above]) / total[above])
    rows[below] = log_ndtr((low - mean[below]) / total[below])
    noisy = read > 1e-6 * total
    for bound, sign in ((low, 1.0), (high, -1.0)):
        near = noisy & (sign * (mean - bound) < 6.0 * total)
        if near.any():
            rows[near] = _clipped_twice(sign * (g[near] - bound), sign * (mean[near] - bound), sd[near], read[near])
    return rows


def _clipped_twice(g: Floats, mean: Floats, sd: Floats, read: Floats) -> Floats:
    """log of the density, where g > 0, and of the probability of a 0 elsewhere."""
    total = np.sqrt(sd**2 + read**2)
    g = g.clip(min=0.0)
    at_zero = ndtr(-mean / sd)  # the device itself
    middle = (mean * read**2 + g * sd**2) / (total * sd * read)
    density = _normal(g - mean, total) * ndtr(middle) + at_zero * _normal(g, read)
    zero = 0.5 * at_zero + ndtr(-mean / total) - _both_below(-mean / sd, -mean / total, sd / total)
    return np.asarray(np.log(np.where(g > 0.0, density, zero).clip(min=1e-300)))


def _normal(x: Floats, sd: Floats) -> Floats:
    return np.asarray(np.exp(-0.5 * (x / sd) ** 2) / (sd * 2.5066282746310002))


def _both_below(h: Floats, k: Floats, rho: Floats) -> Floats:
    """P(X < h, Y < k) of standard normals with correlation rho, h and k of one sign (Owen 1956)."""
    h, k = np.where(h == 0.0, -1e-12, h), np.where(k == 0.0, -1e-12, k)
    root = np.sqrt((1.0 - rho**2).clip(min=1e-12))
    first, second = owens_t(h, (k / h - rho) / root), owens_t(k, (h / k - rho) / root)
    return np.asarray(0.5 * (ndtr(h) + ndtr(k)) - first - second)
