"""Bytes times hops: against a count by hand, and never more after placing than before."""

import numpy as np
import pytest

from pinat_compile.cost.traffic import Distances, Transfer, partial_sums, places, tiles_of
from pinat_compile.graph import Cut, Matrix
from pinat_compile.graph.arrays import count_arrays, standing
from pinat_compile.graph.sizes import sample_shapes
from pinat_compile.hardware.chip import ChipSection
from pinat_compile.hardware.loader import load_target
from pinat_compile.passes.place_matrices import Traffic
from tests.mapping.planning import lowered, mapped
from tests.zoo import NETWORKS

CHIP = ChipSection(arrays_per_core=2, cores_per_tile=1, tiles=9, chips=2)


def matrix(name: str, first: int, row_tiles: int, col_tiles: int) -> Matrix:
    cut = Cut(1, tuple(range(row_tiles + 1)), tuple(range(0, 3 * col_tiles + 1, 3)))
    return Matrix(name, "w", "out_in", row_tiles, 3 * col_tiles, cut=cut, first_array=first)


def test_tiles_lie_along_a_line_that_turns() -> None:
    """3 x 3 tiles per chip: 0 1 2 / 5 4 3 / 6 7 8; neighbours in number are neighbours in place."""
    number, x, y = places(CHIP, np.arange(18))
    assert x[:9].tolist() == [0, 1, 2, 2, 1, 0, 0, 1, 2] and y[:9].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert number.tolist() == [0] * 9 + [1] * 9
    steps = np.abs(np.diff(x[:9])) + np.abs(np.diff(y[:9]))
    assert (steps == 1).all()


def test_transfers_by_hand() -> None:
    """@a on tile 0, @b on tiles 4 and 5 (middle 0.5, 1), @c on tile 9, the corner of the second chip."""
    matrices = {"a": matrix("a", 0, 1, 2), "b": matrix("b", 8, 2, 2), "c": matrix("c", 18, 1, 1)}
    assert tiles_of(CHIP, matrices["b"]).tolist() == [4, 5]
    distances = Distances.of(CHIP, matrices)
    moved = distances.move(Transfer("v", "a", "b", "n", 10.0))
    assert (moved.hop_bytes, moved.io_bytes) == (10.0 * (1.5 + 1), 0.0)  # there, then once along its tiles
    over = distances.move(Transfer("v", "b", "c", "n", 10.0))
    assert (over.hop_bytes, over.io_bytes) == (10.0 * 1.5, 10.0)
    out = distances.move(Transfer("v", "b", None, "n", 10.0))
    assert (out.hop_bytes, out.io_bytes) == (10.0 * 1.5, 10.0)
    assert distances.move(Transfer("v", "a", "a", "n", 10.0)).hop_bytes == 0.0


def test_partial_sums_by_hand() -> None:
    """Two row tiles of two column tiles on arrays 1 to 4: the first row on tiles 0 and 1, the second on 1 and 2."""
    moved = partial_sums(CHIP, matrix("m", 1, 2, 2), mvms=5.0)
    assert moved.hop_bytes == 5.0 * 4 * 3 * (1 + 1)
    assert partial_sums(CHIP, matrix("m", 0, 1, 4), mvms=5.0).hop_bytes == 0.0


@pytest.mark.parametrize("name", ["residual", "lenet", "transformer", "shared_weights"])
def test_placing_keeps_all_arrays_and_lowers_traffic(name: str) -> None:
    graph = lowered(NETWORKS[name]())
    board = ["array.rows=16", "array.cols=16", "chip.arrays_per_core=2", "chip.cores_per_tile=1", "chip.tiles=2500"]
    plain, placed = (load_target("reram_128x128", [*board, f"layout.place={on}"]) for on in ("false", "true"))
    before, after = mapped(graph, plain)[0], mapped(graph, placed)[0]
    for found in (before, after):
        numbers = np.concatenate([standing(m).reshape(-1) for m in found.matrices.values()])
        assert sorted(numbers) == list(range(count_arrays(before)))
    assert plain.chip is not None
    was, now = (Traffic.of(found, plain, plain.chip) for found in (before, after))
    assert now.hop_bytes(now.order) <= was.hop_bytes(was.order)
    distances = Distances.of(plain.chip, after.matrices)
    shapes = sample_shapes(after)
    assert shapes(after.inputs[0]) is not None
    ways = [now.bytes[i] * _hops(distances, now, i) for i in range(len(now.bytes))]
    assert now.hop_bytes(now.order) == pytest.approx(sum(ways))  # the pass and the cost agree


def _hops(distances: Distances, traffic: Traffic, edge: int) -> float:
    writer, reader = (None if end < 0 else traffic.names[end] for end in traffic.edges[edge])
    return distances.move(Transfer("v", writer, reader, "n", 1.0)).hops
