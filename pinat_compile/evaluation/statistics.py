"""Statistics over chips: deviation, t-interval, percentile, worst."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How a figure spreads over chips. ``std`` (n - 1) and ``ci95`` are None for a single chip.

    ``ci95`` is the t-interval of the mean; ``p5`` the 5th percentile counted from the bad end, ``worst`` the bad end.
    """

    mean: float
    std: float | None
    ci95: tuple[float, float] | None
    worst: float
    p5: float

    @classmethod
    def of(cls, values: Sequence[float], *, higher_is_better: bool = True) -> Spread:
        """The spread of one value per chip, at least one."""
        x = np.asarray(values, dtype=np.float64)
        bad = 5.0 if higher_is_better else 95.0
        with np.errstate(invalid="ignore"):  # a PSNR may be infinite
            mean, std = float(x.mean()), float(x.std(ddof=1)) if len(x) > 1 else None
            percentile = float(np.percentile(x, bad))
        return cls(
            mean=mean,
            std=std,
            ci95=None if std is None else _interval(mean, std, len(x)),
            worst=float(x.min() if higher_is_better else x.max()),
            p5=percentile,
        )


def _interval(mean: float, std: float, count: int) -> tuple[float, float]:
    half = t_quantile(0.975, count - 1) * std / math.sqrt(count)
    return mean - half, mean + half


def t_quantile(probability: float, freedom: int) -> float:
    """The value that Student's t with ``freedom`` degrees of freedom stays below with ``probability`` in (0.5, 1)."""
    low, high = 0.0, 1.0
    while t_cdf(high, freedom) < probability:
        high *= 2.0
    for _ in range(100):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if t_cdf(middle, freedom) < probability else (low, middle)
    return high


def t_cdf(t: float, freedom: int) -> float:
    """P(T <= t) for t >= 0 and a whole number of degrees of freedom: a finite sum.

    Abramowitz and Stegun, Handbook of Mathematical Functions (1964), equations 26.7.3 (odd) and 26.7.4 (even), with
    theta = arctan(t / sqrt(freedom)).
    """
    theta = math.atan(t / math.sqrt(freedom))
    cosine = math.cos(theta)
    odd = freedom % 2
    steps = np.arange(1 + odd, freedom - 2 + odd, 2, dtype=np.float64)  # odd: 2, 4, …; even: 1, 3, …
    terms = np.concatenate(([1.0], np.cumprod(steps / (steps + 1.0) * cosine**2)))
    if odd:
        inside = math.sin(theta) * cosine * float(terms.sum()) if freedom > 1 else 0.0
        share = 2.0 / math.pi * (theta + inside)
    else:
        share = math.sin(theta) * float(terms.sum())
    return 0.5 + 0.5 * share
