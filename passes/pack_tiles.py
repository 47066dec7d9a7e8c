"""Let tiles that do not fill an array share one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pinat_compile.graph import Graph, Matrix, Packed
from pinat_compile.graph.arrays import array_numbers, count_arrays
from pinat_compile.hardware.schema import Target
from pinat_compile.passes.base import Pass


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile of one matrix: its place among that matrix's tiles, copies outside, and the devices that it takes."""

    matrix: str
    index: int
    rows: int
    cols: int


@dataclass(slots=True)
class Shelf:
    """A strip of an array: tiles stand in it side by side, none taller than the first."""

    array: int
    row: int
    used: int


@dataclass(frozen=True)
class PackTiles(Pass):
    """Put tiles side by side and above each other on as few arrays, where ``layout.pack`` asks for it.

        @a 3 x 4 on array 0, @b 3 x 3 on array 1; arrays of 8 x 8     ==>     @b on array 0, row 0, column 4

    Tiles in the same rows share drivers, tiles in the same columns converters: an array multiplies for one of its tiles
    at a time, and the schedule adds their times up. The other tiles' columns are disconnected meanwhile.

    1. Tiles that fill their array in both directions stay alone.
    2. The others, tallest first, stand in the first strip with room, or begin one in the first array with room.
    3. Arrays are numbered anew, in the order in which matrices use them.
    4. ``layout.pack`` is off: nothing changes.
    """

    name: ClassVar[str] = "pack-tiles"
    preserves_values: ClassVar[bool] = False
    target: Target

    def run(self, graph: Graph) -> Graph:
        graph = graph.copy()
        if not self.target.layout.pack:  # 4
            return graph
        order = sorted(graph.matrices, key=lambda name: graph.matrices[name].first_array or 0)
        tiles = [tile for name in order for tile in tiles_of(graph.matrices[name])]
        size = self.target.array.rows, self.target.array.cols
        spots = packed(tiles, *size)
        numbers: dict[int, int] = {}
        for name in order:  # 3
            mine = [spots[name, index] for index in range(graph.matrices[name].arrays)]
            arrays = tuple(numbers.setdefault(spot.array, len(numbers)) for spot, _ in mine)
            where = Packed(arrays, tuple(spot.row for spot, _ in mine), tuple(col for _, col in mine))
            graph.matrices[name] = graph.matrices[name].with_plan(packed=where, first_array=min(arrays))
        return graph

    def gain(self, before: Graph, after: Graph) -> str:
        if not self.target.layout.pack:
            return ""
        return f"{count_arrays(after):,} arrays instead of {count_arrays(before):,}"


def tiles_of(matrix: Matrix) -> list[Tile]:
    """All tiles of all copies, row tile first."""
    cut, cells = matrix.cut, matrix.cells
    assert cut is not None and cells is not None
    rows = np.tile(np.array(cut.tile_rows), matrix.replicas * cut.blocks)
    cols = np.array(cut.tile_cols) * cells.cells_per_weight + cells.reference_columns
    sizes = np.stack(np.broadcast_arrays(rows[:, None], cols[None, :]), axis=-1).reshape(-1, 2)
    assert len(sizes) == array_numbers(matrix).size
    return [Tile(matrix.name, index, int(r), int(c)) for index, (r, c) in enumerate(sizes)]


def packed(tiles: list[Tile], rows: int, cols: int) -> dict[tuple[str, int], tuple[Shelf, int]]:
    """Shelf and column of every tile: first fit by decreasing height (Coffman et al., SIAM J. Comput. 9, 808, 1980)."""
    found: dict[tuple[str, int], tuple[Shelf, int]] = {}
    shelves: list[Shelf] = []
    free: list[tuple[int, int]] = []  # array, first free row
    arrays = 0
    narrowest = min((tile.cols for tile in tiles), default=0)
    for tile in sorted(tiles, key=lambda tile: (-tile.rows, -tile.cols)):
        if tile.rows == rows and tile.cols == cols:  # 1
            found[tile.matrix, tile.index] = Shelf(arrays, 0, cols), 0
            arrays += 1
            continue
        shelf = next((shelf for shelf in shelves if shelf.used + tile.cols <= cols), None)  # 2
        if shelf is None:
            place = next((entry for entry in free if entry[1] + tile.rows <= rows), None)
            if place is None:
                place, arrays = (arrays, 0), arrays + 1
            else:
                free.remove(place)
            shelf = Shelf(*place, 0)
            shelves.append(shelf)
            if place[1] + tile.rows < rows:
                free.append((place[0], place[1] + tile.rows))
        found[tile.matrix, tile.index] = shelf, shelf.used
        shelf.used += tile.cols
        if shelf.used + narrowest > cols:
            shelves.remove(shelf)
    return found
