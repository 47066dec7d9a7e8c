"""Which part of which physical array holds which part of a matrix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pinat_compile.graph import Array, Matrix
from pinat_compile.graph.arrays import array_numbers
from pinat_compile.graph.matrix import Cells


@dataclass(frozen=True, slots=True)
class Region:
    """One tile of a matrix on one array, all slices of it.

    ``row_tile`` counts blocks outside, row tiles inside. ``rows`` and ``cols`` are ranges in the whole matrix, its
    blocks one after the other. Its first device stands in ``first_row`` and ``first_col`` of array number ``array``.
    ``copy``: of which copy of the matrix; all hold the same.
    """

    matrix: str
    array: int
    row_tile: int
    col_tile: int
    rows: tuple[int, int]
    cols: tuple[int, int]
    first_row: int = 0
    first_col: int = 0
    copy: int = 0

    def tile_id(self, part: int) -> str:
        """The name of the tile of slice ``part``; copies beyond the first are numbered behind it."""
        return f"{self.matrix}/{self.row_tile}.{self.col_tile}.{part}" + (f"#{self.copy}" if self.copy else "")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and outputs."""
        return self.rows[1] - self.rows[0], self.cols[1] - self.cols[0]

    def device_rows(self) -> Array:
        """The array's row of every row of the tile [rows]."""
        return self.first_row + np.arange(self.shape[0])

    def device_columns(self, cells: Cells) -> Array:
        """The array's column of every device [cols, slice, device]: those of one weight side by side, the least
        significant slice first, plus before minus."""
        shape = self.shape[1], cells.slices, cells.devices
        return self.first_col + np.arange(self.shape[1] * cells.cells_per_weight).reshape(shape)

    def reference_columns(self, cells: Cells) -> Array:
        """The array's reference columns [slice], behind the tile's weights; none where the scheme has none."""
        return self.first_col + self.shape[1] * cells.cells_per_weight + np.arange(cells.reference_columns)


def regions_of(matrix: Matrix) -> Iterator[Region]:
    """The regions of a planned matrix, copy by copy, row tile first."""
    cut, packed = matrix.cut, matrix.packed
    assert cut is not None and matrix.first_array is not None
    numbers = array_numbers(matrix).reshape(-1).tolist()
    for index, array in enumerate(numbers):
        copy, tile = divmod(index, matrix.tiles)
        row, col = divmod(tile, cut.col_tiles)
        first = (0, 0) if packed is None else (packed.rows[index], packed.cols[index])
        yield Region(matrix.name, array, row, col, *_ranges(matrix, row, col), *first, copy)


def _ranges(matrix: Matrix, row: int, col: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Rows and outputs of a tile, in the whole matrix."""
    cut = matrix.cut
    assert cut is not None
    _, block_rows, block_cols = matrix.block_shape
    block, inner = divmod(row, cut.row_tiles)
    rows, cols = block * block_rows, block * block_cols
    return (
        (rows + cut.row_cuts[inner], rows + cut.row_cuts[inner + 1]),
        (cols + cut.col_cuts[col], cols + cut.col_cuts[col + 1]),
    )
