"""Devices: statistics against the published equations, and what holds for any device."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from pinat_compile.errors import OptionError
from pinat_compile.hardware.schema import (
    CellSection,
    Device,
    MismatchSection,
    ProgrammingSection,
    ReadNoiseSection,
    StuckSection,
)
from pinat_compile.physics.devices import (
    Draws,
    disturb,
    draw_roles,
    programming_sigma_us,
    read_variance_us2,
    sample_conductance,
)

DAY = 86400.0
CELLS = 100_000

# Wan et al., Nature 608, 504 (2022), Extended Data Fig. 3d: deviation from the target of HfO2 1T1R cells 1 s, 1 day and
# 2 days after programming; polynomials in x = g / 40 µS as fitted by aihwkit (ReRamWan2022NoiseModel).
WAN = {
    1.0: (0.348, 16.030, -43.853, 45.393, -16.815),
    DAY: (0.701, 22.086, -50.773, 47.095, -16.458),
    2 * DAY: (0.782, 20.274, -43.507, 37.062, -11.934),
}


def wan_device(g_max_us: float = 40.0, **sections: Any) -> Device:
    programming = ProgrammingSection(
        model="polynomial", times_s=tuple(WAN), coefficients=tuple(WAN.values()), reference_g_max_us=40.0
    )
    cell = CellSection(bits=4, g_min_us=1.0, g_max_us=g_max_us)
    return Device(cell, **{"programming": programming, **sections})


def wan_sigma(g_us: float, time_s: float, g_max_us: float = 40.0) -> float:
    """The published polynomial, evaluated independently of the code under test; linear in ln t between the times."""
    x = g_us / g_max_us
    at = {time: sum(c * x**k for k, c in enumerate(row)) * g_max_us / 40.0 for time, row in WAN.items()}
    times = sorted(at)
    if time_s <= times[0] or time_s >= times[-1]:
        return at[times[0]] if time_s <= times[0] else at[times[-1]]
    low = max(time for time in times if time <= time_s)
    high = min(time for time in times if time > time_s)
    weight = (math.log(time_s) - math.log(low)) / (math.log(high) - math.log(low))
    return (1 - weight) * at[low] + weight * at[high]


def rectified(mean: float, sigma: float) -> tuple[float, float]:
    """Mean and standard deviation of max(0, N(mean, sigma²))."""
    a = mean / sigma
    cdf, pdf = 0.5 * (1 + math.erf(a / math.sqrt(2))), math.exp(-a * a / 2) / math.sqrt(2 * math.pi)
    first = mean * cdf + sigma * pdf
    second = (mean**2 + sigma**2) * cdf + mean * sigma * pdf
    return first, math.sqrt(second - first**2)


def generator(seed: int = 7) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def assert_statistics(sample: Tensor, mean: float, std: float) -> None:
    """Mean and standard deviation within 4.5 standard errors (normal kurtosis) of the expected ones."""
    count = sample.numel()
    assert abs(sample.double().mean().item() - mean) < 4.5 * std / math.sqrt(count)
    assert abs(sample.double().std().item() - std) < 4.5 * std / math.sqrt(2 * count)


@pytest.mark.parametrize("time_s", [0.0, 1.0, 60.0, 3600.0, DAY, 1.5 * DAY, 2 * DAY, 30 * DAY])
@pytest.mark.parametrize("g_us", [3.6, 11.4, 19.2, 27.0, 40.0])
def test_wan_2022_programming_error(g_us: float, time_s: float) -> None:
    target = torch.full((CELLS,), g_us, dtype=torch.float64)
    sample = sample_conductance(wan_device(), target, time_s=time_s, generator=generator())
    assert_statistics(sample, *rectified(g_us, wan_sigma(g_us, time_s)))


def test_wan_2022_scales_with_g_max() -> None:
    sample = sample_conductance(wan_device(g_max_us=20.0), torch.full((CELLS,), 10.0), generator=generator())
    assert_statistics(sample, *rectified(10.0, wan_sigma(10.0, 1.0, g_max_us=20.0)))


def test_conductance_is_never_negative_near_zero() -> None:
    """At 1 µS sigma is 0.7 µS: the error is added, then g >= 0, as in aihwkit."""
    sample = sample_conductance(wan_device(), torch.full((CELLS,), 1.0, dtype=torch.float64), generator=generator())
    mean, std = rectified(1.0, wan_sigma(1.0, 1.0))
    assert sample.min().item() == 0.0
    assert_statistics(sample, mean, std)


def test_read_noise_adds_to_programming_error() -> None:
    """About 1 % of g_max, constant (aihwkit's note to ReRamWan2022NoiseModel)."""
    device = wan_device(read_noise=ReadNoiseSection(model="constant", sigma_fraction=0.01))
    sample = sample_conductance(device, torch.full((CELLS,), 20.0), generator=generator())
    assert_statistics(sample, 20.0, math.hypot(wan_sigma(20.0, 1.0), 0.4))
    assert read_variance_us2(device, sample) == pytest.approx(0.16)
    assert read_variance_us2(device, sample, severity=3.0) == pytest.approx(9 * 0.16)
    assert read_variance_us2(wan_device(), sample) == 0.0


@pytest.mark.parametrize("severity", [0.0, 0.5, 2.0])
def test_severity_multiplies_sigma(severity: float) -> None:
    target = torch.full((CELLS,), 20.0)
    sample = sample_conductance(wan_device(), target, severity=severity, generator=generator())
    if severity == 0.0:
        assert torch.equal(sample, target)
    else:
        assert_statistics(sample, 20.0, severity * wan_sigma(20.0, 1.0))


def test_gaussian_mismatch() -> None:
    device = Device(CellSection(g_min_us=0.0, g_max_us=40.0), mismatch=MismatchSection(model="gaussian", sigma=0.1))
    sample = sample_conductance(device, torch.full((CELLS,), 20.0), generator=generator(), defects=True)
    assert_statistics(sample, 20.0, 2.0)


def test_lognormal_mismatch() -> None:
    """g exp(s xi): ln g is normal about ln(target)."""
    device = Device(CellSection(g_min_us=0.0, g_max_us=40.0), mismatch=MismatchSection(model="lognormal", sigma=0.2))
    sample = sample_conductance(device, torch.full((CELLS,), 20.0), generator=generator(), defects=True)
    assert_statistics(sample.log(), math.log(20.0), 0.2)


@pytest.mark.parametrize(
    ("severity", "low", "high"), [(1.0, 0.1, 0.2), (0.0, 0.0, 0.0), (2.0, 0.2, 0.4), (100.0, 1 / 3, 2 / 3)]
)
def test_stuck_devices(severity: float, low: float, high: float) -> None:
    """Probabilities scale with severity until every device is stuck, in the same ratio."""
    device = Device(CellSection(g_min_us=1.0, g_max_us=40.0), stuck=StuckSection(at_g_min=0.1, at_g_max=0.2))
    g = torch.full((CELLS,), 20.0)
    sample = sample_conductance(device, g, severity=severity, generator=generator(), defects=True)
    for value, share in ((1.0, low), (40.0, high)):
        error = 4.5 * math.sqrt(share * (1 - share) / CELLS) + 1e-12
        assert abs((sample == value).double().mean().item() - share) <= error


def test_stuck_devices_stay_stuck_when_more_get_stuck() -> None:
    uniform = torch.rand(1000, generator=generator())
    g = torch.full((1000,), 20.0)

    def stuck(probability: float) -> Tensor:
        device = Device(CellSection(g_min_us=1.0, g_max_us=40.0), stuck=StuckSection(at_g_min=probability))
        return disturb(device, g, Draws(stuck=uniform)) == 1.0

    assert bool((stuck(0.02) <= stuck(0.1)).all())
    assert not stuck(0.0).any()


def test_one_draw_serves_all_times() -> None:
    """The polynomial is the total deviation at its time: a device that is high at 1 s is high after a day."""
    draws = Draws(programming=torch.randn(1000, generator=generator()))
    g = torch.full((1000,), 20.0)
    early = disturb(wan_device(), g, draws, time_s=1.0) - g
    late = disturb(wan_device(), g, draws, time_s=DAY) - g
    assert torch.allclose(late / early, torch.tensor(wan_sigma(20.0, DAY) / wan_sigma(20.0, 1.0)), rtol=1e-3)


def test_draws_broadcast_over_chips() -> None:
    draws = Draws(programming=torch.randn(3, 4, 5, generator=generator()))
    g = torch.full((4, 5), 20.0)
    chips = disturb(wan_device(), g, draws)
    assert chips.shape == (3, 4, 5)
    assert draws.programming is not None
    for chip in range(3):
        assert torch.equal(chips[chip], disturb(wan_device(), g, Draws(programming=draws.programming[chip])))


def test_a_device_says_which_draws_it_needs() -> None:
    everything = wan_device(
        mismatch=MismatchSection(model="gaussian", sigma=0.1), stuck=StuckSection(at_g_min=0.1, at_g_max=0.1)
    )
    assert draw_roles(everything) == (("programming", "normal"), ("mismatch", "normal"), ("stuck", "uniform"))
    assert draw_roles(Device(CellSection(g_min_us=0.0, g_max_us=1.0))) == ()


def gradient(sigma_gradient: bool, values: Sequence[float]) -> tuple[Tensor, Tensor]:
    g = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    xi = torch.full_like(g, 0.7)
    out = disturb(wan_device(), g, Draws(programming=xi), sigma_gradient=sigma_gradient)
    (grad,) = torch.autograd.grad(out.sum(), g)
    return grad, out.detach()


def test_gradient_detached_or_through_sigma() -> None:
    values = (5.0, 20.0, 35.0)
    assert torch.equal(gradient(False, values)[0], torch.ones(3, dtype=torch.float64))
    step = 1e-4
    high, low = (gradient(True, [v + s for v in values])[1] for s in (step, -step))
    assert torch.allclose(gradient(True, values)[0], (high - low) / (2 * step), atol=1e-6)


def test_no_gradient_through_stuck_devices() -> None:
    device = Device(CellSection(g_min_us=1.0, g_max_us=40.0), stuck=StuckSection(at_g_min=0.5))
    g = torch.tensor([20.0, 20.0], requires_grad=True)
    disturb(device, g, Draws(stuck=torch.tensor([0.4, 0.6]))).sum().backward()  # type: ignore[no-untyped-call]
    assert g.grad is not None and g.grad.tolist() == [0.0, 1.0]


def test_sigma_of_a_perfect_device_is_zero() -> None:
    perfect = Device(CellSection(g_min_us=0.0, g_max_us=1.0))
    g = torch.linspace(0, 1, 5)
    assert torch.equal(programming_sigma_us(perfect, g), torch.zeros(5))
    assert torch.equal(sample_conductance(perfect, g, generator=generator()), g)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"time_s": -1.0}, "time_s"), ({"temperature_k": 0.0}, "temperature_k"), ({"severity": -0.1}, "severity")],
)
def test_impossible_conditions(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        sample_conductance(wan_device(), torch.ones(3), generator=generator(), **arguments)
