"""Measures against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pinat_compile.ebm import measures
from pinat_compile.ebm.rbm import Rbm
from pinat_compile.ebm.samplers import DigitalSampler

SOURCE = torch.Generator().manual_seed(0)


def test_moments() -> None:
    data = (torch.rand(20_000, 4, generator=SOURCE) < 0.5).float()
    together = data.clone()
    together[:, 1] = together[:, 0]
    means, covariances = measures.moment_errors(together, data)
    assert means < 0.01
    assert covariances == pytest.approx(math.sqrt(2 * 0.25**2 / 16), rel=0.05)  # two entries of 16 are 1/4 off


def test_mmd_is_zero_in_the_mean_only_where_distributions_agree() -> None:
    draws = torch.randn(20, 2, 200, 3, generator=SOURCE)
    same = torch.tensor([measures.mmd(a, b, 1.0) for a, b in draws])
    assert abs(float(same.mean())) < 4.0 * float(same.std()) / 20**0.5
    # two normals of variance 1 at a distance d: 2 (1 - exp(-d² / (2 (b² + 2)))) (b² / (b² + 2))^(n/2)
    shifted = torch.tensor([measures.mmd(a, b + torch.tensor([2.0, 0, 0]), 1.0) for a, b in draws])
    assert float(shifted.mean()) == pytest.approx(2 * (1 - math.exp(-4 / 6)) * (1 / 3) ** 1.5, rel=0.05)


@settings(max_examples=10, deadline=None)
@given(shift=st.floats(0, 3), size=st.floats(0.5, 2))
def test_frechet_distance_of_gaussians(shift: float, size: float) -> None:
    x = torch.randn(500, 3, generator=torch.Generator().manual_seed(1))
    found = measures.frechet_distance(x * size + shift, x)
    spread = float((torch.cov(x.double().T).trace()) * (size - 1) ** 2)
    mean = (x.double().mean(dim=0) * (size - 1) + shift).square().sum()
    assert found == pytest.approx(float(mean) + spread, abs=1e-4)


def test_coverage() -> None:
    labels = torch.tensor([0] * 500 + [1] * 500 + [2] * 3)
    covered, effective = measures.coverage(labels, 10)
    assert covered == 2
    assert effective == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_autocorrelation_time_of_a_first_order_process(rho: float) -> None:
    x, steps = torch.randn(40, generator=SOURCE), []
    for _ in range(3000):
        x = rho * x + math.sqrt(1 - rho**2) * torch.randn(40, generator=SOURCE)
        steps.append(x)
    assert measures.autocorrelation_time(torch.stack(steps)) == pytest.approx((1 + rho) / (1 - rho), rel=0.1)


def test_a_chain_that_does_not_move() -> None:
    assert math.isinf(measures.autocorrelation_time(torch.ones(100, 3)))
    stuck = torch.tensor([0.0, 1.0]).expand(400, 2)
    assert measures.autocorrelation_time(stuck) > 100


def test_inpainting_by_a_machine_that_knows_its_images() -> None:
    """One hidden unit that holds two patterns, all on and all off: half of an image tells the other half."""
    rbm = Rbm(torch.full((10, 1), 4.0), torch.full((10,), -2.0), torch.tensor([-20.0]))
    known = torch.arange(10) < 5
    images = torch.cat([torch.zeros(20, 10), torch.ones(20, 10)])
    before, after = measures.inpainting_errors(DigitalSampler(rbm, SOURCE), images, known)
    assert before == pytest.approx(2.5)
    assert after < 0.3
