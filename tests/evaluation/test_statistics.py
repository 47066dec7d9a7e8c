"""Student's t against published tables; the spread over chips."""

import math

import numpy as np
import pytest

from pinat_compile.evaluation.statistics import Spread, t_cdf, t_quantile

TABLE = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 9: 2.262, 24: 2.064, 29: 2.045, 100: 1.984, 1000: 1.962}
"""Two-sided 95 % points (any statistics textbook)."""


@pytest.mark.parametrize(("freedom", "point"), TABLE.items())
def test_quantiles_are_those_of_the_table(freedom: int, point: float) -> None:
    assert t_quantile(0.975, freedom) == pytest.approx(point, abs=6e-4)


@pytest.mark.parametrize("freedom", [1, 2, 3, 8, 31, 250])
def test_distribution_is_the_integral_of_its_density(freedom: int) -> None:
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)
    t = np.linspace(0.0, 2.5, 20001)
    density = scale * (1 + t**2 / freedom) ** (-(freedom + 1) / 2)
    assert t_cdf(2.5, freedom) == pytest.approx(0.5 + np.trapezoid(density, t), abs=1e-8)


def test_many_degrees_of_freedom_approach_the_normal() -> None:
    assert t_quantile(0.975, 99_999) == pytest.approx(1.95996, abs=5e-5)


def test_spread_over_chips() -> None:
    spread = Spread.of([0.8, 0.9, 1.0])
    assert spread.mean == pytest.approx(0.9)
    assert spread.std == pytest.approx(0.1)
    half = 4.3027 * 0.1 / math.sqrt(3)
    assert spread.ci95 == pytest.approx((0.9 - half, 0.9 + half), abs=1e-4)
    assert spread.worst == 0.8 and spread.p5 == pytest.approx(0.81)


def test_bad_is_large_where_lower_is_better() -> None:
    spread = Spread.of([0.8, 0.9, 1.0], higher_is_better=False)
    assert spread.worst == 1.0 and spread.p5 == pytest.approx(0.99)


def test_one_chip_has_no_deviation() -> None:
    assert Spread.of([0.5]) == Spread(mean=0.5, std=None, ci95=None, worst=0.5, p5=0.5)
