"""Circuits around the arrays: what is not ideal in them has the size that the target says, and nothing else changes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pinat_compile.errors import TargetError
from pinat_compile.hardware.loader import load_target
from pinat_compile.hardware.periphery import AmplifierSection
from pinat_compile.physics import crossbar, periphery
from tests.simulator.layers import Layer, layer

READS = 4000
PERFECT = ["weights.bits=5", "cell.bits=4", "dac.bits=8", "cell.g_min_us=1.0", "cell.g_max_us=40.0"]
"""Devices without any deviation, whose conductances are those of a filament."""
COARSE = ["adc.bits=8", "adc.range=calibrated"]
STEP_US = 39.0 / 15


def example(*overrides: str, rows: int = 24, outputs: int = 5, **options: Any) -> Layer:
    target = load_target("ideal_128x128", [*PERFECT, *overrides])
    top = 7 if target.weights.bits == 4 else 15
    return layer(target, np.random.default_rng(0).integers(-top, top + 1, (outputs, rows)), **options)


def vector(rows: int = 24) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.random.default_rng(1).integers(-127, 128, rows)


def run(made: Layer, chip: int | None, x: np.ndarray[Any, Any], **conditions: Any) -> Tensor:
    with torch.no_grad():
        found = made.simulator(chip, **conditions)(torch.from_numpy(x.astype(np.float32)))
    assert isinstance(found, Tensor)
    return found.double()


def errors(made: Layer, x: np.ndarray[Any, Any], **conditions: Any) -> Tensor:
    """[reads, outputs]: many reads of one vector on chip 0, less what an ideal chip gives."""
    return run(made, 0, np.tile(x, (READS, 1)), **conditions) - run(made, None, x[None])


def check_std(error: Tensor, expected: Tensor | float) -> None:
    """Mean and deviation of every column within 4.5 standard errors."""
    expected = torch.as_tensor(expected)
    assert bool((error.mean(dim=0).abs() < 4.5 * expected / math.sqrt(READS)).all())
    assert bool(((error.std(dim=0) / expected - 1).abs() < 4.5 / math.sqrt(2 * READS)).all())


# --- inputs ---


def test_noise_of_the_drivers() -> None:
    """n ~ N(0, sigma · full scale) on every row: deviation sigma · 127 · |w| at an output, correlated as w·w'."""
    made = example("dac.noise_sigma=0.01")
    error, weight = errors(made, vector()), np.random.default_rng(0).integers(-15, 16, (5, 24)).astype(np.float64)
    check_std(error, torch.from_numpy(1.27 * np.linalg.norm(weight, axis=1)))
    covariance = weight @ weight.T
    expected = covariance / np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    assert np.abs(np.corrcoef(error.T.numpy()) - expected).max() < 4.5 / math.sqrt(READS)


def test_arrays_side_by_side_have_drivers_of_their_own() -> None:
    made = example("dac.noise_sigma=0.01", "array.cols=2", outputs=2)  # one output per array
    made.graph.tensors["w"][1] = made.graph.tensors["w"][0]
    error = errors(made, vector())
    assert abs(float(torch.corrcoef(error.T)[0, 1])) < 4.5 / math.sqrt(READS)
    together = example("dac.noise_sigma=0.01", outputs=2)
    together.graph.tensors["w"][1] = together.graph.tensors["w"][0]
    shared = errors(together, vector())
    torch.testing.assert_close(shared[:, 0], shared[:, 1])


def test_the_ladder_is_curved_alike_for_both_signs() -> None:
    made = example("dac.inl_lsb=2.0", rows=1, outputs=1)
    made.graph.tensors["w"][:] = 1.0
    x = np.arange(-127, 128)[:, None]
    error = (run(made, 0, x) - run(made, None, x)).flatten()
    torch.testing.assert_close(error, -error.flip(0))
    assert error[127] == error[0] == error[-1] == 0.0
    assert 0.0 < float(error.abs().max()) < 4 * 4.0


@pytest.mark.parametrize("bow", [0.0, 1.0])
def test_the_peak_of_a_curve_is_its_height(bow: float) -> None:
    share = torch.linspace(0, 1, 100_001, dtype=torch.float64)
    curve = torch.tensor(bow), torch.tensor(1.0 - bow)
    found = periphery.nonlinearity(share, curve)
    assert float(found.abs().max()) == pytest.approx(1.0, abs=1e-6)
    assert found[0] == found[-1] == 0.0


# --- columns and converters ---


def test_curves_of_the_converters_have_the_stated_deviation() -> None:
    """Over many columns: bow and S, each N(0, inl) in steps; at half scale the bow alone counts."""
    made = example(*COARSE, "adc.inl_lsb=0.5", "array.cols=256", outputs=120, adc_range=24.0 * 127 * 15)
    held = made.simulator(0).programmed("m").converter
    assert held is not None
    for height in held:
        flat = height.flatten()
        assert abs(float(flat.std()) / 0.5 - 1) < 4.5 / math.sqrt(2 * len(flat))
    assert abs(float(torch.corrcoef(torch.stack([x.flatten() for x in held]))[0, 1])) < 4.5 / math.sqrt(120)


def test_a_curved_converter_errs_by_what_its_curve_says() -> None:
    made = example(*COARSE, "adc.inl_lsb=20", rows=1, outputs=1, adc_range=127.0)
    made.graph.tensors["w"][:] = 1.0
    x = np.arange(-127, 128)[:, None]
    held = made.simulator(0).programmed("m").converter
    assert held is not None
    bow, s = (float(height) for height in held)
    v = (x.flatten() + 127) / 254
    expected = x.flatten() + bow * 4 * v * (1 - v) + s * 6 * math.sqrt(3) * v * (1 - v) * (1 - 2 * v)
    wanted = torch.from_numpy(expected).clamp(-127, 127)
    assert float((run(made, 0, x).flatten() - wanted).abs().max()) <= 0.5 + 1e-4
    assert run(made, None, x).flatten().tolist() == x.flatten().tolist()


CHARGE = ["dac.encoding=bit_serial", "dac.accumulation=analog"]


@pytest.mark.parametrize("encoding", [[], CHARGE, [*CHARGE, "dac.step_bits=3"]], ids=["amplitude", "bits", "steps"])
def test_noise_of_the_converter_is_in_its_steps(encoding: list[str]) -> None:
    """sigma steps before rounding: sqrt(sigma² + 1/12) after it, times what a step stands for; once per conversion."""
    full = 24.0 * 127 * 15
    made = example(*COARSE, *encoding, "adc.noise_lsb=3.0", adc_range=full)
    found = run(made, 0, np.tile(vector(), (READS, 1)))
    expected = full / 127 * math.sqrt(9 + 1 / 12)
    assert bool(((found.std(dim=0) / expected - 1).abs() < 4.5 / math.sqrt(2 * READS)).all())


def test_stochastic_rounding_has_no_bias() -> None:
    full = 24.0 * 127 * 15
    made = example(*COARSE, "adc.rounding=stochastic", adc_range=full)
    exact = torch.from_numpy(np.random.default_rng(0).integers(-15, 16, (5, 24)) @ vector())
    step = full / 127
    found = run(made, 0, np.tile(vector(), (READS, 1)))
    assert float((found - exact).abs().max()) < step * (1 + 1e-4)
    assert float((found.mean(dim=0) - exact).abs().max()) < 4.5 * 0.5 * step / math.sqrt(READS)
    nearest = run(made, None, vector()[None])
    assert float((nearest - exact).abs().max()) <= step * (0.5 + 1e-4)
    assert len(set(found[:, 0].tolist())) == 2


def test_an_amplifier_saturates_and_favours_a_sign() -> None:
    share = torch.tensor([-3.0, -0.5, 0.0, 0.5, 3.0])
    section = AmplifierSection(saturation=0.8, asymmetry=0.1)
    expected = [0.8 * math.tanh(v / 0.8) * (1.05 if v > 0 else 0.95) for v in share.tolist()]
    assert periphery.amplified(share, section).tolist() == pytest.approx(expected)
    assert periphery.amplified(share, AmplifierSection()).tolist() == share.tolist()
    made = example(*COARSE, "amplifier.saturation=0.8", "amplifier.asymmetry=0.1", rows=1, outputs=1, adc_range=127.0)
    made.graph.tensors["w"][:] = 1.0
    x = np.arange(-127, 128)[:, None]
    wanted = 127 * periphery.amplified(torch.from_numpy(x.flatten()) / 127.0, section)
    assert float((run(made, 0, x).flatten() - wanted).abs().max()) <= 0.5 + 1e-4


def test_curves_are_differentiable() -> None:
    values = torch.linspace(-0.9, 0.85, 8, dtype=torch.float64).requires_grad_(True)
    heights = torch.tensor([2.0, -1.5], dtype=torch.float64, requires_grad=True)
    section = AmplifierSection(saturation=0.8, asymmetry=0.1)
    assert torch.autograd.gradcheck(lambda v: periphery.amplified(v, section), (values,))
    assert torch.autograd.gradcheck(
        lambda v, h: periphery.through_converter(100 * v, (-127, 127), (h[0], h[1])), (values, heights)
    )
    assert torch.autograd.gradcheck(
        lambda v, h: periphery.through_ladder(100 * v, 127, (h[0], h[1])), (values, heights)
    )


def test_thermal_noise_is_4ktg() -> None:
    """4 k T G B over all devices of a column, both of every pair, whatever drives them."""
    made = example("circuit_noise.bandwidth_hz=1e8", "circuit_noise.full_scale_v=0.5", "circuit_noise.shot=false")
    step_a = STEP_US * 1e-6 * 0.5 / 127
    g = total_us(made)
    for kelvin in (300.0, 400.0):
        sigma = torch.sqrt(4 * 1.380649e-23 * kelvin * g * 1e-6 * 1e8) / step_a
        check_std(errors(made, vector(), temperature_k=kelvin), sigma)
        check_std(errors(made, np.zeros(24, np.int64), temperature_k=kelvin), sigma)


def test_shot_noise_is_2qi() -> None:
    made = example("circuit_noise.bandwidth_hz=1e8", "circuit_noise.full_scale_v=0.5", "circuit_noise.thermal=false")
    volts = torch.from_numpy(np.abs(vector())) * 0.5 / 127
    current = (devices_us(made) * 1e-6 * volts[:, None]).sum(dim=0)
    expected = torch.sqrt(2 * 1.602176634e-19 * current * 1e8) / (STEP_US * 1e-6 * 0.5 / 127)
    check_std(errors(made, vector()), expected)
    check_std(errors(made, vector(), severity=2.0), 2 * expected)
    assert float(errors(made, np.zeros(24, np.int64)).abs().max()) < 1e-3


def devices_us(made: Layer) -> Tensor:
    """Both devices of every weight together: [rows, outputs] in µS."""
    weight = np.random.default_rng(0).integers(-15, 16, (5, 24)).T
    return torch.from_numpy(np.abs(weight) * STEP_US + 2.0)


def total_us(made: Layer) -> Tensor:
    return devices_us(made).sum(dim=0)


# --- rows in groups, steps in charge ---


def test_groups_of_rows_have_conversions_of_their_own() -> None:
    """Each of three conversions rounds by itself; the sum of all is still right within their half steps."""
    made = example(*COARSE, "array.rows_on=8", adc_range=8.0 * 127 * 15)
    held = made.simulator(None).programmed("m")
    assert held.weights.shape[:1] == (3,) and held.weights.shape[3] == 8
    step, exact = 8.0 * 127 * 15 / 127, np.random.default_rng(0).integers(-15, 16, (5, 24)) @ vector()
    found = run(made, None, vector()[None])
    assert float((found - torch.from_numpy(exact)).abs().max()) <= 1.5 * step
    weight = np.random.default_rng(0).integers(-15, 16, (5, 24))
    by_hand = sum(
        np.rint((weight[:, i : i + 8] @ vector()[i : i + 8]).astype(np.float32) / np.float32(step)) for i in (0, 8, 16)
    )
    np.testing.assert_allclose(found.numpy()[0], by_hand * step, rtol=1e-6)


def test_groups_of_rows_are_the_same_chip() -> None:
    """The devices, and the column's amplifier, are those of all rows at once; without an ADC so is the result."""
    column = ["column.gain_sigma=0.05", "column.offset_sigma=0.0", "stuck.at_g_min=0.01", "stuck.at_g_max=0.01"]
    made = [example(*column, *groups) for groups in ([], ["array.rows_on=5"])]
    first, second = (run(each, 3, vector()[None]) for each in made)
    torch.testing.assert_close(first, second, rtol=1e-6, atol=1e-2)
    assert not torch.allclose(first, run(made[0], None, vector()[None]), rtol=1e-3)


def test_charge_adds_the_input_steps_before_one_conversion() -> None:
    """Every step reads the cells anew: read noise adds up as sum 4^k; the conversion rounds once."""
    full = 24.0 * 127 * 15
    made, once = example(*COARSE, *CHARGE, adc_range=full), example(*COARSE, adc_range=full)
    torch.testing.assert_close(run(made, None, vector()[None]), run(once, None, vector()[None]))
    assert made.target.dac.steps == 8 and made.target.dac.converted_at_once
    noisy = example(*CHARGE, "read_noise.model=constant", "read_noise.sigma_fraction=0.01")
    cell = math.sqrt(2) * 0.4 / STEP_US  # of a pair, in weight steps
    power = sum(4**bit * (vector() >> bit & 1).sum() for bit in range(8))  # two's complement: the sign is bit 7
    check_std(errors(noisy, vector()), cell * math.sqrt(float(power)))


# --- one device per weight ---


def test_reference_columns_are_devices_too() -> None:
    """Programming error of a reference column moves all columns of its array alike, by sum x · error."""
    device = ["weights.scheme=offset", "weights.bits=4", "mismatch.model=lognormal", "mismatch.sigma=0.05"]
    made = example(*device)
    state = made.arrays.state(made.simulator(0).value, made.simulator(0).conditions)
    assert state.reference is not None
    alone = crossbar.effective(state.reference) - crossbar.effective(
        crossbar.program(torch.zeros(1, 24, 1), state.reference.cells, state.device, state.reference.tiling, None)  # type: ignore[arg-type]
    )
    assert alone.shape[-1] == 1 and float(alone.abs().max()) > 0
    own = crossbar.conductances_us(state)[..., 0] - crossbar.targets_us(state)[..., 0]
    found = crossbar.effective(state)[0, 0, 0] - torch.from_numpy(made.graph.tensors["w"].T)
    torch.testing.assert_close(found, own[0, 0, 0] / STEP_US - alone[0, 0, 0], rtol=1e-3, atol=1e-3)


def test_read_noise_of_a_reference_column_is_common_to_all() -> None:
    noise = ["read_noise.model=constant", "read_noise.sigma_fraction=0.01", "weights.bits=4"]
    single = example(*noise, "weights.scheme=offset")
    error, power = errors(single, vector()), float((vector() ** 2).sum())
    sigma = 0.01 * 40.0 / STEP_US
    check_std(error, sigma * math.sqrt(2 * power))
    correlation = torch.corrcoef(error.T) - torch.eye(5) * 0.5
    assert float((correlation - 0.5).abs().max()) < 4.5 / math.sqrt(READS)
    own = errors(example(*noise, "weights.scheme=bias"), vector())
    check_std(own, sigma * math.sqrt(power))


def test_pairs_that_move_from_the_middle_hold_the_same_weight() -> None:
    one, two = example(), example("weights.two_sided=true")
    state = two.arrays.state(two.simulator(None).value, two.simulator(None).conditions)
    assert set(state.levels.sum(dim=-1).flatten().tolist()) == {15.0, 16.0}  # the middle, rounded up
    assert 0.0 <= float(state.levels.min()) and float(state.levels.max()) <= 15.0
    torch.testing.assert_close(run(one, None, vector()[None]), run(two, None, vector()[None]))


# --- reads of one voltage ---


def test_pulses_of_one_voltage_see_the_curve_of_a_device_at_that_voltage_only() -> None:
    """I = G V + N2 V² + N3 V³ at full voltage, for |x| of the time: x (G + N3 V²) + |x| N2 V."""
    curve = ["nonlinearity.square=[0.0, 2e-6]", "nonlinearity.cube=[3e-5]", "nonlinearity.full_scale_v=0.5"]
    made = example(*curve, "dac.encoding=pulse_width", rows=1, outputs=1)
    made.graph.tensors["w"][:] = 15.0
    x = np.array([[-127], [-50], [0], [50], [127]])
    found = run(made, 0, x).flatten()
    n2 = [2e-6 * math.log10(g) for g in (40e-6, 1e-6)]
    per_volt = STEP_US * 1e-6
    square, cube = 0.5 * (n2[0] - n2[1]) / per_volt, 0.0
    expected = torch.tensor([15.0 * v + abs(v) * square + v * cube for v in (-127, -50, 0, 50, 127)])
    torch.testing.assert_close(found, expected.double(), rtol=1e-4, atol=1e-3)
    assert abs(square) > 0.05


# --- several reads of one product ---


def test_the_mean_of_several_reads_is_less_noisy() -> None:
    """1 / sqrt(R) of everything that is fresh in a read; what is fixed for a chip stays."""
    noise = ["read_noise.model=constant", "read_noise.sigma_fraction=0.01", "dac.noise_sigma=0.02"]
    made = example(*noise, "column.gain_sigma=0.05")
    one, nine = (errors(made, vector(), reads=reads) for reads in (1, 9))
    ratio = nine.std(dim=0) / one.std(dim=0)
    assert float((ratio * 3 - 1).abs().max()) < 4.5 / math.sqrt(READS)
    standard_error = one.std(dim=0) / math.sqrt(READS)
    assert bool(((one.mean(dim=0) - nine.mean(dim=0)).abs() < 5 * standard_error).all())
    assert float(nine.mean(dim=0).abs().max()) > 10 * float(standard_error.max())


def test_the_mean_of_several_reads_falls_between_codes() -> None:
    """Noise of a step or so dithers the converter: the mean comes nearer to the exact sum than its step."""
    full = 24.0 * 127 * 15
    made = example(*COARSE, "adc.noise_lsb=1.0", adc_range=full)
    exact = torch.from_numpy(np.random.default_rng(0).integers(-15, 16, (5, 24)) @ vector())
    found = run(made, 0, vector()[None], reads=1000)
    assert float((found - exact).abs().max()) < 4.5 * full / 127 * math.sqrt(1 + 1 / 12) / math.sqrt(1000)


# --- what does not fit together ---


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["weights.scheme=offset", "wires.row_ohm=1", "wires.col_ohm=1"], "no place among resistive wires"),
        (["amplifier.saturation=1", "adc.bits=none"], "full scales of an ADC"),
        (["dac.accumulation=analog"], "only bit-serial inputs have steps"),
        (["dac.encoding=bit_serial", "dac.step_bits=8"], "the sign has a step of its own"),
        (["weights.scheme=bias", "weights.two_sided=true"], "only pairs have two sides"),
        (["array.cols=8", "weights.scheme=offset", "cell.bits=1", "weights.bits=5"], "beside 5 reference columns"),
    ],
)
def test_what_does_not_fit_together_is_refused(overrides: list[str], words: str) -> None:
    with pytest.raises(TargetError, match=words):
        load_target("ideal_128x128", [*PERFECT, *overrides])
