"""Read noise at the output has the deviation of independent cells, whatever the encoding; nothing driven, none."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pinat_compile.hardware.loader import load_target
from pinat_compile.physics.randomness import BANK, Key, bank, generator
from pinat_compile.simulator.noise import BLOCK, BankNoise, SampleNoise, StreamNoise
from tests.simulator.layers import Layer, layer, window

READS = 4000
QUIET = ("programming=none", "mismatch=none", "stuck=none", "column=none", "adc.bits=none", "adc.range=full")
SIGMA = 0.01 * 40.0 / ((40.0 - 1.0) / 15)
"""One device's read noise, 1 % of g_max, in steps of a 4-bit cell between 1 and 40 µS."""


def noisy(*overrides: str, rows: int = 30) -> Layer:
    weight = np.random.default_rng(0).integers(-7, 8, (6, rows))
    return layer(load_target("reram_128x128", [*QUIET, *overrides]), weight)


def reads(example: Layer, vector: np.ndarray[tuple[int, ...], np.dtype[np.int64]], **conditions: float) -> Tensor:
    """[reads, outputs]: many reads of one vector, less what an ideal layer gives."""
    x = torch.from_numpy(np.tile(vector.astype(np.float32), (READS, 1)))
    with torch.no_grad():
        found, ideal = example.simulator(0, **conditions)(x), example.simulator()(x[:1])
    assert isinstance(found, Tensor) and isinstance(ideal, Tensor)
    return found - ideal


def check_std(error: Tensor, expected: float) -> None:
    """Mean and deviation of every column within 4.5 standard errors."""
    count = error.shape[0]
    assert float(error.mean(dim=0).abs().max()) < 4.5 * expected / math.sqrt(count)
    assert float((error.std(dim=0) / expected - 1).abs().max()) < 4.5 / math.sqrt(2 * count)


def inputs(rows: int = 30) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.random.default_rng(1).integers(-127, 128, rows)


@pytest.mark.parametrize("array_rows", [128, 7])
def test_the_output_has_the_noise_of_independent_cells(array_rows: int) -> None:
    """sqrt(sum x² · 2 sigma²): two devices per weight; row tiles add up to the same."""
    x = inputs()
    check_std(reads(noisy(f"array.rows={array_rows}"), x), SIGMA * math.sqrt(2 * float((x**2).sum())))


def test_severity_multiplies_read_noise() -> None:
    x = inputs()
    check_std(reads(noisy(), x, severity=3.0), 3 * SIGMA * math.sqrt(2 * float((x**2).sum())))


def test_slices_are_shifted_and_added() -> None:
    """Two slices of 4 bits: the top one counts 16 times."""
    x = inputs()
    example = noisy("weights.bits=9")
    assert example.arrays.cells.slice_weights == (1, 16)
    check_std(reads(example, x), SIGMA * math.sqrt(2 * (1 + 16**2) * float((x**2).sum())))


def test_input_bits_are_read_one_by_one() -> None:
    x = inputs()
    power = sum(4**k * float((((x >> k) & 1) ** 2).sum()) for k in range(8))
    check_std(reads(noisy("dac.encoding=bit_serial"), x), SIGMA * math.sqrt(2 * power))


def test_one_device_per_weight_in_the_bias_scheme() -> None:
    x = inputs()
    example = noisy("weights.scheme=bias", "weights.bits=4")
    check_std(reads(example, x), SIGMA * math.sqrt(float((x**2).sum())))


def test_columns_and_tiles_are_independent() -> None:
    error = reads(noisy("array.rows=7"), inputs())
    correlation = torch.corrcoef(error.T) - torch.eye(error.shape[1])
    assert float(correlation.abs().max()) < 4.5 / math.sqrt(READS)


def test_reads_are_independent() -> None:
    error = reads(noisy(), inputs())[:, 0]
    for lag in (1, BLOCK // 2, BLOCK):
        assert abs(float(torch.corrcoef(torch.stack((error[:-lag], error[lag:])))[0, 1])) < 4.5 / math.sqrt(READS)


def test_nothing_driven_no_noise() -> None:
    assert float(reads(noisy(), np.zeros(30, np.int64)).abs().max()) < 1e-6


def test_padding_drives_nothing() -> None:
    """At a corner of a padded image four of nine taps see the image."""
    target = load_target("reram_128x128", QUIET)
    example = layer(target, np.zeros((2, 1, 3, 3), np.int64), op=window((3, 3), pads=(1, 1, 1, 1)))
    with torch.no_grad():
        found = example.simulator(0)(torch.full((READS, 1, 4, 4), 100.0))
    assert isinstance(found, Tensor)
    for place, taps in (((0, 0), 4), ((0, 1), 6), ((1, 1), 9)):
        check_std(found[:, :, place[0], place[1]], SIGMA * 100.0 * math.sqrt(2 * taps))


# --- where draws come from ---


def draws(first: int, samples: int, *, tiles: int = 2, per: int = 1, seed: int = 0, role: str = "a",
          tile: int = 0) -> Tensor:
    noise = SampleNoise(Key(("read", seed)), first, samples)
    return noise.normal((role, 0), tile, torch.empty(tiles, samples * per, 3, 5))


def test_a_sample_has_its_draws_in_every_batch() -> None:
    whole = draws(0, 100)
    for first, samples in ((0, 1), (31, 2), (32, 32), (63, 37), (99, 1)):
        assert torch.equal(draws(first, samples), whole[:, first : first + samples])


def test_several_vectors_of_a_sample_stand_together() -> None:
    whole = draws(0, 10, per=4)
    for first, samples in ((3, 1), (5, 5)):
        assert torch.equal(draws(first, samples, per=4), whole[:, 4 * first : 4 * (first + samples)])


def test_tiles_have_draws_of_their_own() -> None:
    both = draws(0, 4)
    assert torch.equal(draws(0, 4, tiles=1, tile=1)[0], both[1]) and not torch.equal(both[0], both[1])


def test_seeds_and_roles_differ() -> None:
    base = draws(0, 4)
    assert not torch.equal(draws(0, 4, seed=1), base) and not torch.equal(draws(0, 4, role="b"), base)


def test_vectors_that_no_sample_owns_are_drawn_per_call() -> None:
    noise = SampleNoise(Key(("read", 0)), 6, 3)
    odd = noise.normal(("a", 0), 0, torch.empty(1, 7, 2))
    assert odd.shape == (1, 7, 2) and torch.equal(odd, noise.normal(("a", 0), 0, torch.empty(1, 7, 2)))
    assert not torch.equal(odd, SampleNoise(Key(("read", 0)), 9, 3).normal(("a", 0), 0, torch.empty(1, 7, 2)))


def test_draws_are_standard_normal() -> None:
    x = draws(0, 3000).double()
    count = x.numel()
    assert abs(float(x.mean())) < 4 / math.sqrt(count) and abs(float(x.std()) - 1) < 4 / math.sqrt(2 * count)


def test_a_stream_is_fresh_at_every_call() -> None:
    like = torch.empty(2, 3, 4)
    first, second = (StreamNoise(generator(Key(("s", 0)))) for _ in range(2))
    a, b = first.normal(("x",), 0, like), first.normal(("x",), 0, like)
    assert not torch.equal(a, b)
    assert torch.equal(second.normal(("y",), 1, like), a) and torch.equal(second.normal(("y",), 1, like), b)


# --- the bank ---


def banked(first: int, samples: int | None, count: int, width: int, role: str = "a", seed: int = 0) -> Tensor:
    """[count, width]"""
    noise = BankNoise(Key(("read", seed)), first, samples)
    return noise.vectors((role, 0), [(0, 0)], count, width, torch.empty(0))[0](0, count)


def correlation(a: Tensor, b: Tensor) -> float:
    """Of draws at the same places, in standard errors."""
    return float((a.double() * b.double()).mean()) * math.sqrt(a.numel())


def test_the_bank_is_standard_normal() -> None:
    """Mean 0 and deviation 1 exactly, kurtosis 3, tails of a Gaussian, no correlation between neighbours."""
    numbers = bank(torch.device("cpu"))[:BANK].double()
    assert abs(float(numbers.mean())) < 1e-6 and abs(float(numbers.square().mean()) - 1.0) < 1e-6
    assert abs(float(numbers.pow(4).mean()) - 3.0) < 5 * math.sqrt(96 / BANK)
    for sigmas, beyond in ((2.0, 0.0455003), (3.0, 0.0026998), (4.0, 6.334e-5)):
        found = float((numbers.abs() > sigmas).double().mean())
        assert abs(found - beyond) < 5 * math.sqrt(beyond / BANK)
    for lag in (1, 2, 7, 64, 1000, 65536):
        assert abs(correlation(numbers, numbers.roll(lag))) < 5


def test_banked_draws_of_a_sample_do_not_depend_on_the_batch() -> None:
    whole = banked(0, 10, 20, 33)
    assert torch.equal(whole[6:14], banked(3, 4, 8, 33))
    noise = BankNoise(Key(("read", 0)), 0, 10)
    (take,) = noise.vectors(("a", 0), [(0, 0)], 20, 33, torch.empty(0))
    assert torch.equal(whole[5:9], take(5, 4))
    assert not torch.equal(banked(0, None, 7, 33), banked(0, None, 7, 33, seed=1))


def test_banked_draws_are_uncorrelated_across_samples() -> None:
    """Also where the samples of one batch need the bank several times over."""
    draws = banked(0, 128, 128, 65_536)  # four times the bank
    flat = draws.double()
    products = flat @ flat.T / math.sqrt(flat.shape[1])  # in standard errors
    off = products[~torch.eye(128, dtype=torch.bool)]
    assert float(off.abs().max()) < 6.0
    assert float(off.std()) == pytest.approx(1.0, abs=0.1)


def test_banked_draws_are_uncorrelated_across_roles_tiles_slices_and_steps() -> None:
    noise = BankNoise(Key(("read", 0)), 0, 32)
    like = torch.empty(3, 32, 50, 1, 2, 64)  # [tile, batch, positions, block, slice, cols]
    drawn = noise.normal(("node", 0), 0, like)
    parts = [drawn[t, ..., s, :].flatten() for t in range(3) for s in range(2)]
    parts += [noise.normal(("other", 0), 0, like)[0, ..., 0, :].flatten()]
    parts += [BankNoise(Key(("training", 0, step))).normal(("node", 0), 0, like)[0, ..., 0, :].flatten()
              for step in range(20)]
    found = [abs(correlation(a, b)) for i, a in enumerate(parts) for b in parts[:i]]
    assert max(found) < 5.0
    assert float(np.mean(found)) == pytest.approx(math.sqrt(2 / math.pi), abs=0.15)


def test_a_read_larger_than_the_bank() -> None:
    draws = banked(0, 1, BANK + 10, 2)
    assert draws.shape == (BANK + 10, 2)
    assert torch.equal(draws.flatten()[:BANK], draws.flatten()[BANK : 2 * BANK])


def test_draws_made_anew_have_the_same_distribution() -> None:
    """The same layer, drawn from the bank and anew: equal deviations, different numbers."""
    example, x = noisy("array.rows=7"), torch.from_numpy(np.tile(inputs().astype(np.float32), (READS, 1)))
    banked_chip, anew = example.simulator(0), example.simulator(0)
    anew.draw_anew = True
    with torch.no_grad():
        a, b = banked_chip(x), anew(x)
    assert isinstance(a, Tensor) and isinstance(b, Tensor) and not torch.equal(a, b)
    assert float((a.std(dim=0) / b.std(dim=0) - 1).abs().max()) < 4.5 / math.sqrt(READS)
