"""Decide where a matrix is cut so that each piece fits an array."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from pinat_compile.errors import TargetError
from pinat_compile.graph import Cut, Graph, Matrix
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.hardware.schema import ArraySection
from pinat_compile.passes.base import MatrixPass


@dataclass(frozen=True)
class CutIntoTiles(MatrixPass):
    """Cut rows and columns evenly into as few arrays as hold them.

        144 rows x 16 outputs, 128 x 128 arrays, pairs     ==>     rows 0 | 72 | 144, columns 0 | 16

    An array holds ``cols / (devices x slices)`` outputs side by side, and reference columns where cells need them.

    1. Rows of a window: cut between input channels wherever that needs no more arrays than cutting anywhere.
    2. Other rows, and windows where 1 would cost an array: cut evenly.
    3. Several groups: as many of them together, block-diagonally (zeros between), as makes the fewest arrays; where
       that is the same, the fewest together. All blocks hold equally many.
    4. ``full``: instead of evenly, so that all pieces but the last fill an array; what is left over can share one.
    """

    name: ClassVar[str] = "cut-into-tiles"
    array: ArraySection
    full: bool = False

    def plan(self, graph: Graph, name: str) -> None:
        matrix = graph.matrices[name]
        taps = max((math.prod(n.op.kernel_shape) for n in graph.users(name) if isinstance(n.op, ArrayMvm)), default=1)
        divisors = [blocks for blocks in range(matrix.groups, 0, -1) if matrix.groups % blocks == 0]
        choices = [self._cut(matrix, blocks, taps) for blocks in divisors]  # 3
        best = min(choices, key=lambda cut: cut.blocks * cut.row_tiles * cut.col_tiles)
        graph.matrices[name] = matrix.with_plan(cut=best)

    def _cut(self, matrix: Matrix, blocks: int, taps: int) -> Cut:
        assert matrix.cells is not None
        columns = (self.array.cols - matrix.cells.reference_columns) // matrix.cells.cells_per_weight
        if columns < 1:
            raise TargetError(
                f"array.cols = {self.array.cols}: a weight needs {matrix.cells.cells_per_weight} columns",
                hint="fewer weights.bits, more cell.bits, or a wider array",
            )
        per_block = matrix.groups // blocks
        rows, cols = per_block * matrix.rows, per_block * matrix.cols
        return Cut(blocks, self._row_cuts(rows, taps), self._cuts(cols, columns))

    def _row_cuts(self, rows: int, taps: int) -> tuple[int, ...]:
        tiles = -(-rows // self.array.rows)
        channels = -(-(rows // taps) // tiles)  # input channels per tile
        if channels * taps <= self.array.rows:  # 1
            most = self.array.rows // taps if self.full else channels
            return tuple(cut * taps for cut in self._cuts(rows // taps, most))
        return self._cuts(rows, self.array.rows)  # 2

    def _cuts(self, size: int, most: int) -> tuple[int, ...]:
        return (*range(0, size, most), size) if self.full else even_cuts(size, most)  # 4


def even_cuts(size: int, most: int) -> tuple[int, ...]:
    """Boundaries of as few pieces of at most ``most`` as cover ``size``, all but the last equal."""
    pieces = -(-size // most)
    width = -(-size // pieces)
    return (*range(0, size, width), size)
