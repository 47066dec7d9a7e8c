"""CMO/HfOx and Milo's ReRAM, SONOS flash, Wan's second fit: statistics against the published equations."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from pinat_compile.hardware.loader import load_target
from pinat_compile.hardware.schema import CellSection, Device, ProgrammingSection
from pinat_compile.physics.devices import Draws, disturb, programming_sigma_us, read_variance_us2, sample_conductance
from tests.devices.published import CELLS, DAY, YEAR, assert_statistics

CMO = load_target("cmo_64x64").device
SONOS = load_target("sonos_1024x1024").device


def generator(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cells(g: float) -> torch.Tensor:
    return torch.full((CELLS,), g, dtype=torch.float64)


# --- CMO/HfOx: Falcone et al., arXiv 2502.04524; read noise Lombardo et al., DRC 2024; constants as in aihwkit ---


@pytest.mark.parametrize("time_s", [1.0, 3600.0, DAY, 10 * YEAR])
@pytest.mark.parametrize("g", [25.0, 50.0, 75.0])
def test_cmo_mean_and_deviation(g: float, time_s: float) -> None:
    """Mean g - 0.089 ln t; the three deviations add as independent ones. Far from the bounds, 9 and 88.2 µS."""
    mean = g - 0.08900206 * math.log(time_s)
    programming = 0.00081107 + 0.00106879 * g
    relaxation = 0.04201137 * math.log(time_s) + 0.41183342
    read = 0.0277316483 * math.log10(mean) * math.sqrt(math.log((time_s + 1e-6) / 2e-6))
    sample = sample_conductance(CMO, cells(g), time_s=time_s, generator=generator())
    # log10 of the relaxed conductance varies by about 1 %, which the second-order term below bounds
    spread = math.sqrt(programming**2 + relaxation**2 + read**2 * (1 + (relaxation / (mean * math.log(mean))) ** 2))
    assert_statistics(sample, mean, spread)


def test_cmo_just_programmed() -> None:
    """No relaxation and no 1/f noise yet."""
    sample = sample_conductance(CMO, cells(50.0), time_s=0.0, generator=generator())
    assert_statistics(sample, 50.0, 0.00081107 + 0.00106879 * 50.0)


@pytest.mark.parametrize("g", [9.0, 88.2])
def test_cmo_stays_in_its_range(g: float) -> None:
    sample = sample_conductance(CMO, cells(g), time_s=YEAR, generator=generator())
    assert 9.0 <= sample.min().item() and sample.max().item() <= 88.2
    assert (sample == g).double().mean().item() > 0.05


def test_cmo_relaxation_is_monotone_and_keeps_its_draw() -> None:
    """The mean falls and the spread grows with ln t; device by device, deviation is proportional to the spread."""
    only = dataclasses.replace(CMO, programming=None, read_noise=None)
    xi = torch.randn(1000, generator=generator(), dtype=torch.float64)
    draws = Draws(relaxation=xi)
    times = (1.0, 60.0, 3600.0, DAY, YEAR)
    at = [disturb(only, torch.full((1000,), 50.0, dtype=torch.float64), draws, time_s=t) for t in times]
    means, stds = [float(g.mean()) for g in at], [float(g.std()) for g in at]
    assert means == sorted(means, reverse=True) and stds == sorted(stds)
    for t, g in zip(times, at, strict=True):
        expected = 50.0 - 0.08900206 * math.log(t) + (0.04201137 * math.log(t) + 0.41183342) * xi
        assert torch.allclose(g, expected)


# --- SONOS: Agrawal et al., IEDM 2022; currents in nA, 100 nA per µS ---

A_B = {0: (19.88665, 176.3115), 1: (25.59102, 186.85544), 2: (28.72753, 193.56834),
       3: (31.04318, 198.90332), 4: (33.76214, 204.77023), 5: (34.57909, 207.34309)}  # fmt: skip


@pytest.mark.parametrize("days", [0.0, 1.0, 2.5, 5.0, 30.0])
@pytest.mark.parametrize("current_na", [100.0, 400.0, 1600.0])
def test_sonos_deviation_at_the_drifted_current(current_na: float, days: float) -> None:
    """Fig. 10a: A (1 - e^(-I/B)), A and B linear in days, held after five; read noise of Fig. 11b on top."""
    low = min(int(days), 4)
    weight = min(days, 5.0) - low
    a, b = ((1 - weight) * p + weight * q for p, q in zip(A_B[low], A_B[low + 1], strict=True))
    sample = 100.0 * sample_conductance(SONOS, cells(current_na / 100.0), time_s=days * DAY, generator=generator())
    mean = sample.mean().item()
    spread = a * (1 - math.exp(-mean / b))
    read = 12.58037 * (1 - math.exp(-mean / 215.36557))
    slope = 12.58037 / 215.36557 * math.exp(-mean / 215.36557)  # of the read noise, along the programmed spread
    assert_statistics(sample, mean, math.sqrt(spread**2 + read**2 + (slope * spread) ** 2))


@pytest.mark.parametrize(
    ("current_na", "days", "low", "high"),
    [(1600.0, 1.0, -13.0, -11.0), (1600.0, 5.0, -42.0, -40.0), (100.0, 1.0, 1.5, 2.5), (75.0, 5.0, 3.0, 4.5),
     (1600.0, 0.0, 0.0, 0.0), (1600.0, 30.0, -42.0, -40.0)],
)  # fmt: skip
def test_sonos_mean_drift(current_na: float, days: float, low: float, high: float) -> None:
    """Fig. 10b, approximated: -12 nA at 1600 nA after a day, -41 after five, +2 to 4 nA at 50 to 100 nA."""
    shift = disturb(SONOS, torch.tensor([current_na / 100.0]), Draws(), time_s=days * DAY) - current_na / 100.0
    assert low - 1e-3 <= 100.0 * shift.item() <= high + 1e-3


def test_sonos_starts_at_once_and_reads_white() -> None:
    assert SONOS.t0_s == 0.0
    g = torch.tensor([0.0, 4.0, 16.0])
    at_once, later = (read_variance_us2(SONOS, g, time_s=time) for time in (0.0, YEAR))
    assert isinstance(at_once, torch.Tensor) and isinstance(later, torch.Tensor) and torch.equal(at_once, later)
    assert np.allclose(at_once.sqrt(), [0.1258037 * (1 - math.exp(-x / 2.1536557)) for x in (0.0, 4.0, 16.0)])


# --- fits of one line ---


@pytest.mark.parametrize(
    ("g_max", "coefficients", "g"),
    [
        pytest.param(225.0, (4.782321, -0.009107), 150.0, id="Milo, IRPS 2021, Fig. 4"),
        pytest.param(39.26, (1.053, 0.2374, -1.167e-2, 1.536e-4), 20.0, id="Wan 2022, second fit"),
    ],
)
def test_polynomials_in_conductance(g_max: float, coefficients: tuple[float, ...], g: float) -> None:
    """A polynomial in g is one in x = g / g_max with c_k g_max^k."""
    device = Device(
        CellSection(g_min_us=0.0, g_max_us=g_max),
        programming=ProgrammingSection(
            model="polynomial",
            times_s=(1.0,),
            coefficients=(tuple(c * g_max**k for k, c in enumerate(coefficients)),),
            reference_g_max_us=g_max,
        ),
    )
    expected = sum(c * g**k for k, c in enumerate(coefficients))
    assert programming_sigma_us(device, torch.tensor([g], dtype=torch.float64)).item() == pytest.approx(expected)
    assert_statistics(sample_conductance(device, cells(g), generator=generator()), g, expected)


def test_coefficients_scale_with_g_max() -> None:
    """A device of half the conductance has half the error, at the same time and share of g_max."""
    for device in (CMO, SONOS):
        low, high = device.cell.g_min_us, device.cell.g_max_us
        cell = CellSection(g_min_us=low / 2, g_max_us=high / 2, bounded=device.cell.bounded)
        half = dataclasses.replace(device, cell=cell)
        g = torch.linspace(low, high, 500, dtype=torch.float64)
        whole = sample_conductance(device, g, time_s=DAY, generator=generator())
        assert torch.allclose(2.0 * sample_conductance(half, g / 2, time_s=DAY, generator=generator()), whole)
