"""What a mapped matrix and a target say of a multiplication: sizes, limits, volts. Holds no numbers of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pinat_compile.graph.matrix import Cells, Cut, Matrix, Ranges
from pinat_compile.hardware.schema import Device, Target
from pinat_compile.physics import crossbar
from pinat_compile.physics.limits import Limits, input_limit
from pinat_compile.physics.placement import Placement
from pinat_compile.physics.randomness import Key
from pinat_compile.physics.tiling import Tiling, blocks_from_weight, columns_per_block
from pinat_compile.physics.wires import Felt, Wires
from pinat_compile.simulator.conditions import Conditions

EXACT_FLOAT32 = 1 << 24
"""Below this bound every integer is a float32."""

Values = Callable[[str], Tensor]
"""A tensor of the graph by name: its present value, perhaps a parameter being trained."""


@dataclass(frozen=True, slots=True)
class PlannedMatrix:
    """A matrix with its plan, and the target that it is planned for.

    ``wires``: in place of the target's, where they are to be solved in another way. ``sigma_gradient``: see
    `pinat_compile.physics.crossbar.State`.
    """

    matrix: Matrix
    target: Target
    wires: Felt | None = None
    sigma_gradient: bool = False

    @property
    def cells(self) -> Cells:
        assert self.matrix.cells is not None
        return self.matrix.cells

    @property
    def cut(self) -> Cut:
        assert self.matrix.cut is not None
        return self.matrix.cut

    @property
    def reads(self) -> Cut:
        """The cut into what is driven, and converted, at a time."""
        return self.cut.reads(self.target.array.rows_on)

    @property
    def ranges(self) -> Ranges:
        assert self.matrix.ranges is not None
        return self.matrix.ranges

    @property
    def limits(self) -> Limits:
        return Limits.of(self.cells, self.cut, self.target)

    @property
    def input_limit(self) -> int:
        return input_limit(self.target.dac)

    @property
    def tiling(self) -> Tiling:
        return Tiling(self.cut, self.matrix.groups)

    @property
    def wide(self) -> bool:
        """Whether sums over all rows are integers that float32 could not hold."""
        bound = self.cut.row_cuts[-1] * self.input_limit * (self.cells.weight_max + 1)
        return self.target.dac.bits is not None and self.cells.rounded and bound >= EXACT_FLOAT32

    def steps(self, values: Values) -> Tensor:
        """The weights in weight steps, clipped, not rounded: [blocks, rows, cols]."""
        blocks = blocks_from_weight(values(self.matrix.weight), self.matrix)
        scale = columns_per_block(values(self.ranges.weight_scale), self.matrix)
        return crossbar.parameters_from_weights(blocks, scale, self.cells)

    def state(self, values: Values, conditions: Conditions, placement: Placement | None = None) -> crossbar.State:
        """The cells programmed on the chip of ``conditions`` (ideal ones where the chip is ``None``)."""
        device = self.target.device if conditions.chip is not None else Device(self.target.device.cell)
        chip = None if conditions.chip is None else Key(("chip", conditions.chip, self.matrix.name))
        wires = None if conditions.chip is None else self.wires or Wires.of(self.target)
        state = crossbar.program(self.steps(values), self.cells, device, self.tiling, chip, wires, placement)
        return replace(state, sigma_gradient=True) if self.sigma_gradient else state

    # --- from tiles to reads ---

    def by_read(self, tiles: Tensor) -> Tensor:
        """[block * row_tile, col_tile, slice, rows, cols] → [read, block, slice, rows of a read, cols]."""
        rows = self._per_block(self.tiling.rows(tiles))  # [row_tile, block, slice, rows, cols]
        rows_on = self.target.array.rows_on
        if rows_on is None or rows_on >= rows.shape[3]:
            return rows
        parts = []
        for tile, size in enumerate(self.cut.tile_rows):
            for start in range(0, size, rows_on):
                part = rows[tile, :, :, start : min(start + rows_on, size)]
                parts.append(torch.nn.functional.pad(part, (0, 0, 0, rows_on - part.shape[2])))
        return torch.stack(parts)

    def columns_by_read(self, per_column: Tensor) -> Tensor:
        """[block * row_tile, slice, cols] of a tile → [read, block, slice, cols], for all reads of the tile."""
        columns = self._per_block(per_column)
        if self.target.array.rows_on is None:
            return columns
        times = [-(-size // self.target.array.rows_on) for size in self.cut.tile_rows]
        return columns.repeat_interleave(torch.tensor(times, device=columns.device), dim=0, output_size=sum(times))

    def _per_block(self, x: Tensor) -> Tensor:
        """[block * row_tile, ...] → [row_tile, block, ...]."""
        return x.reshape(self.cut.blocks, self.cut.row_tiles, *x.shape[1:]).transpose(0, 1)
