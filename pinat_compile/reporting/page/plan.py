"""The floor plan: where every array lies on the board, what stands on it, and how full, hot and noisy that is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pinat_compile.cost.traffic import places
from pinat_compile.hardware.chip import ChipSection

Numbers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Document = Mapping[str, Any]

MOST_CELLS = 20_000
"""Arrays that are drawn one by one; of more, neighbours are drawn together."""
MOST_TILES = 60_000
"""Tiles whose slices are told apart."""


@dataclass(frozen=True, slots=True)
class Tiles:
    """Tiles in the order of their matrices, slices added up: ``array`` of the board, ``layer`` (its place among
    ``layers``), ``ranges`` [tile, 4] of rows and columns in the matrix, ``utilisation`` of the array, ``energy_j``
    [tile, slice] (NaN: not counted). ``in_turn``: what stands on one array follows each other, not side by side."""

    layers: tuple[str, ...]
    array: Numbers
    layer: Numbers
    ranges: Numbers
    utilisation: Floats
    energy_j: Floats
    in_turn: bool = False

    @staticmethod
    def of(tiles: Sequence[Document], capacity: int | None) -> Tiles:
        """From the tiles of a report, slice by slice, those of one tile behind each other."""
        first = [index for index, tile in enumerate(tiles) if tile["slice"] == 0]
        layers = {name: place for place, name in enumerate(dict.fromkeys(tile["layer"] for tile in tiles))}
        slices = max((tile["slice"] + 1 for tile in tiles), default=1)
        energy = np.full((len(first), slices), np.nan)
        used = np.zeros(len(first))
        at = -1
        for tile in tiles:
            at += tile["slice"] == 0
            energy[at, tile["slice"]] = np.nan if tile["energy_j"] is None else tile["energy_j"]
            used[at] += tile["utilisation"]
        array = np.array([tiles[i]["array"] for i in first], np.int64)
        return Tiles(
            tuple(layers),
            array if capacity is None else array % capacity,
            np.array([layers[tiles[i]["layer"]] for i in first], np.int64),
            np.array([tiles[i]["row_range"] + tiles[i]["col_range"] for i in first], np.int64).reshape(-1, 4),
            used,
            energy,
            in_turn=capacity is not None,
        )


@dataclass(frozen=True, slots=True)
class Cells:
    """What is drawn: ``first`` array of each cell and how many it stands for, its place, and means or sums over them.

    ``layer``: whose tile is the first on it. ``energy_j`` per sample. ``together``: arrays per cell.
    """

    first: Numbers
    x: Floats
    y: Floats
    layer: Numbers
    utilisation: Floats
    energy_j: Floats
    together: int


def cells_of(tiles: Tiles, chip: ChipSection | None) -> Cells:
    """The arrays that hold anything, each at its place; neighbours together where there are more than `MOST_CELLS`."""
    numbers, at = np.unique(tiles.array, return_inverse=True)
    together = max(1, math.ceil(len(numbers) / MOST_CELLS))
    if together > 1 and chip is not None:
        together = min(n for n in range(together, chip.arrays_per_tile + together) if chip.arrays_per_tile % n == 0
                       or n >= chip.arrays_per_tile)  # fmt: skip
    group = numbers // together
    cells, inside = np.unique(group, return_inverse=True)
    where = inside[at]  # the cell of every tile
    held = np.bincount(inside, minlength=len(cells))
    layer = np.zeros(len(cells), np.int64)
    layer[where[::-1]] = tiles.layer[::-1]
    turns = np.bincount(at, minlength=len(numbers)) if tiles.in_turn else np.ones(len(numbers))
    energy = np.bincount(where, np.nansum(tiles.energy_j, axis=1), minlength=len(cells))
    used = np.bincount(where, tiles.utilisation / turns[at], minlength=len(cells)) / held
    x, y = _grid(cells * together, together, chip)
    return Cells(cells * together, x, y, layer, np.asarray(used, np.float64), np.asarray(energy, np.float64), together)


def _grid(arrays: Numbers, together: int, chip: ChipSection | None) -> tuple[Floats, Floats]:
    """Column and row of every cell: arrays in tiles, tiles in the chip's mesh, chips side by side."""
    if chip is None:
        width = max(1, math.ceil(math.sqrt(2.0 * len(arrays))))
        index = np.arange(len(arrays))
        return (index % width).astype(float), (index // width).astype(float)
    per_tile = -(-chip.arrays_per_tile // together)
    width = max(1, math.ceil(math.sqrt(1.5 * per_tile)))
    height = -(-per_tile // width)
    tile, inside = arrays // chip.arrays_per_tile, (arrays % chip.arrays_per_tile) // together
    number, column, row = places(chip, tile)
    across = max(1, math.ceil(math.sqrt(int(number.max()) + 1)))
    mesh = chip.mesh_width
    column = column + (number % across) * (mesh + 1)
    row = row + (number // across) * (-(-chip.tiles // mesh) + 1)
    x, y = column * (width + 1.0) + inside % width, row * (height + 1.0) + inside // width
    return np.asarray(x, np.float64), np.asarray(y, np.float64)
