"""What any credible simulator finds, on the shipped network: which mapping, slicing and array size does better.

Ratios of errors are those of benchmarks/orderings.py (results/orderings.csv, where the ratio's logarithm varies from
chip to chip by the deviation s given here); margins are at least three times s / sqrt(chips) away from what was found.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.orderings import MODEL, OFFSET, PAIRS, Found, logits, measure, noisy, programming, sliced, wires
from pinat_compile.compiler.build import compile
from pinat_compile.data import Dataset, load_data

CHIPS = 12


@pytest.fixture(scope="module")
def images() -> Dataset:
    return load_data("fashion-mnist-mini@test", inputs=["x"]).slice(0, 100)


@pytest.fixture(scope="module")
def proportional_pairs(images: Dataset) -> Found:
    return measure((*PAIRS, *programming(0.0, 0.1)), images, CHIPS)


def ratio(second: Found, first: Found) -> float:
    """Geometric mean over the chips of how many times larger the second error is."""
    return float(np.exp(np.log(second.errors / first.errors).mean()))


# --- Xiao et al., arXiv 2109.01262 ---


def test_pairs_beat_offset_under_independent_error(images: Dataset) -> None:
    """A pair gives a weight twice the range for twice the variance: 1.41 = sqrt(2) times less error, s = 0.25."""
    pairs, offset = (measure((*scheme, *programming(0.02)), images, CHIPS) for scheme in (PAIRS, OFFSET))
    assert 1.1 < ratio(offset, pairs) < 1.8


def test_pairs_beat_offset_under_proportional_error(images: Dataset, proportional_pairs: Found) -> None:
    """Most weights are small, and so are their conductances in pairs; 3.1 times less error, s = 0.41."""
    offset = measure((*OFFSET, *programming(0.0, 0.1)), images, CHIPS)
    assert ratio(offset, proportional_pairs) > 2.0
    assert proportional_pairs.accuracies.mean() > offset.accuracies.mean() + 0.05  # 14 points, over 16 chips


def test_a_high_on_off_ratio_beats_a_low_one(images: Dataset, proportional_pairs: Found) -> None:
    """At a ratio of 2 small weights stand at large conductances again; 4.8 times more error, s = 0.31."""
    low = measure((*PAIRS, *programming(0.0, 0.1), "cell.g_min_us=50.0"), images, CHIPS)
    assert ratio(low, proportional_pairs) > 3.0
    assert proportional_pairs.accuracies.mean() > low.accuracies.mean() + 0.2  # 41 points


@pytest.mark.parametrize("bits", [4, 2])
def test_slices_gain_little_under_proportional_error(images: Dataset, proportional_pairs: Found, bits: int) -> None:
    """The top slice carries nearly all of the error: 0.92 and 0.79 times that of one slice, s = 0.41 and 0.55."""
    many = measure((*sliced(bits), *programming(0.0, 0.1)), images, CHIPS)
    assert 0.45 < ratio(many, proportional_pairs) < 1.35


@pytest.mark.parametrize("ohm", [1.0, 3.0])
def test_smaller_arrays_beat_larger_ones_under_wire_resistance(images: Dataset, ohm: float) -> None:
    """No draws: chips that have nothing but wires are all alike. Each doubling gives 1.9 to 2.4 times the error."""
    small, middle, large = (measure(wires(ohm, size), images, 1) for size in (64, 128, 256))
    assert ratio(middle, small) > 1.5 and ratio(large, middle) > 1.5
    if ohm == 3.0:
        assert small.accuracies.mean() > large.accuracies.mean() + 0.08  # 17 points, over 250 images


# --- Rasch et al., Nature Communications 14, 5282 (2023) ---


def test_input_and_output_noise_hurt_more_than_weight_noise(images: Dataset) -> None:
    """4 % of the largest input, output or weight, fresh in every product: 2.5 and 2.6 times the error, s = 0.02."""
    weights, inputs, outputs = (measure(noisy(place, 0.04), images, 2) for place in ("weight", "input", "output"))
    for worse in (inputs, outputs):
        assert ratio(worse, weights) > 1.5
        assert weights.accuracies.mean() > worse.accuracies.mean() + 0.05


# --- all core styles are one network ---

EIGHT_BITS = ("dac.bits=8", "weights.bits=8")
STYLES: dict[str, tuple[str, ...]] = {
    "pairs in slices": ("weights.scheme=differential", "cell.bits=2"),
    "offset": ("weights.scheme=bias", "cell.bits=8"),
    "reference columns": ("weights.scheme=offset", "cell.bits=8"),
    "two-sided pairs": ("weights.scheme=differential", "weights.two_sided=true", "cell.bits=8"),
    "pulse widths": ("weights.scheme=differential", "cell.bits=7", "dac.encoding=pulse_width"),
    "rows in groups": ("weights.scheme=differential", "cell.bits=7", "array.rows_on=24"),
    "input bits in pairs": (
        "weights.scheme=bias", "cell.bits=4", "dac.encoding=bit_serial", "dac.step_bits=2", "dac.accumulation=analog",
    ),
    "small arrays": ("weights.scheme=differential", "cell.bits=7", "array.rows=32", "array.cols=32"),
    "pairs, input bits": ("weights.scheme=differential", "cell.bits=4", "dac.encoding=bit_serial"),
    "wide converters": ("weights.scheme=differential", "cell.bits=7", "adc.bits=24"),
    "as ISAAC": (
        "weights.scheme=bias", "weights.flip=true", "cell.bits=2", "dac.encoding=bit_serial", "adc.bits=8",
    ),
}  # fmt: skip


def few_logits(images: Dataset, *overrides: str) -> tuple[torch.Tensor, torch.Tensor]:
    """With ideal devices, and through every conversion: sensing errors of 0 keep the short cut for ideal chips off."""
    compiled = compile(MODEL, "ideal_128x128", overrides=(*EIGHT_BITS, "column.gain_sigma=0.0", *overrides))
    few = images.slice(0, 16)
    return logits(compiled.simulator(noise=False), few), logits(compiled.simulator(chip=0), few)


@pytest.fixture(scope="module")
def plain(images: Dataset) -> torch.Tensor:
    return few_logits(images, "weights.scheme=differential", "cell.bits=7")[0]


@pytest.mark.parametrize("style", STYLES)
def test_all_core_styles_agree_exactly_with_ideal_devices(images: Dataset, plain: torch.Tensor, style: str) -> None:
    for found in few_logits(images, *STYLES[style]):
        assert torch.equal(found, plain)
