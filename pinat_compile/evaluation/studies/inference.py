"""What differences are worth: paired over chips, intervals over seeds, corrected for the number of baselines.

Per seed the mean over chips of the paired difference; over seeds a t-interval and a t-test, their p-values corrected
after Holm (1979); beside them a bootstrap over chips, not in their place. All figures in points (per cent).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pinat_compile.errors import extra_needed

Floats = npt.NDArray[np.float64]

LEAST = 0.3
"""Points that a difference must have to count as a win."""
MARGIN = 0.5
"""Points that "at least as good" may be below, at the lower end of the interval."""
RESAMPLES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """``ours`` minus ``theirs``; ``None`` where one seed, or one chip, tells nothing."""

    mean: float
    ci95: tuple[float, float] | None
    p: float | None
    p_holm: float | None
    bootstrap95: tuple[float, float] | None
    seeds: int

    @property
    def verdict(self) -> str:
        """better, worse, at least as good, or tie; not known without an interval."""
        if self.ci95 is None or self.p_holm is None:
            return "one seed"
        apart = self.p_holm < 0.05 and not self.ci95[0] <= 0.0 <= self.ci95[1]
        if apart and self.mean >= LEAST:
            return "better"
        if apart and self.mean <= -LEAST:
            return "worse"
        return "at least as good" if self.ci95[0] > -MARGIN else "tie"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "verdict": self.verdict}


def difference(ours: Floats, theirs: Floats) -> Difference:
    """Of two tables [seeds, chips] in points, of the same seeds and chips."""
    per_seed = (ours - theirs).mean(axis=1)
    interval, p = _over_seeds(per_seed)
    return Difference(
        mean=float(per_seed.mean()), ci95=interval, p=p, p_holm=p,
        bootstrap95=_over_chips((ours - theirs).mean(axis=0)), seeds=len(per_seed),
    )


def corrected(found: Sequence[Difference]) -> list[Difference]:
    """Holm's correction over all that belong together."""
    known = [index for index, item in enumerate(found) if item.p is not None]
    if not known:
        return list(found)
    try:
        from statsmodels.stats.multitest import multipletests
    except ImportError:
        raise extra_needed("a study", "statsmodels", "study") from None
    values = multipletests([found[index].p for index in known], method="holm")[1]
    result = list(found)
    for index, value in zip(known, values, strict=True):
        result[index] = replace(found[index], p_holm=float(value))
    return result


def _over_seeds(per_seed: Floats) -> tuple[tuple[float, float] | None, float | None]:
    """The 95 % t-interval of the mean, and the p-value of 0."""
    count = len(per_seed)
    if count < 2:
        return None, None
    try:
        from scipy import stats
    except ImportError:
        raise extra_needed("a study", "scipy", "study") from None
    mean, error = float(per_seed.mean()), float(per_seed.std(ddof=1)) / math.sqrt(count)
    if error == 0.0:
        return (mean, mean), 1.0 if mean == 0.0 else 0.0
    low, high = stats.t.interval(0.95, count - 1, loc=mean, scale=error)
    return (float(low), float(high)), float(2.0 * stats.t.sf(abs(mean) / error, count - 1))


def _over_chips(per_chip: Floats) -> tuple[float, float] | None:
    """The 95 % bootstrap interval of the mean over chips."""
    if len(per_chip) < 2:
        return None
    drawn = np.random.default_rng(0).integers(0, len(per_chip), (RESAMPLES, len(per_chip)))
    low, high = np.percentile(per_chip[drawn].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)


def area(severities: Sequence[float], accuracies: Floats) -> Floats:
    """AUC: the trapezoid over severities, divided by their span; ``accuracies`` [severity, ...]."""
    x = np.asarray(severities)
    found: Floats = np.trapezoid(accuracies, x, axis=0) / (x[-1] - x[0])
    return found
