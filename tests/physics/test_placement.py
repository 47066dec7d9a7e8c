"""Weights may stand anywhere in their tile: the integers stay, the draws stay with the cells, and faults are met."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pinat_compile.graph.matrix import Cells, Cut
from pinat_compile.hardware.loader import load_target
from pinat_compile.physics import crossbar
from pinat_compile.physics.placement import AT_G_MAX, AT_G_MIN, HEALTHY, Placement
from pinat_compile.physics.randomness import Key
from pinat_compile.physics.tiling import Tiling
from pinat_compile.simulator.arrays import ArrayMatrix
from pinat_compile.simulator.conditions import Conditions
from tests.simulator.layers import Ints, Layer, explicit, layer
from tests.simulator.test_exact import as_tensor, expected_sums, layers

QUIET = ("programming=none", "mismatch=none", "read_noise=none", "stuck=none", "column=none")
PAIR = Cells("differential", 15, 15, (4,))


def random_placement(arrays: ArrayMatrix, seed: int) -> Placement:
    """Any rows and columns inside the tiles, any sides, nothing known of the cells."""
    rng, tiling = np.random.default_rng(seed), arrays.tiling
    (rows, cols), (row_tiles, col_tiles) = tiling.tile_shape, tiling.counts

    def order(size: int, used: int) -> Ints:
        return np.concatenate([rng.permutation(used), np.arange(used, size)])

    heights, widths = arrays.cut.tile_rows, arrays.cut.tile_cols
    placed_rows = [[order(rows, heights[r % len(heights)]) for _ in widths] for r in range(row_tiles)]
    placed_cols = [[order(cols, width) for width in widths] for _ in range(row_tiles)]
    shape = (row_tiles, col_tiles, arrays.cells.slices, rows, cols, arrays.cells.devices)
    swapped = torch.from_numpy(rng.random((*shape[:3], cols)) < 0.5) & (arrays.cells.devices == 2)
    return Placement(
        torch.from_numpy(np.array(placed_rows)), torch.from_numpy(np.array(placed_cols)), swapped,
        torch.zeros(shape, dtype=torch.int8),
    )


@given(layers(), st.integers(0, 1 << 30))
@settings(max_examples=60, deadline=None)
def test_any_placement_gives_the_same_integers(example: tuple[Layer, Ints, Ints], seed: int) -> None:
    """Ideal devices: whole and slice by slice, for every scheme, encoding, window and cut."""
    made, weight, x = example
    arrays, values = made.arrays, made.simulator().value
    held = arrays.program(values, Conditions(chip=None, time_s=1.0), random_placement(arrays, seed))
    expected = expected_sums(made, weight, x)
    for programmed in (held, explicit(held)):
        found = arrays.multiply(made.vectors(as_tensor(x)), values, programmed, None, "m")
        assert np.array_equal(found.numpy(), expected.reshape(found.shape))


def reram(*overrides: str, rows: int = 50, cols: int = 40) -> Layer:
    """Weights that are all the same, on several tiles."""
    target = load_target("reram_128x128", ["array.rows=32", "array.cols=32", *overrides])
    return layer(target, np.full((cols, rows), 5))


def states(example: Layer, placement: Placement) -> tuple[crossbar.State, crossbar.State]:
    values, chip = example.simulator().value, Conditions(chip=3, time_s=1.0)
    return example.arrays.state(values, chip), example.arrays.state(values, chip, placement)


@pytest.mark.parametrize("overrides", [
    (), ("wires.row_ohm=3.0", "wires.col_ohm=2.0"), ("weights.scheme=offset", "weights.bits=4"),
])
def test_draws_belong_to_cells(overrides: tuple[str, ...]) -> None:
    """Equal weights see what stands at their new place: the voltage that wires take away there, and the cell of the
    reference column on the same word line, included."""
    example = reram(*overrides)
    placement = random_placement(example.arrays, 0)
    placement = replace(placement, swapped=torch.zeros_like(placement.swapped))
    plain, placed = states(example, placement)
    assert torch.equal(crossbar.conductances_us(plain), crossbar.conductances_us(placed))
    before, after = crossbar.effective(plain), crossbar.effective(placed)
    for r, c in np.ndindex(*before.shape[:2]):
        rows, cols = placement.rows[r, c], placement.cols[r, c]
        assert torch.equal(after[r, c, 0][rows][:, cols], before[r, c, 0])


def test_swapped_columns_use_the_other_device() -> None:
    """With the sides of all pairs swapped the plus levels stand where the minus levels stood."""
    example = reram()
    placement = random_placement(example.arrays, 1)
    plain, placed = states(example, placement)
    back = placement.unplace(placed.levels[..., 0], signed=False)
    sides = torch.where(placement.swapped[:, :, :, None, :], plain.levels[..., 1], plain.levels[..., 0])
    assert torch.equal(back, sides)


def test_column_errors_stay_with_the_columns() -> None:
    example = layer(load_target("reram_128x128", ["array.cols=32"]), np.full((40, 20), 5))
    arrays, values, chip = example.arrays, example.simulator().value, Conditions(chip=3, time_s=1.0)
    placement = random_placement(arrays, 2)
    plain, placed = (arrays.program(values, chip, where) for where in (None, placement))
    assert plain.to_codes is not None and placed.to_codes is not None
    assert plain.code_offset is not None and placed.code_offset is not None
    start = 0
    for tile, width in enumerate(arrays.cut.tile_cols):
        cols, swapped = placement.cols[0, tile, :width], placement.swapped[0, tile, 0, :width]
        old, new = (p.to_codes[0, 0, 0, start : start + width] for p in (plain, placed))  # type: ignore[index]
        assert torch.equal(new[cols], old)
        old, new = (p.code_offset[0, 0, 0, start : start + width] for p in (plain, placed))  # type: ignore[index]
        assert torch.equal(torch.where(swapped, -new, new)[cols], old)
        start += width


# --- pairs with a stuck device ---


def realised(wanted: int, plus: int, minus: int) -> float:
    """The difference that a pair is set to when ``wanted`` steps stand on devices of which so much is known."""
    line, known = torch.zeros(1, 1, 1, dtype=torch.int64), torch.tensor([plus, minus], dtype=torch.int8)
    swapped = torch.zeros(1, 1, 1, 1, dtype=torch.bool)
    placement = Placement(line, line, swapped, known.reshape(1, 1, 1, 1, 1, 2))
    device, tiling = load_target("reram_128x128", QUIET).device, Tiling(Cut(1, (0, 1), (0, 1)))
    steps = torch.full((1, 1, 1), float(wanted))
    return float(crossbar.effective(crossbar.program(steps, PAIR, device, tiling, None, None, placement)))


@pytest.mark.parametrize(("wanted", "plus", "minus", "expected"), [
    (0, AT_G_MAX, HEALTHY, 0), (9, AT_G_MAX, HEALTHY, 9), (-4, AT_G_MAX, HEALTHY, 0),
    (0, HEALTHY, AT_G_MAX, 0), (-9, HEALTHY, AT_G_MAX, -9), (4, HEALTHY, AT_G_MAX, 0),
    (9, AT_G_MIN, HEALTHY, 0), (-9, AT_G_MIN, HEALTHY, -9), (9, HEALTHY, AT_G_MIN, 9),
    (9, AT_G_MAX, AT_G_MIN, 15), (9, AT_G_MAX, AT_G_MAX, 0), (9, HEALTHY, HEALTHY, 9),
])
def test_the_other_device_makes_up_for_a_stuck_one(wanted: int, plus: int, minus: int, expected: float) -> None:
    assert realised(wanted, plus, minus) == expected


def test_gradients_pass_a_placement() -> None:
    example = reram()
    steps = torch.full((1, 50, 40), 5.0, requires_grad=True)
    placement = random_placement(example.arrays, 4)
    state = crossbar.program(steps, example.arrays.cells, example.target.device, example.arrays.tiling,
                             Key(("chip", 1, "m")), None, placement)
    crossbar.effective(state).sum().backward()  # type: ignore[no-untyped-call]
    assert steps.grad is not None and bool((steps.grad.abs() > 0).any())
