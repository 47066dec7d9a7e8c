"""Characterising what was sampled from a known target gives its parameters back, within the stated intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from pinat_compile.characterization.characterize import characterize
from pinat_compile.characterization.result import Characterization, Fit
from pinat_compile.hardware.device import Device
from pinat_compile.hardware.loader import load_target
from pinat_compile.hardware.schema import DriftSection, ProgrammingSection, ReadNoiseSection, Target, TemperatureSection
from pinat_compile.physics.devices import programming_sigma_us, read_variance_us2
from pinat_compile.physics.devices.drift import mean_shift_us, relaxation_sigma_us
from tests.characterization.bench import measure

DAY = 86400.0
WANT = (0.85, 1.0)
"""Where the share of 95 % intervals that cover the truth must lie: with 40 samples, a chance of 1 in 100 to fail."""


def reram() -> Target:
    target = load_target("reram_128x128")
    return replace(target, mismatch=None)


@cache
def results(name: str) -> Characterization:
    """One bench per shipped target."""
    targets, times, per, reads = {
        "reram_128x128": (np.linspace(1.0, 40.0, 16), [1.0, DAY, 2 * DAY], 100, 3),
        "pcm_256x256": (np.linspace(0.0, 20.7, 24), [300.0, 3e3, 3e4, 3e5, 3e6], 60, 3),
        "cmo_64x64": (np.linspace(9.0, 88.2, 16), [0.5, 1.0, 1e2, 1e4, 1e6], 60, 3),
        "sonos_1024x1024": (np.linspace(0.0, 16.0, 17), [0.0, DAY, 5 * DAY], 60, 3),
    }[name]
    target = load_target(name)
    return characterize(measure(target.device, targets, times, seed=11, per_target=per, reads=reads), target)


def sigma(device: Device, g: np.ndarray, time: float) -> np.ndarray:
    return programming_sigma_us(device, torch.from_numpy(g), time).numpy()


@pytest.mark.parametrize("name", ["reram_128x128", "pcm_256x256", "sonos_1024x1024"])
def test_programming_error_over_the_whole_range(name: str) -> None:
    """sigma(g) at every time lies within four standard errors everywhere, and within two almost everywhere."""
    truth, found = load_target(name).device, results(name)["programming"]
    times = results(name).target.programming
    assert times is not None
    for time, band in zip(times.times_s, found.bands, strict=True):
        away = np.abs(band.value - sigma(truth, band.x, time)) / np.maximum((band.high - band.low) / 3.92, 1e-12)
        assert away.max() < 4.0 and np.median(away) < 2.0


def test_reram_read_noise() -> None:
    assert results("reram_128x128")["read_noise"]["sigma_fraction"].covers(0.01)


def test_phase_change_drift() -> None:
    truth = load_target("pcm_256x256").drift
    assert truth is not None and truth.mean is not None and truth.std is not None
    found = results("pcm_256x256")["drift"]
    for power in range(3):
        assert found[f"mean[{power}]"].covers(truth.mean[power]) and found[f"std[{power}]"].covers(truth.std[power])
    for band, name in zip(found.bands, ("mean", "std"), strict=True):
        exact = np.array([truth.curve(name).at(x) for x in band.x])
        assert (np.abs(band.value - exact) < 0.15 * exact.max()).all()


def test_phase_change_read_noise() -> None:
    """q's polynomial, from the scatter of repeated reads: the part of 1/f noise that is faster than they are."""
    truth = load_target("pcm_256x256").read_noise
    assert truth is not None and truth.q is not None
    found = results("pcm_256x256")["read_noise"]
    assert all(found[f"q[{power}]"].covers(truth.q[power]) for power in range(4))


def test_relaxation_of_bounded_cells() -> None:
    """Logarithmic, with the programming error from before it begins; cells at both ends are clipped."""
    truth, found = load_target("cmo_64x64"), results("cmo_64x64")
    assert truth.relaxation is not None and truth.read_noise is not None and truth.read_noise.log10_us is not None
    for name in ("mean_log_us", "std_us", "std_log_us"):
        value, parameter = getattr(truth.relaxation, name), found["relaxation"][name]
        assert abs(parameter.value - value) < 3.0 * parameter.error and parameter.error < 0.06 * abs(value)
    assert found["read_noise"]["log10_us"].covers(truth.read_noise.log10_us)
    for time in (1.0, 1e4):
        assert relaxation_sigma_us(found.target.device, time) == pytest.approx(
            relaxation_sigma_us(truth.device, time), rel=0.08)


def test_table_of_shifts() -> None:
    truth, found = load_target("sonos_1024x1024").device, results("sonos_1024x1024")
    shifts = [each for each in found["relaxation"].parameters if each.name.startswith("shifts_us[2]")]
    exact = mean_shift_us(truth, torch.arange(1.0, 17.0), 5 * DAY)
    assert isinstance(exact, torch.Tensor) and len(shifts) == 16
    away = [abs(each.value - value) / each.error for each, value in zip(shifts, exact.tolist(), strict=True)]
    assert max(away) < 4.0 and sum(each > 1.96 for each in away) <= 3


@pytest.mark.parametrize("name", ["reram_128x128", "pcm_256x256", "cmo_64x64", "sonos_1024x1024"])
def test_nothing_is_reported_against_a_model_that_holds(name: str) -> None:
    assert {finding.section for finding in results(name).outside} <= {"cell"}


# --- coverage: over 40 small data sets ---


def linear(**sections: object) -> Target:
    """A device whose error is 0.5 + 2 x: of an order that little data settles."""
    programming = ProgrammingSection(
        model="polynomial", times_s=(1.0,), coefficients=((0.5, 2.0),), reference_g_max_us=20.0)
    target = replace(load_target("reram_128x128"), mismatch=None, programming=programming, read_noise=None)
    cell = replace(target.device.cell, g_max_us=20.0)
    return replace(target, cell=cell, **sections)  # type: ignore[arg-type]


def share(cover: Callable[[int], bool], seeds: int = 40) -> float:
    return sum(cover(seed) for seed in range(seeds)) / seeds


def inside(fit: Fit, name: str, truth: float) -> bool:
    return fit[name].covers(truth)


def test_intervals_of_the_programming_error_cover() -> None:
    """Also with targets so low that a fifth of the devices end up at 0; and the band of sigma(g) at x = 0.5."""
    target = linear()
    at = []

    def cover(seed: int) -> bool:
        columns = measure(target.device, np.linspace(0.5, 20.0, 8), [1.0], seed=seed, per_target=25, reads=1)
        fit = characterize(columns, target)["programming"]
        at.append(float(np.interp(10.0, fit.bands[0].x, fit.bands[0].low)) < 1.5
                  < float(np.interp(10.0, fit.bands[0].x, fit.bands[0].high)))
        return len(fit.parameters) == 2 and inside(fit, "coefficients[0][1]", 2.0)

    assert WANT[0] <= share(cover) <= WANT[1] and WANT[0] <= np.mean(at) <= WANT[1]


def test_intervals_of_an_error_below_the_read_noise_cover() -> None:
    """0.02 + 0.4 x beside read noise of 0.6 µS: the likelihood is no parabola; at g_min and g_max reads are clipped."""
    target = linear(read_noise=ReadNoiseSection(model="constant", sigma_fraction=0.03))
    programming = ProgrammingSection(
        model="polynomial", times_s=(1.0,), coefficients=((0.02, 0.4),), reference_g_max_us=20.0)
    cell = replace(target.device.cell, g_min_us=2.0, bounded=True)
    target = replace(target, cell=cell, programming=programming)
    constant = []

    def cover(seed: int) -> bool:
        columns = measure(target.device, np.linspace(2.0, 20.0, 6), [1.0], seed=seed, per_target=40, reads=3)
        fit = characterize(columns, target)["programming"]
        constant.append(inside(fit, "coefficients[0][0]", 0.02))
        return inside(fit, "coefficients[0][1]", 0.4)

    assert share(cover, seeds=12) > 0.8 and np.mean(constant) > 0.8


def test_bands_of_a_published_curve_cover() -> None:
    """HfO2 ReRAM, whose polynomial is of fourth order: a simpler one would lie beside it with intervals too narrow."""
    target, shares = reram(), []
    for seed in range(6):
        columns = measure(target.device, np.linspace(1.0, 40.0, 16), [1.0, DAY], seed=seed, per_target=60, reads=2)
        fit = characterize(columns, target)["programming"]
        for band, time in zip(fit.bands, (1.0, DAY), strict=True):
            truth = sigma(target.device, band.x, time)
            shares.append(float(((band.low <= truth) & (truth <= band.high)).mean()))
    assert np.mean(shares) > 0.85  # 0.7 with the order that BIC alone chooses


def test_intervals_of_read_noise_cover() -> None:
    target = linear(read_noise=ReadNoiseSection(model="constant", sigma_fraction=0.02))

    def cover(seed: int) -> bool:
        columns = measure(target.device, [5.0, 15.0], [1.0], seed=seed, per_target=20, reads=3)
        return inside(characterize(columns, target)["read_noise"], "sigma_fraction", 0.02)

    assert WANT[0] <= share(cover) <= WANT[1]


def test_intervals_of_drift_cover() -> None:
    drift = DriftSection(model="power_law", t0_s=1.0, mean=(0.06,), std=(0.015,))
    target = linear(drift=drift, read_noise=ReadNoiseSection(model="constant", sigma_fraction=0.005))
    spread = []

    def cover(seed: int) -> bool:
        columns = measure(target.device, [8.0, 14.0, 20.0], [1.0, 1e2, 1e4], seed=seed, per_target=20, reads=2)
        fit = characterize(columns, target)["drift"]
        spread.append(inside(fit, "std[0]", 0.015))
        return inside(fit, "mean[0]", 0.06)

    assert WANT[0] <= share(cover) <= WANT[1] and WANT[0] <= np.mean(spread) <= WANT[1]


def test_intervals_of_the_activation_energy_cover() -> None:
    """Small errors of a read leave an interval; the devices' own errors do not, as each is compared with itself."""
    target = linear(temperature=TemperatureSection(activation_ev=0.05),
                    read_noise=ReadNoiseSection(model="constant", sigma_fraction=0.02))

    def cover(seed: int) -> bool:
        parts = [measure(target.device, [10.0, 20.0], [1.0], seed=seed, per_target=20, reads=2, temperature_k=kelvin)
                 for kelvin in (300.0, 350.0)]
        rng = np.random.default_rng(seed)  # the second part has the devices' draws again, and needs other reads
        parts[1]["g_us"] = parts[1]["g_us"] + rng.normal(0.0, 0.4, len(parts[1]["g_us"]))
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return inside(characterize(columns, target)["temperature"], "activation_ev", 0.05)

    assert WANT[0] <= share(cover) <= WANT[1]


def test_read_noise_is_taken_out_of_the_programming_error() -> None:
    """Also where it is as large as that, and only known from the target: no reads are repeated."""
    target = linear(read_noise=ReadNoiseSection(model="constant", sigma_fraction=0.08))
    columns = measure(target.device, np.linspace(2.0, 20.0, 10), [1.0], seed=4, per_target=200, reads=1)
    found = characterize(columns, target)
    assert [kept.section for kept in found.kept if "taken as known" in kept.why] == ["read_noise"]
    assert found["programming"]["coefficients[0][1]"].covers(2.0)
    assert read_variance_us2(target.device, torch.ones(1)) == pytest.approx(1.6**2)
