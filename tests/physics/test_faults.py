"""Weights around stuck cells: the search says truly what is left, never makes it worse, and finds what can be found."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pinat_compile.graph.matrix import Cells, Cut
from pinat_compile.hardware.loader import load_target
from pinat_compile.physics import crossbar
from pinat_compile.physics.faults import Found, place_around_faults, stuck_cells
from pinat_compile.physics.placement import AT_G_MAX, AT_G_MIN, HEALTHY, Placement
from pinat_compile.physics.randomness import Key
from pinat_compile.physics.tiling import Tiling

DEVICE = load_target("reram_128x128", ["programming=none", "mismatch=none", "read_noise=none"]).device
PAIR = Cells("differential", 15, 15, (4,))
SLICES = Cells("differential", 255, 15, (4, 4))
SINGLE = Cells("bias", 7, 15, (4,))


def state_of(steps: Tensor, cells: Cells, cut: Cut, placement: Placement | None = None) -> crossbar.State:
    """Ideal devices that hold what they are asked for."""
    return crossbar.program(steps, cells, DEVICE, Tiling(cut), None, None, placement)


def held(state: crossbar.State, known: Tensor) -> Tensor:
    """What a read multiplies by where ``known`` cells are stuck and all others hold their level."""
    top = float(state.cells.cell_max)
    levels = torch.where(known == AT_G_MIN, 0.0, torch.where(known == AT_G_MAX, top, state.levels))
    net = levels[..., 0] - levels[..., 1] if levels.shape[-1] == 2 else levels[..., 0]
    return net if state.placement is None else state.placement.unplace(net)


def error_of(steps: Tensor, known: Tensor, power: Tensor, cells: Cells, cut: Cut, found: Placement | None) -> float:
    """The expected squared error of the outputs, from the definition."""
    wanted = state_of(steps, cells, cut)
    net = wanted.levels[..., 0] - wanted.levels[..., 1] if cells.devices == 2 else wanted.levels[..., 0]
    shifts = torch.tensor(cells.slice_weights).square().view(1, 1, -1, 1, 1)
    error = (held(state_of(steps, cells, cut, found), known) - net).square() * shifts
    return float((error * power[:, None, None, :, None]).sum())


def example(seed: int, cells: Cells, cut: Cut, rate: float) -> tuple[Tensor, Tensor, Tensor]:
    """Weights [1, rows, cols], what is known of the cells, and the power of the inputs."""
    rng = np.random.default_rng(seed)
    low = -cells.weight_max - (cells.scheme == "bias")
    steps = torch.from_numpy(rng.integers(low, cells.weight_max + 1, (1, cut.row_cuts[-1], cut.col_cuts[-1]))).float()
    shape = state_of(steps, cells, cut).levels.shape
    known = torch.from_numpy(rng.choice([HEALTHY, AT_G_MIN, AT_G_MAX], shape, p=[1 - 2 * rate, rate, rate]))
    inside = Tiling(cut).split(torch.ones_like(steps))[:, :, None, :, :, None]
    power = torch.from_numpy(rng.random((shape[0], shape[3]))).float()
    return steps, (known * inside).to(torch.int8), power


def search(steps: Tensor, known: Tensor, power: Tensor, cells: Cells, cut: Cut) -> Found:
    return place_around_faults(state_of(steps, cells, cut), known, power)


@given(st.integers(0, 1 << 30), st.sampled_from([PAIR, SLICES, SINGLE]), st.sampled_from([0.01, 0.1, 0.4]))
@settings(max_examples=60, deadline=None)
def test_the_search_says_truly_what_is_left(seed: int, cells: Cells, rate: float) -> None:
    """Before and after are the errors by definition, over several tiles of unequal size."""
    cut = Cut(1, (0, 9, 14), (0, 6, 11))
    steps, known, power = example(seed, cells, cut, rate)
    found = search(steps, known, power, cells, cut)
    before, after = (error_of(steps, known, power, cells, cut, placed) for placed in (None, found.placement))
    assert found.before == pytest.approx(before, rel=1e-4)
    assert found.after == pytest.approx(after, rel=1e-4, abs=1e-6 * before)
    assert found.after <= found.before * (1 + 1e-6)
    assert found.cells == int((known != HEALTHY).sum())


def test_every_line_stays_in_its_tile() -> None:
    cut = Cut(1, (0, 9, 14), (0, 6, 11))
    found = search(*example(1, PAIR, cut, 0.1), PAIR, cut).placement
    for r, c in np.ndindex(2, 2):
        height, width = cut.tile_rows[r], cut.tile_cols[c]
        assert sorted(found.rows[r, c, :height].tolist()) == list(range(height))
        assert sorted(found.cols[r, c, :width].tolist()) == list(range(width))
        assert found.rows[r, c, height:].tolist() == list(range(height, 9))


@pytest.mark.parametrize("seed", range(6))
def test_near_the_best_of_all_placements(seed: int) -> None:
    """Against every order of three rows and three columns and every side: exchanging pairs may miss a little."""
    cut, orders = Cut(1, (0, 3), (0, 3)), list(permutations(range(3)))
    steps, known, power = example(seed, PAIR, cut, 0.15)
    best = min(
        error_of(steps, known, power, PAIR, cut, Placement(
            torch.tensor([[rows]]), torch.tensor([[cols]]), torch.tensor([[[sides]]]), known
        ))
        for rows, cols, sides in product(orders, orders, product([False, True], repeat=3))
    )
    found = search(steps, known, power, PAIR, cut)
    assert best - 1e-4 <= found.after <= best + 0.15 * found.before


def test_one_stuck_cell_costs_nothing() -> None:
    """A pair with one stuck device still holds half of the weights: the right sign is a matter of the side."""
    for wanted, device, stuck in product((-9.0, 9.0), (0, 1), (AT_G_MIN, AT_G_MAX)):
        cut, steps = Cut(1, (0, 1), (0, 1)), torch.full((1, 1, 1), wanted)
        known = torch.zeros(1, 1, 1, 1, 1, 2, dtype=torch.int8)
        known[..., device] = stuck
        assert search(steps, known, torch.ones(1, 1), PAIR, cut).after == 0.0


def test_a_loud_input_is_spared() -> None:
    """Of two rows that want the same, the one that is driven harder gets the healthy cell."""
    steps, cut = torch.full((1, 2, 1), 9.0), Cut(1, (0, 2), (0, 1))
    known = torch.zeros(1, 1, 1, 2, 1, 2, dtype=torch.int8)
    known[0, 0, 0, 0, 0] = AT_G_MIN  # both devices: nothing but 0
    for power in ((5.0, 1.0), (1.0, 5.0)):
        found = search(steps, known, torch.tensor([power]), PAIR, cut)
        assert found.after == pytest.approx(81.0)
        assert found.placement.rows.flatten().tolist() == ([1, 0] if power[0] > power[1] else [0, 1])


def test_what_a_test_finds_is_what_the_chip_has() -> None:
    """Cells that are found stuck hold g_min and g_max, whatever they are asked for; all others hold just that."""
    device = load_target("reram_128x128", ["programming=none", "mismatch=none", "read_noise=none",
                                           "stuck.at_g_min=0.05", "stuck.at_g_max=0.02"]).device
    cut, steps = Cut(1, (0, 40, 60), (0, 30)), torch.full((1, 60, 30), 8.0)
    state = crossbar.program(steps, PAIR, device, Tiling(cut), Key(("chip", 0, "m")))
    for severity in (0.0, 1.0, 3.0):
        known, found = stuck_cells(state, severity), crossbar.conductances_us(state, severity=severity)
        assert known is not None
        expected = crossbar.targets_us(state)
        expected = torch.where(known == AT_G_MIN, device.cell.g_min_us, expected)
        expected = torch.where(known == AT_G_MAX, device.cell.g_max_us, expected)
        inside = Tiling(cut).split(torch.ones_like(steps)) > 0
        assert torch.allclose(found[:, :, 0][inside], expected[:, :, 0][inside])
        assert float((known == AT_G_MIN).sum()) / 3600 == pytest.approx(0.05 * severity, rel=0.4)
        assert not bool(known[:, :, 0][~inside].any())
    assert stuck_cells(state_of(steps, PAIR, cut)) is None
