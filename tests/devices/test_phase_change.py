"""Phase-change memory against the published equations: doped GST (Joshi 2020; Nandakumar 2019) and HERMES (2023)."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from pinat_compile.hardware.loader import load_target
from pinat_compile.hardware.schema import CellSection, Device, ProgrammingSection
from pinat_compile.physics.devices import Draws, disturb, drift_exponent, hold, read_variance_us2, sample_conductance
from pinat_compile.physics.devices.read_noise import accumulated
from tests.devices.published import (
    CELLS,
    DAY,
    GST,
    HERMES_1,
    YEAR,
    PhaseChange,
    assert_statistics,
    hermes_2,
    moments,
)

HERMES_2 = hermes_2(load_target("pcm_256x256").device)
MODELS = [
    pytest.param(GST, id="doped GST, Joshi 2020 and Nandakumar 2019"),
    pytest.param(HERMES_1, id="HERMES, one device, Le Gallo 2023"),
    pytest.param(HERMES_2, id="HERMES, two devices, Le Gallo 2023"),
]


def generator(seed: int = 11) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cells(model: PhaseChange, x: float) -> torch.Tensor:
    return torch.full((CELLS,), x * model.g_max, dtype=torch.float64)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("time_s", [0.0, 1.0, 400.0, 3600.0, DAY, YEAR])
@pytest.mark.parametrize("x", [0.0, 0.02, 0.12, 0.2, 0.5, 1.0])
def test_mean_and_deviation_of_a_read(model: PhaseChange, x: float, time_s: float) -> None:
    """Programming error, nu of the target's x, Q of the programmed x, read noise relative to the drifted g."""
    sample = sample_conductance(model.device, cells(model, x), time_s=time_s, generator=generator())
    assert_statistics(sample, *moments(model, x * model.g_max, time_s))


@pytest.mark.parametrize("severity", [0.0, 0.5, 2.0])
def test_severity_multiplies_every_sigma(severity: float) -> None:
    """Of programming, of nu, of the read; the mean of nu stays."""
    sample = sample_conductance(GST.device, cells(GST, 0.4), time_s=DAY, severity=severity, generator=generator())
    assert_statistics(sample, *moments(GST, 10.0, DAY, severity))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("x", [0.05, 0.3, 0.9])
def test_quantiles_of_drift(model: PhaseChange, x: float) -> None:
    """ln(g(t1) / g(t2)) / ln(t2 / t1) is nu = |N(mean, std²)|: 5 to 95 % quantiles, within sampling error."""
    only = Device(model.device.cell, drift=model.device.drift)
    draws = Draws(drift=torch.randn(CELLS, generator=generator(), dtype=torch.float64))
    early, late = (disturb(only, cells(model, x), draws, time_s=t) for t in (model.t0, YEAR))
    nu = ((early / late).log() / math.log(YEAR / model.t0)).numpy()
    mean, std = (float(curve(np.array(x))) for curve in (model.mean, model.std))
    grid = torch.linspace(0, mean + 6 * std, 20001, dtype=torch.float64)
    cdf = (torch.special.ndtr((grid - mean) / std) - torch.special.ndtr((-grid - mean) / std)).numpy()
    for p in (0.05, 0.25, 0.5, 0.75, 0.95):
        expected = float(np.interp(p, cdf, grid.numpy()))
        density = float(np.gradient(cdf, grid.numpy())[np.searchsorted(cdf, p)])
        error = math.sqrt(p * (1 - p) / CELLS) / density
        assert abs(np.quantile(nu, p) - expected) < 4.5 * error


@pytest.mark.parametrize("model", MODELS)
def test_no_drift_until_t0_and_no_flicker_until_t_read(model: PhaseChange) -> None:
    draws = Draws(drift=torch.randn(1000, generator=generator()))
    only = Device(model.device.cell, drift=model.device.drift)
    g = torch.full((1000,), 0.5 * model.g_max)
    for time_s in (0.0, 1.0, model.t0):
        assert torch.equal(disturb(only, g, draws, time_s=time_s), g)
    assert bool((disturb(only, g, draws, time_s=1.01 * model.t0) < g).all())
    for time_s in (0.0, model.t_read):
        assert read_variance_us2(model.device, g, time_s=time_s) == 0.0
    assert model.device.t0_s == model.t0


@pytest.mark.parametrize("model", MODELS)
def test_a_chip_keeps_its_nu(model: PhaseChange) -> None:
    """Three times of one chip lie on one power law, device by device, and drift is monotone."""
    count = 1000
    device = dataclasses.replace(model.device, read_noise=None)
    draws = Draws(
        programming=torch.randn(count, generator=generator(1), dtype=torch.float64),
        drift=torch.randn(count, generator=generator(2), dtype=torch.float64),
    )
    g = torch.full((count,), 0.6 * model.g_max, dtype=torch.float64)
    at = [disturb(device, g, draws, time_s=model.t0 * ratio) for ratio in (1.0, 10.0, 100.0, 1000.0)]
    steps = [(a / b).log() / math.log(10.0) for a, b in zip(at, at[1:], strict=False)]
    assert torch.allclose(steps[0], steps[1]) and torch.allclose(steps[0], steps[2])
    assert draws.drift is not None and device.drift is not None
    assert torch.allclose(steps[0], drift_exponent(device, g, draws.drift))
    assert float(steps[0].std()) > 0.005
    assert all(bool((b <= a).all()) for a, b in zip(at, at[1:], strict=False))


@pytest.mark.parametrize("time_s", [1e-3, 0.5, 1.0, 20.0, DAY])
def test_slow_and_fast_part_add_up(time_s: float) -> None:
    """var = Q² ln((t + t_read) / (2 t_read)); up to split_s all of it is fresh, and what comes later is kept."""
    section = GST.device.read_noise
    assert section is not None
    fresh, kept = accumulated(section, time_s)
    assert fresh + kept == pytest.approx(math.log((time_s + 250e-9) / 500e-9))
    assert (kept == 0.0) == (time_s <= 1.0)
    assert fresh == pytest.approx(math.log((min(time_s, 1.0) + 250e-9) / 500e-9))
    assert accumulated(dataclasses.replace(section, split_s=None), time_s) == (fresh + kept, 0.0)


def test_the_kept_part_has_its_variance() -> None:
    draws = Draws(slow=torch.randn(CELLS, generator=generator(), dtype=torch.float64))
    held = hold(GST.device, cells(GST, 0.4), draws, time_s=DAY)
    q = float(GST.q(np.array(0.4)))
    kept = math.log((DAY + 250e-9) / (1.0 + 250e-9))
    assert_statistics(held.now, 10.0, 10.0 * q * math.sqrt(kept))
    assert torch.equal(held.settled, cells(GST, 0.4))
    fresh = read_variance_us2(GST.device, held.settled, time_s=DAY, programmed_us=held.programmed)
    assert isinstance(fresh, torch.Tensor)
    assert fresh[0].item() == pytest.approx((10.0 * q) ** 2 * math.log((1.0 + 250e-9) / 500e-9))


def test_joshi_2020_second_fit() -> None:
    """Fig. 3b: sigma = -0.00178767 g² + 0.07585724 g + 0.28638599 for g up to 25 µS."""
    fit = (0.28638599, 0.07585724 * 25, -0.00178767 * 25**2)
    device = Device(
        CellSection(g_min_us=0.0, g_max_us=25.0),
        programming=ProgrammingSection(
            model="polynomial", times_s=(20.0,), coefficients=(fit,), reference_g_max_us=25.0
        ),
    )
    for g in (6.0, 12.0, 25.0):
        sample = sample_conductance(device, torch.full((CELLS,), g), generator=generator())
        assert_statistics(sample, g, -0.00178767 * g**2 + 0.07585724 * g + 0.28638599)


def test_gradients_through_drift_and_noise() -> None:
    """Against finite differences, with all that depends on the state differentiated."""
    g = torch.tensor([1.0, 4.0, 15.0], dtype=torch.float64, requires_grad=True)
    draws = Draws(**{
        role: torch.full((3,), value, dtype=torch.float64)
        for role, value in (("programming", 0.3), ("drift", 0.7), ("slow", -0.4))
    })

    def now(target: torch.Tensor) -> torch.Tensor:
        return hold(HERMES_2.device, target, draws, time_s=DAY, sigma_gradient=True).now

    def variance(conductance: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(read_variance_us2(HERMES_2.device, conductance, time_s=DAY))

    assert torch.autograd.gradcheck(now, (g,), eps=1e-6, atol=1e-6)
    assert torch.autograd.gradcheck(variance, (g,), eps=1e-6, atol=1e-6)
