"""Noise as temperature: the probit, the frequency of a comparator on a chip, and what calibration restores."""

from __future__ import annotations

from typing import Literal

import pytest
import torch

from pinat_compile.ebm import temperature
from pinat_compile.ebm.chips import Bench
from pinat_compile.ebm.samplers import ChipSampler
from pinat_compile.ebm.temperature import PROBIT
from pinat_compile.hardware.loader import load_target
from pinat_compile.simulator.conditions import Conditions
from pinat_compile.simulator.noise import StreamNoise
from tests.ebm.machines import bars, machine

DATA = bars(400, 4)


def bench(*overrides: str) -> Bench:
    return Bench.plan(machine(16, 6, 0.8), load_target("reram_128x128", list(overrides)), DATA)


def test_probit_is_nearly_logistic() -> None:
    z = torch.linspace(-12, 12, 4801, dtype=torch.float64)
    error = (temperature.normal_cdf(z / PROBIT) - torch.sigmoid(z)).abs().max()
    assert 0.009 < float(error) <= 0.0095
    assert temperature.temperature_of(2 * PROBIT) == pytest.approx(2.0)
    assert temperature.temperature_of(PROBIT, gain=2.0) == pytest.approx(0.5)


@pytest.mark.parametrize("transpose", [False, True])
def test_a_comparator_fires_as_often_as_its_noise_says(transpose: bool) -> None:
    """20,000 reads of the chip itself against Phi of what its converters see: codes, offsets, thresholds included."""
    sampler = bench().sampler(Conditions(chip=5, time_s=1.0), "units")
    x = torch.eye(6 if transpose else 16)[:4].repeat(20_000, 1)
    drawn = sampler.visible(x) if transpose else sampler.hidden(x)
    expected = (sampler.visible_probability if transpose else sampler.hidden_probability)(x[:4])
    error = drawn.view(20_000, 4, -1).mean(dim=0) - expected
    assert float(error.abs().max()) < 4.5 * 0.5 / 20_000**0.5


def slope(found: ChipSampler, made: Bench) -> float:
    """Of the score of the hidden units on z / 1.702, where that is small: 1 at temperature 1."""
    z = (DATA @ made.rbm.weights + made.rbm.hidden_bias) / PROBIT
    score = torch.special.ndtri(found.hidden_probability(DATA).clamp(1e-6, 1 - 1e-6))
    small = z.abs() < 1.0
    return float((z * score)[small].sum() / z.square()[small].sum())


def test_calibration_brings_a_chip_to_temperature_one() -> None:
    made = bench("column.gain_sigma=0.1", "column.offset_sigma=0.02")
    kinds: tuple[Literal["none", "temperature", "units"], ...] = ("none", "temperature", "units")
    errors = {kind: 0.0 for kind in kinds}
    for chip in range(4):
        samplers = {kind: made.sampler(Conditions(chip=chip, time_s=1.0), kind) for kind in kinds}
        assert slope(samplers["none"], made) > 3.0, "its own noise is far too small"
        assert slope(samplers["temperature"], made) == pytest.approx(1.0, abs=0.12)
        ideal = torch.sigmoid(DATA @ made.rbm.weights + made.rbm.hidden_bias)
        for kind, sampler in samplers.items():
            errors[kind] += float((sampler.hidden_probability(DATA) - ideal).square().mean())
    assert errors["units"] < 0.5 * errors["temperature"] < 0.25 * errors["none"]


def test_what_is_measured_is_what_is_known() -> None:
    made = bench()
    held = made.array.program(made.rbm.weights, Conditions(chip=1, time_s=1.0))
    noise = StreamNoise(torch.Generator().manual_seed(0))
    found = temperature.measure(made.array, held, made.rbm.weights, DATA, noise, transpose=False, reads=200)
    exact = temperature.known(made.array, held, made.rbm.weights, DATA, transpose=False)
    assert torch.allclose(found.gain, exact.gain, atol=0.01)
    assert torch.allclose(found.offset, exact.offset, atol=0.03)
    assert found.common_gain == pytest.approx(exact.common_gain, abs=0.005)


def test_an_ideal_machine_needs_the_whole_noise_and_no_trim() -> None:
    made = bench()
    held = made.array.program(made.rbm.weights, Conditions(chip=None, time_s=1.0))
    exact = temperature.known(made.array, held, made.rbm.weights, made.inputs(True), transpose=True)
    found = temperature.one_temperature(exact, made.rbm.visible_bias)
    assert torch.allclose(found.noise, torch.full((16,), PROBIT), rtol=0.05)
    assert torch.allclose(found.threshold, made.rbm.visible_bias, atol=0.1)
