"""Detectors, rings and link budgets against closed forms and published figures."""

import math
from dataclasses import replace

import pytest
import torch

from pinat_compile.hardware.loader import load_target
from pinat_compile.hardware.optics import DetectorSection
from pinat_compile.physics.optics import detector, link, microring

FAST = DetectorSection(
    responsivity_a_per_w=1.0, bandwidth_hz=5e9, load_ohm=5000.0, rin_db_per_hz=-155.0
)


# --- detectors ---


def test_noise_currents() -> None:
    """rms in 5 GHz: shot noise of 10 µA 127 nA; thermal of 50 Ohm 1287 nA, of 5 kOhm 129 nA; RIN of 10 µA 12.6 nA."""
    assert math.sqrt(detector.shot_per_ampere(FAST) * 10e-6) == pytest.approx(127e-9, rel=0.005)
    assert math.sqrt(detector.dark_and_thermal_a2(FAST)) == pytest.approx(129e-9, rel=0.005)
    assert math.sqrt(detector.dark_and_thermal_a2(replace(FAST, load_ohm=50.0))) == pytest.approx(1287e-9, rel=0.005)
    assert 10e-6 * math.sqrt(detector.relative_intensity(FAST)) == pytest.approx(12.6e-9, rel=0.005)


@pytest.mark.parametrize(("bits", "tia_a", "ohms_50_a"), [
    (4, 2.85e-6, 25.5e-6), (6, 16.3e-6, 106e-6), (8, 196e-6, 542e-6)
])
def test_photocurrent_for_effective_bits(bits: float, tia_a: float, ohms_50_a: float) -> None:
    assert detector.current_for_bits(FAST, bits) == pytest.approx(tia_a, rel=0.01)
    assert detector.current_for_bits(replace(FAST, load_ohm=50.0), bits) == pytest.approx(ohms_50_a, rel=0.01)
    assert detector.effective_bits(FAST, detector.current_for_bits(FAST, bits)) == pytest.approx(bits)


@pytest.mark.parametrize(("rin", "ceiling"), [(-140.0, 6.85), (-150.0, 8.51), (-155.0, 9.34)])
def test_intensity_noise_is_a_wall(rin: float, ceiling: float) -> None:
    noisy = replace(FAST, rin_db_per_hz=rin)
    assert detector.effective_bits(noisy, 1e3) == pytest.approx(ceiling, abs=0.01)
    assert detector.current_for_bits(noisy, ceiling + 0.05) == math.inf
    assert detector.current_for_bits(noisy, ceiling - 0.05) < math.inf


# --- rings ---


@pytest.mark.parametrize(("r", "a", "low", "high", "slope"), [
    (0.95, 0.99, -0.994, 0.821, 10.5), (0.93, 0.98, -0.988, 0.755, 6.9), (0.98, 0.995, -0.999, 0.779, 25.0)
])
def test_range_and_slope_of_a_ring_weight(r: float, a: float, low: float, high: float, slope: float) -> None:
    assert microring.weight_range(r, a) == pytest.approx((low, high), abs=1.5e-3)
    assert microring.steepest(r, a) == pytest.approx(slope, rel=0.02)


def test_zero_weight_and_energy() -> None:
    zero = microring.detuning(torch.tensor(0.0, dtype=torch.float64), 0.95, 0.99)
    assert zero.item() == pytest.approx(0.102, abs=1e-3)
    phi = torch.linspace(-3, 3, 101, dtype=torch.float64)
    lossless = microring.drop(phi, 0.9, 1.0) + microring.through(phi, 0.9, 1.0)
    torch.testing.assert_close(lossless, torch.ones_like(phi))
    assert (microring.drop(phi, 0.9, 0.95) + microring.through(phi, 0.9, 0.95)).max() < 1.0


def test_detuning_is_the_inverse() -> None:
    wanted = torch.linspace(-0.99, 0.77, 50, dtype=torch.float64)
    torch.testing.assert_close(microring.weight(microring.detuning(wanted, 0.98, 0.995), 0.98, 0.995), wanted)


def test_a_resonance_that_moves_by_a_free_spectral_range_is_where_it_was() -> None:
    fsr = microring.free_spectral_range_nm(1550.0, 4.2, 5.0)
    assert microring.shift_rad(fsr, 1550.0, 4.2, 5.0) == pytest.approx(2 * math.pi)
    assert microring.finesse(0.98, 0.995) == pytest.approx(69, abs=1)


# --- link budgets ---


@pytest.mark.parametrize(("loss_db", "modes", "wall_mw"), [
    (0.10, 4, 0.84), (0.10, 64, 212), (0.25, 16, 18), (0.25, 32, 229), (0.50, 8, 9.6), (0.50, 16, 121), (0.99, 8, 65),
])
def test_wall_power_of_meshes(loss_db: float, modes: int, wall_mw: float) -> None:
    """6 bits on each output behind 3.2 dB and 2 N + 1 interferometers, a fifth of the wall's power made light."""
    received = detector.current_for_bits(FAST, 6.0)
    optical = link.laser_w(modes, received, 3.2 + (2 * modes + 1) * loss_db)
    assert optical / 0.2 * 1e3 == pytest.approx(wall_mw, rel=0.06)


def test_a_budget_needs_what_it_says() -> None:
    """With the needed power, full scale has the wanted bits; a size more than the largest is not feasible."""
    for name in ("photonic_mzi_16x16", "photonic_mrr_32x32", "photonic_pcm_64x64"):
        target = load_target(name)
        needed = link.budget(target).needed_w
        exact = load_target(name, [f"laser.power_mw={needed * 1e3!r}"])
        assert target.laser is not None
        assert link.budget(exact).bits == pytest.approx(target.laser.bits, abs=1e-6)
        size = link.largest_size(target)
        assert link.budget(target, size, size).feasible and not link.budget(target, size + 1, size + 1).feasible


def test_shipped_targets_are_feasible_and_a_lossy_mesh_is_not() -> None:
    for name in ("photonic_mzi_16x16", "photonic_mzi_64x64", "photonic_mrr_32x32", "photonic_pcm_64x64"):
        assert link.budget(load_target(name)).feasible
    lossy = load_target("photonic_mzi_64x64", ["mesh.loss_db=0.25"])
    assert not link.budget(lossy).feasible
    assert 16 <= link.largest_size(lossy) < 64
