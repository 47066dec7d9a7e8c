"""What a mapped matrix and a target say of a multiplication: sizes, limits, volts. Holds no numbers of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from pinat_compile.graph.matrix import Cells, Cut, Matrix, Ranges
from pinat_compile.hardware.schema import Device, Target
from pinat_compile.physics import crossbar, stock
from pinat_compile.physics.devices import Draws
from pinat_compile.physics.limits import Limits, input_limit
from pinat_compile.physics.placement import Placement
from pinat_compile.physics.randomness import Key
from pinat_compile.physics.tiling import Tiling, blocks_from_weight, columns_per_block
from pinat_compile.physics.wires import Felt, Wires
from pinat_compile.simulator.conditions import TRAINING_CHIPS, Conditions

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
        chip = None if conditions.chip is None else self.key(conditions.chip)
        wires = None if conditions.chip is None else self.wires or Wires.of(self.target)
        state = crossbar.program(self.steps(values), self.cells, device, self.tiling, chip, wires, placement)
        return replace(state, sigma_gradient=True) if self.sigma_gradient else state

    def stocked(self, values: Values, conditions: Conditions) -> tuple[Tensor, Tensor | float] | None:
        """What a virtual chip for training holds, from stock: [read, block, slice, rows, cols] in steps of the slice.

        And the variance of one read of it. ``None`` where the chip is not for training, or devices have to be known
        one by one.
        """
        groups_apart = self.matrix.groups == self.matrix.block_shape[0]
        wires = self.wires or Wires.of(self.target)
        if conditions.chip is None or conditions.chip < TRAINING_CHIPS or wires is not None or not groups_apart:
            return None
        if self.target.circuit_noise is not None or not stock.serves(self.cells, self.target.device):
            return None
        when = stock.When(
            time_s=conditions.time_s, temperature_k=conditions.temperature_k, severity=conditions.severity,
            sigma_gradient=self.sigma_gradient,
        )
        weight, scale = values(self.matrix.weight), values(self.ranges.weight_scale)
        shape = (-1,) if self.matrix.view == "in_out" else (-1, *(1,) * (weight.ndim - 1))
        steps = crossbar.parameters_from_weights(weight, scale.view(shape), self.cells)
        devices = stock.stock(self.cells, self.target.device, when).to(weight.device)
        key = self.key(conditions.chip)
        parts = [stock.take(part, devices, key.at("stock", s))
                 for s, part in enumerate(crossbar.signed_slices(steps, self.cells))]
        variance = parts[0][1]
        held = self._dense_by_read([net for net, _ in parts])
        return held, variance if isinstance(variance, float) else self._dense_by_read(
            [each for _, each in parts if isinstance(each, Tensor)])

    def bare_state(self, conditions: Conditions, like: Tensor) -> crossbar.State:
        """The state of a chip whose devices are not known one by one, on the device of ``like``."""
        assert conditions.chip is not None
        chip, levels = self.key(conditions.chip), like.new_empty(0)
        return crossbar.State(self.cells, self.target.device, levels, Draws(), tiling=self.tiling, chip=chip)

    def key(self, chip: int) -> Key:
        """Of the draws of this matrix on ``chip``."""
        return Key(("chip", chip, self.matrix.name), banked=chip >= TRAINING_CHIPS)

    def _dense_by_read(self, slices: list[Tensor]) -> Tensor:
        """A tensor like the weight for every slice → [read, block, slice, rows of a read, cols]."""
        each = [blocks_from_weight(part, self.matrix) for part in slices]
        blocks = each[0].unsqueeze(0) if len(each) == 1 else torch.stack(each)  # [slice, block, rows, cols]
        cuts = self.reads.row_cuts
        most = max(b - a for a, b in pairwise(cuts))
        if all(b - a == most for a, b in pairwise(cuts)):  # [slice, block, read, rows, cols]
            cut = blocks.reshape(*blocks.shape[:2], len(cuts) - 1, most, blocks.shape[3])
        else:
            parts = [functional.pad(blocks[:, :, a:b], (0, 0, 0, most - (b - a))) for a, b in pairwise(cuts)]
            cut = torch.stack(parts, dim=2)
        return cut.permute(2, 1, 0, 3, 4)

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
