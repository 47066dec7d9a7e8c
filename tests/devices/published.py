"""The published device models, written once more, independently of the code under test; and their exact moments.

Conductances in µS, x = g / g_max. Every function takes and gives NumPy arrays.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from pinat_compile.hardware.schema import (
    CellSection,
    Device,
    DriftSection,
    ProgrammingSection,
    ReadNoiseSection,
)

Floats = npt.NDArray[np.float64]
Curve = Callable[[Floats], Floats]

DAY = 86400.0
YEAR = 365.25 * DAY
CELLS = 100_000


def poly(*coefficients: float) -> Curve:
    return lambda x: np.asarray(sum(c * x**k for k, c in enumerate(coefficients)), np.float64)


def clamped_log(a: float, b: float, low: float, high: float) -> Curve:
    return lambda x: np.clip(a * np.log(np.maximum(x, 1e-12)) + b, low, high)


def split(at: float, below: Curve, above: Curve) -> Curve:
    return lambda x: np.where(x < at, below(x), above(x))


@dataclass(frozen=True)
class PhaseChange:
    """A phase-change device: sigma(x) of programming, mean and deviation of nu(x), relative read noise Q(x)."""

    device: Device
    g_max: float
    t0: float
    t_read: float
    sigma: Curve
    mean: Curve
    std: Curve
    q: Curve


def device(g_max: float, t0: float, sigma: tuple[float, ...], drift: dict[str, Any], read: dict[str, Any]) -> Device:
    return Device(
        CellSection(g_min_us=0.0, g_max_us=g_max),
        programming=ProgrammingSection(
            model="polynomial", times_s=(t0,), coefficients=(sigma,), reference_g_max_us=g_max
        ),
        drift=DriftSection(model="power_law", t0_s=t0, **drift),
        read_noise=ReadNoiseSection(**read),
    )


# Doped GST, 90 nm: Joshi et al., Nature Communications 11, 2473 (2020); Nandakumar et al., ICECS 2019.
GST = PhaseChange(
    device(
        25.0, 20.0, (0.26348, 1.9650, -1.1731),
        {"mean_log": (-0.0155, 0.0244), "mean_range": (0.049, 0.1),
         "std_log": (-0.0125, -0.0059), "std_range": (0.008, 0.045)},
        {"model": "power", "q0": 0.0088, "exponent": 0.65, "q_max": 0.2, "t_read_ns": 250.0, "split_s": 1.0},
    ),
    25.0, 20.0, 250e-9, poly(0.26348, 1.9650, -1.1731),
    clamped_log(-0.0155, 0.0244, 0.049, 0.1), clamped_log(-0.0125, -0.0059, 0.008, 0.045),
    lambda x: np.minimum(0.2, 0.0088 / np.maximum(x**0.65, 1e-3)),
)  # fmt: skip

# HERMES, 14 nm: Le Gallo et al., Nature Electronics 6, 680 (2023), one and two devices per polarity.
HERMES_MEAN = split(0.0945, clamped_log(-0.0387, -0.0182, 0.072, 0.13), poly(0.0736, -0.0126, -0.0436))
HERMES_MEAN_KEYS = {
    "mean_log": (-0.0387, -0.0182), "mean_range": (0.072, 0.13), "mean_below": 0.0945,
    "mean": (0.0736, -0.0126, -0.0436),
}  # fmt: skip
HERMES_1 = PhaseChange(
    device(
        10.35, 200.0, (0.15781817, 2.32443916, -2.16310839, 0.68841818),
        {**HERMES_MEAN_KEYS, "std_log": (-0.0120, -0.0023), "std_range": (0.0124, 0.04), "std_below": 0.3039,
         "std": (0.0104, 0.0116, -0.0165)},
        {"model": "curve", "q_log": (-0.0078, 0.0038), "q_range": (0.0179, 0.04), "q_below": 0.1591,
         "q": (0.0088, 0.0768, -0.1352, 0.0664), "t_read_ns": 512.0, "split_s": 1.0},
    ),
    10.35, 200.0, 512e-9, poly(0.15781817, 2.32443916, -2.16310839, 0.68841818), HERMES_MEAN,
    split(0.3039, clamped_log(-0.0120, -0.0023, 0.0124, 0.04), poly(0.0104, 0.0116, -0.0165)),
    split(0.1591, clamped_log(-0.0078, 0.0038, 0.0179, 0.04), poly(0.0088, 0.0768, -0.1352, 0.0664)),
)  # fmt: skip


def hermes_2(shipped: Device) -> PhaseChange:
    """Two devices per polarity: what the shipped target pcm_256x256 says it is."""
    return PhaseChange(
        shipped, 20.7, 300.0, 512e-9, poly(0.16603222, 4.71806468, -8.48101252, 4.68961419), HERMES_MEAN,
        split(0.3055, clamped_log(-0.0117, -0.0057, 0.0091, 0.04), poly(0.0073, 0.0093, -0.0118)),
        split(0.16, clamped_log(-0.0117, -0.0069, 0.015, 0.04), poly(0.0123, 0.0211, -0.0280, 0.0069)),
    )  # fmt: skip


NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def rectified(mean: Floats, sigma: Floats) -> tuple[Floats, Floats]:
    """First and second moment of max(0, N(mean, sigma²))."""
    sigma = np.maximum(sigma, 1e-12)
    a = mean / sigma
    cdf = 0.5 * (1.0 + np.vectorize(math.erf)(a / math.sqrt(2.0)))
    pdf = np.exp(-0.5 * a * a) / math.sqrt(2.0 * math.pi)
    return mean * cdf + sigma * pdf, (mean**2 + sigma**2) * cdf + mean * sigma * pdf


def moments(model: PhaseChange, g: float, time: float, severity: float = 1.0) -> tuple[float, float]:
    """Mean and standard deviation of a read at ``time``: over programming error and nu by quadrature, read exactly."""
    x = np.array(g / model.g_max)
    programmed = np.maximum(g + severity * model.sigma(x) * NODES, 0.0)[:, None]
    nu = np.abs(model.mean(x) + severity * model.std(x) * NODES)[None, :]
    now = programmed * (max(time, model.t0) / model.t0) ** -nu
    grown = math.sqrt(math.log((time + model.t_read) / (2 * model.t_read))) if time > model.t_read else 0.0
    sigma = severity * now * model.q(programmed / model.g_max) * grown
    weight = WEIGHTS[:, None] * WEIGHTS[None, :]
    first, second = (float((weight * moment).sum()) for moment in rectified(now, sigma))
    return first, math.sqrt(second - first**2)


def assert_statistics(sample: Tensor, mean: float, std: float) -> None:
    """Mean and standard deviation within 4.5 standard errors, the latter from the sample's own fourth moment."""
    values = sample.double().numpy().ravel()
    centred = values - values.mean()
    assert abs(values.mean() - mean) < 4.5 * std / math.sqrt(values.size) + 1e-6
    fourth = float((centred**4).mean())
    error = math.sqrt(max(fourth - std**4, 0.0) / values.size) / (2.0 * std) if std > 0.0 else 0.0
    assert abs(values.std() - std) < 4.5 * error + 1e-6
