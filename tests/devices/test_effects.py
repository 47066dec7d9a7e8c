"""Telegraph noise, temperature, write-verify, generic noise: what they are, and that a chip is one chip."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch

from pinat_compile.errors import TargetError
from pinat_compile.graph.matrix import Cells, Cut
from pinat_compile.hardware.loader import load_target
from pinat_compile.hardware.schema import (
    CellSection,
    Device,
    DriftSection,
    ProgrammingSection,
    ReadNoiseSection,
    RelaxationSection,
    StuckSection,
    TelegraphSection,
    TemperatureSection,
    WriteVerifySection,
)
from pinat_compile.physics import crossbar
from pinat_compile.physics.devices import (
    Draws,
    disturb,
    expected_pulses,
    pulse_counts,
    read_variance_us2,
    sample_conductance,
    write_energy_pj,
)
from pinat_compile.physics.randomness import Key
from pinat_compile.physics.tiling import Tiling
from tests.devices.published import CELLS, DAY, assert_statistics

CELL = CellSection(g_min_us=0.0, g_max_us=40.0)


def generator(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cells(g: float) -> torch.Tensor:
    return torch.full((CELLS,), g, dtype=torch.float64)


def attempts(sigma: float, **verify: Any) -> Device:
    programming = ProgrammingSection(
        model="polynomial", times_s=(1.0,), coefficients=((sigma,),), reference_g_max_us=40.0
    )
    return Device(CELL, programming=programming, write_verify=WriteVerifySection(**verify) if verify else None)


# --- random telegraph noise ---


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.8])
def test_telegraph_noise_has_two_states(probability: float) -> None:
    device = Device(CELL, telegraph=TelegraphSection(probability=probability, amplitude=0.2))
    sample = sample_conductance(device, cells(20.0), generator=generator())
    low, high = 20.0 * (1 - 0.2 * (1 - probability)), 20.0 * (1 + 0.2 * probability)
    is_low = torch.isclose(sample, torch.tensor(low).double())
    assert bool((is_low | torch.isclose(sample, torch.tensor(high).double())).all())
    share = is_low.double().mean().item()
    assert abs(share - probability) < 4.5 * math.sqrt(probability * (1 - probability) / CELLS)
    variance = read_variance_us2(device, cells(20.0))
    assert isinstance(variance, torch.Tensor)
    assert_statistics(sample, 20.0, math.sqrt(variance[0].item()))
    assert variance[0].item() == pytest.approx(probability * (1 - probability) * 4.0**2)


# --- temperature ---


def test_thermal_activation() -> None:
    """g(T) = g(300 K) e^(-(Ea / k)(1/T - 1/300)): with 0.1 eV 74.6 % more at 350 K."""
    device = Device(CELL, temperature=TemperatureSection(activation_ev=0.1))
    g = torch.tensor([4.0], dtype=torch.float64)
    hot = disturb(device, g, Draws(), temperature_k=350.0).item()
    assert hot == pytest.approx(4.0 * math.exp(0.1 * 1.602176634e-19 / 1.380649e-23 * (1 / 300 - 1 / 350)), rel=1e-6)
    assert disturb(device, g, Draws(), temperature_k=300.0).item() == 4.0


def test_a_chip_of_activated_devices_is_hotter_when_it_is() -> None:
    device = Device(CELL, temperature=TemperatureSection(activation_ev=0.1))
    state = program(device, chip=3)
    cold, hot = (crossbar.effective(state, temperature_k=t) for t in (300.0, 350.0))
    assert torch.allclose(hot, 1.7374 * cold, rtol=1e-3)


# --- stuck somewhere between ---


@pytest.mark.parametrize("ends", [(0.1, 0.05), (0.0, 0.0), (0.0, 0.2)])
def test_devices_stuck_at_any_conductance(ends: tuple[float, float]) -> None:
    """Uniform between g_min and g_max, whatever was asked for; once stuck a device stays so, at the same place."""
    cell = CellSection(g_min_us=2.0, g_max_us=40.0)
    device = Device(cell, stuck=StuckSection(at_g_min=ends[0], at_g_max=ends[1], at_any=0.2),
                    temperature=TemperatureSection(activation_ev=0.2))
    draws = Draws(stuck=torch.rand(CELLS, generator=generator(), dtype=torch.float64),
                  stuck_at=torch.rand(CELLS, generator=generator(4), dtype=torch.float64))
    before = None
    for severity in (0.0, 0.5, 1.0, 2.0, 10.0):
        held = disturb(device, cells(20.0), draws, severity=severity, temperature_k=310.0)
        hot = disturb(device, cells(20.0), Draws(), temperature_k=310.0)[0]
        free = held == hot
        share = min(severity, 1.0 / (0.2 + sum(ends)))
        between = ~free & (held != 2.0) & (held != 40.0)
        for found, expected in ((between, 0.2), (held == 2.0, ends[0]), (held == 40.0, ends[1])):
            assert found.double().mean().item() == pytest.approx(share * expected, abs=0.006)
        if severity >= 1.0:
            assert_statistics(held[between], 21.0, 38.0 / math.sqrt(12.0))
        if before is not None:
            assert torch.equal(held[before[0]], before[1])
        before = ~free, held[~free]
    read = sample_conductance(device, cells(20.0), generator=generator(), defects=True)
    assert len(set(read.tolist())) > 1000


# --- write-verify ---


@pytest.mark.parametrize(("tolerance", "pulses"), [(1.0, 1000), (0.5, 1000), (0.5, 3), (4.0, 1)])
def test_write_verify_is_what_repeated_attempts_give(tolerance: float, pulses: int) -> None:
    """Against the loop itself: draw again until within the tolerance or out of pulses."""
    device = attempts(1.0, tolerance_us=tolerance, max_pulses=pulses)
    sample = (sample_conductance(device, cells(20.0), generator=generator()) - 20.0).numpy()
    rng = np.random.default_rng(0)
    error, count = rng.standard_normal(CELLS), np.ones(CELLS)
    for _ in range(pulses - 1):
        out = np.abs(error) > tolerance
        error[out], count[out] = rng.standard_normal(int(out.sum())), count[out] + 1
    grid = np.linspace(0.01, 0.99, 25)
    density = np.interp(np.quantile(error, grid), *histogram(error))
    apart = np.abs(np.quantile(sample, grid) - np.quantile(error, grid))
    assert np.all(apart < 7 * math.sqrt(0.25 / CELLS) / density + 0.02)
    mean = expected_pulses(device, cells(20.0))[0].item()
    assert abs(count.mean() - mean) < 4.5 * count.std() / math.sqrt(CELLS) + 1e-9
    drawn = pulse_counts(device, cells(20.0), torch.rand(CELLS, generator=generator(), dtype=torch.float64))
    assert_statistics(drawn, mean, max(count.std(), 1e-12) if pulses == 1 else drawn.std().item())
    assert 1.0 <= drawn.min().item() and drawn.max().item() <= pulses


def histogram(values: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    density, edges = np.histogram(values, bins=60, density=True)
    return 0.5 * (edges[1:] + edges[:-1]), np.maximum(density, 1e-3)


def test_write_verify_keeps_the_tolerance_and_costs_energy() -> None:
    device = attempts(1.0, tolerance_us=0.5, max_pulses=1000, pulse_pj=3.0)
    error = sample_conductance(device, cells(20.0), generator=generator()) - 20.0
    assert error.abs().max().item() <= 0.5 + 1e-5
    energy = write_energy_pj(device, cells(20.0))
    assert energy is not None and energy[0].item() == pytest.approx(3.0 / math.erf(0.5 / math.sqrt(2)), rel=1e-6)
    assert write_energy_pj(attempts(1.0), cells(20.0)) is None


@pytest.mark.parametrize("tolerance", [1e-2, 1e-5, 1e-7])
def test_a_tolerance_that_is_hardly_ever_met_takes_all_pulses(tolerance: float) -> None:
    """In float32 as in float64: of a small chance per pulse no digits are lost."""
    device = attempts(1.0, tolerance_us=tolerance, max_pulses=50)
    p = math.erf(tolerance / math.sqrt(2.0))
    assert expected_pulses(device, torch.tensor([20.0])).item() == pytest.approx((1 - (1 - p) ** 50) / p, rel=1e-5)


def test_write_verify_without_reach_changes_nothing() -> None:
    plain = sample_conductance(attempts(1.0), cells(20.0), generator=generator())
    wide = attempts(1.0, tolerance_us=40.0, max_pulses=5)
    assert torch.allclose(sample_conductance(wide, cells(20.0), generator=generator()), plain, atol=1e-5)


def test_write_verify_needs_the_error_of_one_attempt() -> None:
    with pytest.raises(TargetError, match="the error of a single attempt"):
        load_target("reram_128x128", ["write_verify.tolerance_us=1.0", "write_verify.max_pulses=10"])


# --- generic read noise ---


@pytest.mark.parametrize(
    ("section", "sigma"),
    [
        (ReadNoiseSection(model="constant", sigma_fraction=0.02), 0.8),
        (ReadNoiseSection(model="polynomial", coefficients=(0.0, 2.0), reference_g_max_us=40.0), 0.5),
        (ReadNoiseSection(model="constant", sigma_fraction=0.02, t_read_ns=1000.0), 0.8 * math.sqrt(math.log(5e6))),
    ],
    ids=["independent", "proportional", "1/f"],
)
def test_generic_read_noise(section: ReadNoiseSection, sigma: float) -> None:
    sample = sample_conductance(Device(CELL, read_noise=section), cells(10.0), time_s=10.0, generator=generator())
    assert_statistics(sample, 10.0, sigma)


# --- a chip ---

STEPS = torch.linspace(-1.0, 1.0, 24 * 10).reshape(1, 24, 10)


def program(device: Device, chip: int | None) -> crossbar.State:
    found = Cells("differential", weight_max=1, cell_max=1, slice_bits=(1,), rounded=False)
    key = None if chip is None else Key(("chip", chip, "m"))
    return crossbar.program(STEPS, found, device, Tiling(Cut(1, (0, 16, 24), (0, 10))), key)


@pytest.mark.parametrize("name", ["pcm_256x256", "cmo_64x64", "sonos_1024x1024", "neurram_256x256"])
def test_a_chip_at_two_times_is_one_chip(name: str) -> None:
    device = load_target(name).device
    device = dataclasses.replace(device, read_noise=None)
    one, other, third = (program(device, chip) for chip in (5, 6, 7))
    early, late = (crossbar.effective(one, time_s=t) - crossbar.effective(other, time_s=t) for t in (DAY, 30 * DAY))
    stranger = crossbar.effective(third, time_s=DAY) - crossbar.effective(program(device, 8), time_s=DAY)
    found = torch.corrcoef(torch.stack([x[0, 0, 0].flatten() for x in (early, late, stranger)]))
    assert found[0, 1] > 0.9 and found[0, 2].abs() < 0.4
    assert not torch.equal(early, late)


def test_the_kept_flicker_of_a_chip_is_that_of_its_time() -> None:
    """Frozen per chip and time: the same when asked again, another at another time and on another chip."""
    section = ReadNoiseSection(model="constant", sigma_fraction=0.01, t_read_ns=100.0, split_s=1.0)
    device = Device(CELL, read_noise=section)
    state = program(device, chip=5)
    first = crossbar.effective(state, time_s=DAY)
    assert torch.equal(first, crossbar.effective(state, time_s=DAY))
    assert torch.equal(first, crossbar.effective(program(device, chip=5), time_s=DAY))
    assert not torch.equal(first, crossbar.effective(state, time_s=2 * DAY))
    assert not torch.equal(first, crossbar.effective(program(device, chip=6), time_s=DAY))
    assert torch.equal(crossbar.effective(state, time_s=0.5), crossbar.effective(program(device, None)))


def test_noise_in_steps_of_continuous_weights() -> None:
    """One step is the whole weight, g_max - g_min: the error in steps is the error in µS over 39 µS."""
    device = dataclasses.replace(load_target("neurram_256x256").device, read_noise=None, stuck=None, mismatch=None)
    state = program(device, chip=1)
    assert crossbar.step_us(state) == 39.0
    net = crossbar.conductances_us(state) - crossbar.targets_us(state)
    expected = (net[..., 0] - net[..., 1]) / 39.0
    found = crossbar.effective(state) - crossbar.effective(program(device, None))
    assert torch.allclose(found, expected, atol=1e-6)
    variance = crossbar.read_variance(program(load_target("neurram_256x256").device, chip=1))
    assert variance == pytest.approx(2 * (0.4 / 39.0) ** 2)


def test_read_variance_of_a_chip_is_that_of_what_it_holds() -> None:
    """PCM: both devices of a pair, each g_drifted² Q(x_programmed)² times the fresh share; smaller after drift."""
    device = load_target("pcm_256x256").device
    state = program(device, chip=2)
    early, late = (crossbar.read_variance(state, time_s=t) for t in (300.0, 300 * DAY))
    assert isinstance(early, torch.Tensor) and isinstance(late, torch.Tensor)
    assert early.shape == crossbar.effective(state).shape
    real = early[0, 0, 0] > 1e-9
    assert bool((late[0, 0, 0][real] < early[0, 0, 0][real]).float().mean() > 0.99)
    held = crossbar.hold(state, time_s=300 * DAY)
    by_hand = read_variance_us2(device, held.settled, time_s=300 * DAY, programmed_us=held.programmed)
    assert isinstance(by_hand, torch.Tensor)
    assert torch.allclose(late, by_hand.sum(dim=-1) / 20.7**2)


# --- what a section refuses ---


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DriftSection(model="power_law", t0_s=1.0, std=(0.0,)), "drift.mean = None: give it, or mean_log"),
        (lambda: DriftSection(model="power_law", t0_s=1.0, mean=(0.1,), std_log=(1.0, 2.0)), "goes together with"),
        (lambda: DriftSection(model="power_law", t0_s=1.0, mean=(-0.1,), std=(0.0,)), "below 0, at g = 0 g_max"),
        (lambda: DriftSection(model="power_law", t0_s=1.0, mean=(0.1,), std=(0.0,), mean_below=0.1), "all three"),
        (lambda: DriftSection(
            model="power_law", t0_s=1.0, mean_log=(1.0, 2.0, 3.0), mean_range=(0.0, 1.0), std=(0.0,)), "two numbers"),
        (lambda: DriftSection(
            model="power_law", t0_s=1.0, mean_log=(1.0, 2.0), mean_range=(1.0, 0.0), std=(0.0,)), "comes first"),
        (lambda: RelaxationSection(model="logarithmic", reference_g_max_us=1.0, t0_s=1.0), "needs relaxation.mean_log"),
        (lambda: RelaxationSection(
            model="table", reference_g_max_us=1.0, states_us=(0.0, 1.0), times_s=(0.0,), shifts_us=((0.0,),)),
         "must hold a list"),
        (lambda: RelaxationSection(
            model="table", reference_g_max_us=1.0, states_us=(1.0, 0.0), times_s=(0.0,), shifts_us=((0.0, 0.0),)),
         "larger than the one before"),
        (lambda: ReadNoiseSection(model="constant"), "needs read_noise.sigma_fraction"),
        (lambda: ReadNoiseSection(model="constant", sigma_fraction=0.1, q0=0.1), "does not belong to the model"),
        (lambda: ReadNoiseSection(model="constant", sigma_fraction=0.1, split_s=1.0), "white noise has no slow part"),
        (lambda: ReadNoiseSection(model="exponential", coefficients=(1.0, 0.0), reference_g_max_us=1.0), "A (1 - e"),
        (lambda: ReadNoiseSection(model="polynomial", coefficients=(1.0, -2.0), reference_g_max_us=1.0), "below 0"),
        (lambda: ProgrammingSection(
            model="exponential", times_s=(0.0,), coefficients=((1.0,),), reference_g_max_us=1.0), "A (1 - e"),
        (lambda: ProgrammingSection(
            model="polynomial", times_s=(0.0, 1.0), coefficients=((1.0,), (1.0,)), reference_g_max_us=1.0), "ln 0"),
    ],
)  # fmt: skip
def test_messages(make: Any, message: str) -> None:
    with pytest.raises(TargetError) as caught:
        make()
    assert message in caught.value.message
