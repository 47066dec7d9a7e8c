"""Does the model hold? Residuals bin by bin: their variance by chi-square, their mean, and whether they are normal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from pinat_compile.characterization.likelihood import NORMAL_95, Estimate
from pinat_compile.characterization.measurements import Floats, Ints
from pinat_compile.characterization.result import Band, Bin, Finding, Fit, Parameter

FEWEST = 8
"""A bin with fewer residuals is not judged."""
LONGEST = 5
"""Bins that a finding lists by name, at most."""


def parameters(estimate: Estimate, names: Sequence[str], units: Sequence[str]) -> tuple[Parameter, ...]:
    """Estimates with their Wald intervals."""
    rows = zip(names, estimate.values.tolist(), estimate.errors.tolist(), units, strict=True)
    return tuple(Parameter(name, value, error, value - NORMAL_95 * error, value + NORMAL_95 * error, unit)
                 for name, value, error, unit in rows)


def band(estimate: Estimate, label: str, x: Floats, function: Callable[[Floats], Floats]) -> Band:
    """A fitted curve with its interval."""
    value, error = estimate.band(function)
    return Band(label, x, value, value - NORMAL_95 * error, value + NORMAL_95 * error)


def variance_bins(
    z: Floats, clipped: Floats, group: Ints, g: Floats, time: float, sigma: Floats, apart_us: Floats
) -> list[Bin]:
    """Bins of standardised residuals ``z`` [n] about the model's mean; shown as standard deviations in µS.

    ``sigma`` [n] in µS is what the residuals are divided by; of it ``apart_us`` is read noise, and is not shown.
    """
    found = []
    for level in np.unique(group):
        inside = group == level
        count, part = int(inside.sum()), z[inside]
        ratio = float((part**2).mean())
        whole, apart = float((sigma[inside] ** 2).mean()), float((apart_us[inside] ** 2).mean())
        shares = (ratio, ratio * count / stats.chi2.ppf(0.975, count), ratio * count / stats.chi2.ppf(0.025, count))
        observed, low, high = (max(share * whole - apart, 0.0) ** 0.5 for share in shares)
        free = not bool((clipped[inside] > 0).any()) and count >= FEWEST
        p = _p(float(part.var(ddof=1)) * (count - 1), count - 1, float(part.mean()) * count**0.5) if free else None
        found.append(Bin(float(g[inside].mean()), time, count, observed, low, high, (whole - apart) ** 0.5,
                         ratio, float(part.mean()), p))
    return found


def chi_square_bins(squares: Floats, free: Ints, group: Ints, g: Floats, time: Floats, sigma: Floats) -> list[Bin]:
    """Bins of sums of squares over their variance, each with its degrees of freedom; standard deviations in µS."""
    found = []
    for level in np.unique(group):
        inside = group == level
        degrees, total = int(free[inside].sum()), float(squares[inside].sum())
        fitted = float(np.sqrt(np.average(sigma[inside] ** 2, weights=free[inside])))
        ratio = total / degrees
        low, high = (float(np.sqrt(total / stats.chi2.ppf(q, degrees))) for q in (0.975, 0.025))
        p = _p(total, degrees, 0.0) if degrees >= FEWEST else None
        found.append(Bin(float(g[inside].mean()), float(np.median(time[inside])), degrees, fitted * ratio**0.5,
                         fitted * low, fitted * high, fitted, ratio, 0.0, p))
    return found


def mean_bins(z: Floats, group: Ints, g: Floats, values: Floats, fitted: Floats, time: float) -> list[Bin]:
    """Bins of standardised residuals, shown as means of ``values`` beside those of ``fitted``."""
    found = []
    for level in np.unique(group):
        inside = group == level
        count, part, here = int(inside.sum()), z[inside], values[inside]
        error = NORMAL_95 * float(here.std()) / count**0.5
        middle = float(here.mean())
        spread = float(part.var(ddof=1)) * (count - 1) if count > 1 else 0.0
        p = _p(spread, count - 1, float(part.mean()) * count**0.5) if count >= FEWEST else None
        found.append(Bin(float(g[inside].mean()), time, count, middle, middle - error, middle + error,
                         float(fitted[inside].mean()), float((part**2).mean()), float(part.mean()), p))
    return found


def _p(squares: float, degrees: int, mean: float) -> float:
    """Two-sided, of a sum of squares and of a standardised mean: twice the smaller of the two."""
    upper = float(stats.chi2.sf(squares, degrees))
    return min(1.0, 2.0 * min(2.0 * upper, 2.0 * (1.0 - upper), 2.0 * float(stats.norm.sf(abs(mean)))))


def corrected(bins: Iterable[Bin]) -> tuple[Bin, ...]:
    """The same with p corrected for how many there are (Holm 1979)."""
    bins = tuple(bins)
    raw = np.array([each.p for each in bins if each.p is not None])
    order = np.argsort(raw)
    steps = np.maximum.accumulate((len(raw) - np.arange(len(raw))) * raw[order]).clip(max=1.0)
    values = iter(steps[np.argsort(order)].tolist())
    return tuple(each if each.p is None else replace(each, p=next(values)) for each in bins)


def normality(rows: Iterable[Floats]) -> float | None:
    """p of Kolmogorov-Smirnov tests of standardised residuals, one for each time: the smallest, times their number.

    Devices keep their errors: the times are not independent. ``None`` where none has 20 residuals.
    """
    found = [float(stats.kstest(z, "norm").pvalue) for z in rows if len(z) >= 20]
    return min(1.0, len(found) * min(found)) if found else None


def findings(fit: Fit) -> list[Finding]:
    """What of a fit's checks failed."""
    bad = [each for each in fit.bins if each.deviates]
    found = []
    if bad:
        named = "; ".join(
            f"{each.g_us:.3g} µS at {each.time_s:.3g} s: variance x {each.ratio:.2g}, mean {each.mean_sigma:+.2f} sigma"
            for each in sorted(bad, key=lambda each: each.p or 0.0)[:LONGEST])
        more = f"; and {len(bad) - LONGEST} more" if len(bad) > LONGEST else ""
        what = f"bins (of {len(fit.bins)}) where the residuals are not those of the model: {named}{more}"
        found.append(Finding(fit.section, len(bad), what))
    grows = _growth(fit)
    if grows is not None:
        found.append(grows)
    if fit.normal_p is not None and fit.normal_p < 0.001:
        found.append(Finding(fit.section, fit.measurements, "measurements whose standardised residuals are not normal "
                             f"(Kolmogorov-Smirnov, p = {fit.normal_p:.1g})"))
    return found


def _growth(fit: Fit) -> Finding | None:
    """Read noise whose variance is larger at the last time than at the first, by an F test at 0.1 %."""
    times = sorted({each.time_s for each in fit.bins}) if fit.section == "read_noise" else []
    if len(times) < 2:
        return None
    (first, few), (last, many) = (_pooled([each for each in fit.bins if each.time_s == time])
                                  for time in (times[0], times[-1]))
    if float(stats.f.sf(last / first, many, few)) > 0.001:
        return None
    what = (f"degrees of freedom at {times[-1]:.3g} s, where a read has {last / first:.3g} times the variance at "
            f"{times[0]:.3g} s: noise that accumulates (--set read_noise.t_read_ns=… fits 1/f noise)")
    return Finding("read_noise", many, what)


def _pooled(bins: Sequence[Bin]) -> tuple[float, int]:
    """Mean ratio of the variances, and degrees of freedom."""
    degrees = sum(each.count for each in bins)
    return sum(each.ratio * each.count for each in bins) / degrees, degrees
