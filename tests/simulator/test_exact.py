"""With ideal devices and enough ADC codes arrays compute in integers: every conversion, and what they add up to.

Reference: NumPy's int64, from the definitions of the encodings, written without the code under test.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from pinat_compile.errors import TargetError
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.graph.ops.linear import Conv
from pinat_compile.hardware.loader import load_target
from pinat_compile.physics.limits import Limits, input_limit
from pinat_compile.simulator.arrays import EXACT_FLOAT32, ArrayMatrix
from pinat_compile.simulator.operators import execute
from tests.simulator.layers import Ints, Layer, blocks_of, explicit, layer, vectors_of, window

ADC_BITS = 24


@st.composite
def targets(draw: st.DrawFn) -> list[str]:
    """Overrides of the ideal target: scheme, bits, encoding, array size."""
    scheme = draw(st.sampled_from(["differential", "two_sided", "bias", "flip", "offset"]))
    encoding = draw(st.sampled_from(["amplitude", "pulse_width", "bit_serial", "analog"]))
    weight_bits, cell_bits, dac_bits = draw(st.integers(2, 9)), draw(st.integers(1, 8)), draw(st.integers(2, 9))
    rows_on = draw(st.one_of(st.none(), st.integers(1, 12)))
    found = [
        f"array.rows={draw(st.integers(1, 24))}", f"array.cols={draw(st.integers(18, 40))}",
        f"weights.scheme={SCHEMES[scheme]}", f"weights.bits={weight_bits}",
        f"weights.flip={'true' if scheme == 'flip' else 'false'}",
        f"weights.two_sided={'true' if scheme == 'two_sided' else 'false'}", f"cell.bits={cell_bits}",
        f"dac.bits={dac_bits}", f"dac.encoding={'bit_serial' if encoding == 'analog' else encoding}",
        f"adc.bits={ADC_BITS}", f"adc.rounding={draw(st.sampled_from(['nearest', 'stochastic']))}",
    ]
    if encoding in ("bit_serial", "analog"):
        found.append(f"dac.step_bits={draw(st.integers(1, dac_bits - 1))}")
    if encoding == "analog":
        found.append("dac.accumulation=analog")
    return found if rows_on is None else [*found, f"array.rows_on={rows_on}"]


SCHEMES = {"differential": "differential", "two_sided": "differential", "bias": "bias", "flip": "bias",
           "offset": "offset"}


@st.composite
def shapes(draw: st.DrawFn) -> tuple[tuple[int, ...], ArrayMvm, int, tuple[int, ...]]:
    """(weight shape, operation, groups, input shape)"""
    batch = draw(st.integers(1, 3))
    if draw(st.booleans()):
        rows = draw(st.integers(1, 40))
        leading = draw(st.sampled_from([(), (2,), (2, 1)]))
        return (draw(st.integers(1, 12)), rows), ArrayMvm("m"), 1, (batch, *leading, rows)
    axes, groups = draw(st.integers(1, 2)), draw(st.sampled_from([1, 1, 2, 3, 4, 6]))
    kernel = tuple(draw(st.lists(st.integers(1, 3), min_size=axes, max_size=axes)))
    strides, dilations = (tuple(draw(st.lists(st.integers(1, 2), min_size=axes, max_size=axes))) for _ in range(2))
    pads = tuple(draw(st.lists(st.integers(0, 2), min_size=2 * axes, max_size=2 * axes)))
    channels, outputs = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    sizes = tuple((k - 1) * d + 1 + draw(st.integers(0, 2)) for k, d in zip(kernel, dilations, strict=True))
    op = window(kernel, strides=strides, pads=pads, dilations=dilations, group=groups)
    return (groups * outputs, channels, *kernel), op, groups, (batch, groups * channels, *sizes)


@st.composite
def layers(draw: st.DrawFn) -> tuple[Layer, Ints, Ints]:
    """(layer, its integer weight, integer inputs); extreme values are frequent."""
    target = load_target("ideal_128x128", draw(targets()))
    weight_shape, op, groups, input_shape = draw(shapes())
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    assert target.weights.bits is not None
    top, limit = (1 << (target.weights.bits - 1)) - 1, input_limit(target.dac)
    low = -top if target.weights.scheme == "differential" else -top - 1
    kind = draw(st.sampled_from(["any", "extreme", "top", "zero"]))
    weight = {
        "any": rng.integers(low, top + 1, weight_shape), "extreme": rng.choice([low, top], weight_shape),
        "top": np.full(weight_shape, top), "zero": np.zeros(weight_shape, np.int64),
    }[kind]
    if draw(st.booleans()):
        x = rng.integers(-limit, limit + 1, input_shape)
    else:
        x = rng.choice([-limit, limit], input_shape)
    return layer(target, weight, op=op, groups=groups), weight.astype(np.int64), x.astype(np.int64)


def as_tensor(x: Ints) -> Tensor:
    return torch.from_numpy(x.astype(np.float32))


def inputs_by_block(example: Layer, x: Ints) -> Ints:
    """[batch, *positions, blocks, rows of a block]"""
    vectors = vectors_of(x, example.op)
    blocks = example.arrays.cut.blocks
    return vectors.reshape(*vectors.shape[:-2], blocks, -1)


def expected_sums(example: Layer, weight: Ints, x: Ints) -> Ints:
    """[batch, *positions, block, cols]"""
    blocks = blocks_of(weight, example.matrix.groups, example.arrays.cut.blocks)
    sums: Ints = np.einsum("...br,brc->...bc", inputs_by_block(example, x), blocks)
    return sums


def digits(example: Layer, weight: Ints) -> list[Ints]:
    """What the cells of each slice hold, net of a pair: [blocks, rows, cols] per slice."""
    cells = example.arrays.cells
    blocks = blocks_of(weight, example.matrix.groups, example.arrays.cut.blocks)
    if cells.scheme != "differential":
        whole, sign = blocks + cells.weight_max + 1, np.ones_like(blocks)
    else:
        whole, sign = np.abs(blocks), np.sign(blocks)
    result, shift = [], 0
    for bits in cells.slice_bits:
        result.append(sign * ((whole >> shift) & ((1 << bits) - 1)))
        shift += bits
    if cells.scheme == "offset":  # the reference column holds the middle, which is one bit of the top slice
        result[-1] = result[-1] - (1 << (cells.slice_bits[-1] - 1))
    return result


def drives(example: Layer, x: Ints) -> list[tuple[int, Ints]]:
    """(weight, inputs) of each input step."""
    dac = example.target.dac
    if dac.encoding != "bit_serial" or dac.accumulation == "analog":
        return [(1, x)]
    assert dac.bits is not None
    magnitude, sign = x & ((1 << (dac.bits - 1)) - 1), (x >> (dac.bits - 1)) & 1
    digits = range(0, dac.bits - 1, dac.step_bits)
    return [*((1 << k, (magnitude >> k) & ((1 << dac.step_bits) - 1)) for k in digits), (-(1 << (dac.bits - 1)), sign)]


def read_rows(example: Layer) -> list[tuple[slice, slice]]:
    """For each read the rows of its tile, and those that it drives: never more than ``rows_on`` at a time."""
    cuts, most = example.arrays.cut.row_cuts, example.target.array.rows_on
    found = []
    for a, b in pairwise(cuts):
        step = most or b - a
        found += [(slice(a, b), slice(start, min(start + step, b))) for start in range(a, b, step)]
    return found


@settings(max_examples=150, deadline=None)
@given(layers())
def test_sums_equal_integer_arithmetic(case: tuple[Layer, Ints, Ints]) -> None:
    example, weight, x = case
    arrays, programmed = example.arrays, example.simulator().programmed("m")
    expected = expected_sums(example, weight, x)
    lossless = example.limits.largest_sum <= example.limits.codes[1]
    assert (programmed.whole is not None) == lossless
    if programmed.whole is not None:
        collapsed = arrays._exact(example.vectors(as_tensor(x)), programmed.whole)
        np.testing.assert_array_equal(collapsed.double().numpy(), expected)
    assume(example.limits.largest_sum < EXACT_FLOAT32)
    through = arrays._through_arrays(example.vectors(as_tensor(x)), explicit(programmed), None, "m")
    np.testing.assert_array_equal(through.double().numpy(), expected)


@settings(max_examples=75, deadline=None)
@given(layers())
def test_every_conversion_equals_integer_arithmetic(case: tuple[Layer, Ints, Ints]) -> None:
    example, weight, x = case
    assume(example.limits.largest_sum < EXACT_FLOAT32)
    arrays, cut, cells = example.arrays, example.arrays.cut, example.arrays.cells
    programmed = explicit(example.simulator().programmed("m"))
    found: dict[int, list[Tensor]] = {}
    original = ArrayMatrix._convert

    def watch(self: ArrayMatrix, sums: Tensor, held: Any, tiles: slice, *rest: Any, **options: Any) -> Tensor:
        codes = original(self, sums, held, tiles, *rest, **options)
        for index in range(tiles.start, tiles.stop):
            found.setdefault(index, []).append(codes[index - tiles.start].clone())
        return codes

    with patch.object(ArrayMatrix, "_convert", watch):
        arrays._through_arrays(example.vectors(as_tensor(x)), programmed, None, "m")
    reads = read_rows(example)
    assert sorted(found) == list(range(len(reads)))
    lowest, highest = example.limits.codes
    for step, (_, driven) in enumerate(drives(example, x)):
        vectors = inputs_by_block(example, driven)
        for tile, (whole_tile, rows) in enumerate(reads):
            got = found[tile][step].double().numpy()  # [batch, *positions, block, slice, cols]
            for s, held in enumerate(digits(example, weight)):
                cell = held[:, rows]
                if cells.flip:
                    # a tile is as tall as the tallest: a complement pays from half of that on
                    in_tile = held[:, whole_tile].sum(axis=1, keepdims=True)
                    over = in_tile > cells.cell_max * max(cut.tile_rows) / 2
                    cell = np.where(over, cells.cell_max - cell, cell)
                sums = np.einsum("...br,brc->...bc", vectors[..., rows], cell)
                assert lowest <= sums.min() and sums.max() <= highest
                assert np.abs(sums).max() <= example.limits.largest_sum
                np.testing.assert_array_equal(got[..., s, :], sums)


def test_the_bound_of_a_conversion_is_reached() -> None:
    """All rows driven, all cells at their top: the largest sum is what `Limits` says, no less."""
    serial, pairs = ["dac.bits=4", "dac.encoding=bit_serial"], ["weights.bits=5", "cell.bits=4", "dac.bits=4"]
    for overrides, weight, expected in (
        (pairs, 15, 10 * 15 * 7),
        ([*pairs, "weights.two_sided=true"], 15, 10 * 15 * 7),
        ([*pairs, "array.rows_on=4"], 15, 4 * 15 * 7),
        ([*pairs, "dac.encoding=pulse_width"], 15, 10 * 15 * 7),
        (["weights.bits=5", "cell.bits=2", *serial], 15, 10 * 3),
        (["weights.bits=5", "cell.bits=2", *serial, "dac.step_bits=2"], 15, 10 * 3 * 3),
        (["weights.bits=5", "cell.bits=2", *serial, "dac.accumulation=analog"], 15, 10 * 3 * 7),
        (["weights.bits=4", "cell.bits=4", "dac.bits=4", "weights.scheme=bias"], 7, 10 * 15 * 7),
        (["weights.bits=4", "cell.bits=4", "dac.bits=4", "weights.scheme=offset"], -8, 10 * 8 * 7),
        (["weights.bits=4", "cell.bits=2", "dac.bits=4", "weights.scheme=offset"], 7, 10 * 3 * 7),
    ):
        example = layer([*overrides, "adc.bits=16"], np.full((1, 10), weight))
        assert example.limits.largest_sum == expected
        sums: list[float] = []
        original = ArrayMatrix._convert

        def watch(
            self: ArrayMatrix, found: Tensor, *rest: Any, sums: list[float] = sums, **options: Any
        ) -> Tensor:
            sums.append(float(found.abs().max()))
            return original(self, found, *rest, **options)  # noqa: B023

        with patch.object(ArrayMatrix, "_convert", watch):
            vectors = example.vectors(torch.full((1, 10), 7.0))
            example.arrays._through_arrays(vectors, explicit(example.simulator().programmed("m")), None, "m")
        assert max(sums) == expected


def test_rows_driven_in_groups_can_pass_half_of_what_their_complement_saves() -> None:
    """Columns are stored as complement by the sum of the tile; a group of its rows may be full all the same."""
    overrides = ["weights.scheme=bias", "weights.flip=true", "weights.bits=2", "cell.bits=2", "dac.bits=4",
                 "dac.encoding=bit_serial", "adc.bits=16"]
    weight = np.array([[1, 1, 1, 1, -2, -2, -2, -2]])
    whole, groups = layer(overrides, weight), layer([*overrides, "array.rows_on=4"], weight)
    assert (whole.limits.largest_sum, groups.limits.largest_sum) == (8 * 3 // 2, 4 * 3)


def test_isaac_needs_no_ninth_bit() -> None:
    """128 rows of 2-bit cells driven by bits: 385 sums, but 193 once columns are complemented (ISAAC, section V)."""
    rng = np.random.default_rng(0)
    example = layer(load_target("isaac"), rng.integers(-32768, 32768, (5, 128)))
    assert example.limits.largest_sum == 192 and example.limits.codes == (0, 255) and example.limits.lossless
    plain = layer(load_target("isaac", ["weights.flip=false"]), rng.integers(-32768, 32768, (5, 128)))
    assert plain.limits.largest_sum == 384 and not plain.limits.lossless


def test_16_bits_times_16_bits_need_float64() -> None:
    rng = np.random.default_rng(1)
    weight, x = rng.integers(-32768, 32768, (9, 300)), rng.integers(-32767, 32768, (4, 300))
    example = layer(load_target("isaac"), weight)
    programmed = example.simulator().programmed("m")
    assert programmed.whole is not None
    vectors = example.vectors(as_tensor(x))
    expected = x @ weight.T
    collapsed = example.arrays._exact(vectors, programmed.whole)
    assert collapsed.dtype == torch.float64
    np.testing.assert_array_equal(collapsed.numpy()[..., 0, :], expected)
    through = example.arrays._through_arrays(vectors, explicit(programmed), None, "m")
    np.testing.assert_array_equal(through.numpy()[..., 0, :], expected)
    in_float32 = (as_tensor(x) @ as_tensor(weight).T).numpy().astype(np.int64)
    assert (in_float32 != expected).any(), "else this test shows nothing"


def test_float32_where_that_is_exact() -> None:
    """8 x 8 bits over 100 rows stay below 2**24; over 2,000 rows, whose sums reach it, float64 takes over."""
    overrides = ["weights.bits=8", "cell.bits=7", "dac.bits=8", "adc.bits=24"]
    for rows, dtype in ((100, torch.float32), (2000, torch.float64)):
        weight, x = np.full((3, rows), 127), np.full((2, rows), 127)
        example = layer(overrides, weight)
        programmed = example.simulator().programmed("m")
        assert programmed.whole is not None
        for sums in (
            example.arrays._exact(example.vectors(as_tensor(x)), programmed.whole),
            example.arrays._through_arrays(example.vectors(as_tensor(x)), explicit(programmed), None, "m"),
        ):
            assert sums.dtype == dtype
            np.testing.assert_array_equal(sums.double().numpy()[..., 0, :], x @ weight.T)


@settings(max_examples=30, deadline=None)
@given(layers())
def test_the_network_gives_what_the_arrays_add_up_to(case: tuple[Layer, Ints, Ints]) -> None:
    example, weight, x = case
    with torch.no_grad():
        got = example.simulator()(as_tensor(x))
    assert isinstance(got, Tensor)
    sums = expected_sums(example, weight, x)
    sums = sums.reshape(*sums.shape[:-2], -1)
    if example.op.has_window:
        sums = np.moveaxis(sums, -1, 1)
    lossy = not example.limits.lossless
    np.testing.assert_allclose(got.numpy(), sums, rtol=1e-5 if lossy else 1e-7, atol=1e-4 * np.abs(sums).max() * lossy)


def test_a_coarse_adc_rounds_each_sum() -> None:
    """Steps of 2 units: 4-bit codes for sums up to 14; odd sums go to the even neighbour."""
    example = layer(["weights.bits=2", "cell.bits=1", "dac.bits=2", "adc.bits=4", "array.rows=14"], np.ones((1, 14)))
    assert example.limits.codes == (-7, 7) and example.limits.largest_sum == 14
    x = np.tril(np.ones((15, 14), np.int64), -1)  # sums 0 … 14
    with torch.no_grad():
        got = example.simulator()(as_tensor(x))
    half_to_even = [0, 0, 2, 4, 4, 4, 6, 8, 8, 8, 10, 12, 12, 12, 14]
    assert got.flatten().tolist() == half_to_even


def test_codes_are_symmetric_or_unsigned() -> None:
    def codes(*overrides: str) -> tuple[int, int]:
        example = layer(["weights.bits=4", "cell.bits=2", "dac.bits=4", "adc.bits=8", *overrides], np.ones((1, 4)))
        return example.limits.codes

    assert codes() == (-127, 127)
    assert codes("dac.encoding=bit_serial") == (-127, 127)
    assert codes("weights.scheme=bias") == (-127, 127)
    assert codes("weights.scheme=bias", "dac.encoding=bit_serial") == (0, 255)


@pytest.mark.parametrize("override", ["dac.bits=1", "adc.bits=1"])
def test_a_converter_without_a_sign_is_refused(override: str) -> None:
    """One bit leaves a signed converter the code 0 alone."""
    with pytest.raises(TargetError, match=override.split("=")[0]):
        load_target("ideal_128x128", ["weights.bits=4", "cell.bits=4", "dac.bits=4", "adc.bits=4", override])


def test_limits_of_the_shipped_targets() -> None:
    for name, largest in (("reram_128x128", 128 * 127 * 15), ("isaac", 192)):
        target = load_target(name)
        example = layer(target, np.ones((2, 256)))
        limits = Limits.of(example.arrays.cells, example.arrays.cut, target)
        assert limits.largest_sum == largest


def test_one_channel_of_a_channels_last_image() -> None:
    """torch 2.13 on a CPU gets a convolution over one channel wrong if that is laid out channels-last, the strides are
    (1, 2) and there is one column of results; tiles of one channel, cut from an image of several, look like that."""
    rng = np.random.default_rng(0)
    weight, x = rng.integers(-3, 4, (2, 4, 3, 3)), rng.integers(-3, 4, (2, 4, 5, 4))
    op = window((3, 3), strides=(1, 2))
    example = layer(["array.rows=9", "weights.bits=3", "cell.bits=2", "dac.bits=3", "adc.bits=24"], weight, op=op)
    assert example.arrays.cut.row_cuts == (0, 9, 18, 27, 36)
    programmed = explicit(example.simulator().programmed("m"))
    through = example.arrays._through_arrays(example.vectors(as_tensor(x)), programmed, None, "m")
    np.testing.assert_array_equal(through.double().numpy(), expected_sums(example, weight, x))
    one = layer(["weights.bits=3", "cell.bits=2", "dac.bits=3", "adc.bits=24"], weight[:, :1], op=op)
    image = as_tensor(x).contiguous(memory_format=torch.channels_last)[:, :1]
    through = one.arrays._through_arrays(one.vectors(image), explicit(one.simulator().programmed("m")), None, "m")
    np.testing.assert_array_equal(through.double().numpy(), expected_sums(one, weight[:, :1], x[:, :1]))
    digital = execute(Conv(strides=(1, 2)), [image, as_tensor(weight[:, :1])], 1)[0]
    np.testing.assert_array_equal(digital.double().numpy(), expected_sums(one, weight[:, :1], x[:, :1])[..., 0, :]
                                  .transpose(0, 3, 1, 2))
