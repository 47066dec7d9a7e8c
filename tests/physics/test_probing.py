"""Global drift compensation: what all devices have in common is undone exactly, in every scheme; the spread is not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from pinat_compile.hardware.loader import load_target
from pinat_compile.physics import crossbar
from pinat_compile.physics.probing import drift_gains, probe
from pinat_compile.physics.randomness import Key, generator
from pinat_compile.physics.tiling import Tiling
from pinat_compile.simulator.conditions import Conditions
from tests.simulator.layers import Layer, layer

DAY = 86400.0
UNIFORM = ("drift.mean=[0.06]", "drift.mean_log=none", "drift.mean_range=none", "drift.mean_below=none",
           "drift.std=[0.0]", "drift.std_log=none", "drift.std_range=none", "drift.std_below=none")
QUIET = ("read_noise=none", "column=none", "adc.bits=none", "adc.range=full", "dac.bits=none")
KEY = Key(("test",))


def pcm(*overrides: str, rows: int = 40, cols: int = 30) -> Layer:
    """A PCM layer on several tiles; weights fill the range."""
    weight = np.random.default_rng(0).uniform(-1.0, 1.0, (cols, rows))
    return layer(load_target("pcm_256x256", ["array.rows=16", "array.cols=24", *overrides]), weight)


def state_of(example: Layer, chip: int = 2) -> crossbar.State:
    return example.arrays.state(example.simulator().value, Conditions(chip=chip, time_s=300.0))


def vectors(example: Layer, count: int = 64) -> Tensor:
    """[vectors, row_tile, rows]"""
    tiling: Tiling = example.arrays.tiling
    blocks, rows, _ = tiling.dense_shape
    x = torch.randn((blocks, rows, count), generator=generator(KEY.at("x")))
    return tiling.split_rows(x).permute(2, 0, 1)


@pytest.mark.parametrize("per_tile", [False, True])
def test_a_common_exponent_is_undone_exactly(per_tile: bool) -> None:
    example = pcm(*UNIFORM, *QUIET)
    state = state_of(example)
    gains = drift_gains(state, vectors(example), KEY, time_s=30 * DAY, per_tile=per_tile)
    expected = (30 * DAY / 300.0) ** 0.06
    assert gains.shape == (*example.arrays.tiling.counts, 1)
    assert float((gains / expected - 1).abs().max()) < 1e-5


def test_the_output_of_a_drifted_chip_is_restored() -> None:
    example = pcm(*UNIFORM, *QUIET)
    arrays, values, later = example.arrays, example.simulator().value, Conditions(chip=2, time_s=DAY)
    gains = drift_gains(state_of(example), vectors(example), KEY, time_s=DAY)
    x = example.vectors(torch.randn((8, 40), generator=generator(KEY.at("y"))))
    fresh = arrays.multiply(x, values, arrays.program(values, Conditions(chip=2, time_s=300.0)), None, "m")
    drifted, restored = (
        arrays.multiply(x, values, arrays.program(values, later, None, gain), None, "m") for gain in (None, gains)
    )
    assert float((drifted / fresh).median()) == pytest.approx((DAY / 300.0) ** -0.06, rel=1e-3)
    assert torch.allclose(restored, fresh, rtol=1e-4, atol=1e-4)


def test_a_bias_scheme_is_restored_before_its_bias_is_taken_off() -> None:
    """Currents of single devices shrink, the digital correction does not: the gain belongs between the two."""
    example = layer(
        load_target("pcm_256x256", ["weights.scheme=bias", "weights.bits=5", "cell.bits=5", "array.rows=16",
                                    "dac.bits=8", *UNIFORM, "read_noise=none", "column=none", "programming=none",
                                    "adc.bits=none", "adc.range=full"]),
        np.random.default_rng(0).integers(-15, 16, (12, 40)),
    )
    arrays, values, later = example.arrays, example.simulator().value, Conditions(chip=2, time_s=DAY)
    gains = drift_gains(state_of(example), vectors(example).round(), KEY, time_s=DAY)
    x = torch.randint(-127, 128, (8, 40), generator=generator(KEY.at("y"))).float()
    wanted = example.simulator().run({"x": x})["y"]
    found = arrays.multiply(example.vectors(x), values, arrays.program(values, later, None, gains), None, "m")
    assert torch.allclose(found.reshape(wanted.shape), wanted, rtol=1e-3, atol=1e-3 * float(wanted.abs().max()))


def test_the_spread_of_exponents_stays() -> None:
    """With one factor for all, devices that drift differently remain apart."""
    example = pcm(*QUIET)
    state = state_of(example)
    gains = drift_gains(state, vectors(example), KEY, time_s=30 * DAY)
    before, after = (crossbar.effective(state, time_s=t) for t in (300.0, 30 * DAY))
    left = after * gains[..., None, None] - before
    assert float(left.square().mean()) < 0.5 * float((after - before).square().mean())
    assert float(left.abs().max()) > 0.02


def test_heat_is_undone_like_drift() -> None:
    """A conductance that is thermally activated is larger everywhere by the same factor."""
    example = pcm("drift=none", *QUIET, "temperature.activation_ev=0.1")
    gains = drift_gains(state_of(example), vectors(example), KEY, time_s=300.0, temperature_k=350.0)
    factor = np.exp(-0.1 / 8.617333262e-5 * (1 / 350.0 - 1 / 300.0))
    assert float((gains * factor - 1).abs().max()) < 1e-5


def test_probes_are_read_with_noise_and_converted() -> None:
    """Other noise, another reading; both near the exact one. A reading is a multiple of the unit."""
    example = pcm("column=none", "adc.bits=none", "adc.range=full", "dac.bits=none")
    state, x = state_of(example), vectors(example)
    one, other = (probe(state, x, generator(KEY.at(seed))) for seed in (0, 1))
    assert not torch.equal(one, other)
    assert torch.allclose(one, other, rtol=0.02)
    unit = torch.full(one.shape, 0.05)
    coarse = probe(state, x, generator(KEY.at(0)), unit=unit, codes=(-127, 127))
    assert torch.allclose(coarse / 0.05, (coarse / 0.05).round(), atol=1e-2)
    assert torch.allclose(coarse, one, rtol=0.02)


def test_nothing_driven_nothing_changed() -> None:
    example = pcm(*QUIET)
    gains = drift_gains(state_of(example), torch.zeros_like(vectors(example)), KEY, time_s=DAY)
    assert torch.equal(gains, torch.ones_like(gains))
