"""Where the weights of a matrix stand on one chip: which row, column and side of a pair each of them takes.

A chip's draws belong to its cells. A placement moves weights among the cells of their own tile, and every array may
have one of its own: drivers and sums are told digitally, so that ideal devices compute the same integers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pinat_compile.graph.matrix import Cells

HEALTHY, AT_G_MIN, AT_G_MAX = 0, 1, 2
"""What is known of a cell."""


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """``rows`` [row_tile, col_tile, rows] and ``cols`` [row_tile, col_tile, cols] (int64): which row or column of the
    tile stands at each place. ``swapped`` [row_tile, col_tile, slice, cols] (bool): columns of the tile whose plus and
    minus devices change sides, so that their sums are negated. ``known`` [row_tile, col_tile, slice, rows, cols,
    device] (int8): cells known to be stuck, by place; the other device of such a pair is set so that their difference
    is nearest to the weight.
    """

    rows: Tensor
    cols: Tensor
    swapped: Tensor
    known: Tensor

    def to(self, device: torch.device) -> Placement:
        return Placement(*(x.to(device) for x in (self.rows, self.cols, self.swapped, self.known)))

    def of_reference(self) -> Placement:
        """That of the reference columns beside the weights: the same rows, and one column and device."""
        one = self.cols.new_zeros(*self.cols.shape[:2], 1)
        swapped = self.swapped.new_zeros(*self.swapped.shape[:3], 1)
        return Placement(self.rows, one, swapped, self.known.new_zeros(*self.known.shape[:4], 1, 1))

    def place(self, levels: Tensor, cells: Cells) -> Tensor:
        """Levels [row_tile, col_tile, slice, rows, cols, device] as weights stand in the tile → as cells hold them."""
        if levels.shape[-1] == 2:
            levels = torch.where(self.swapped[:, :, :, None, :, None], levels.flip(-1), levels)
        levels = levels.take_along_dim(self.rows[:, :, None, :, None, None], dim=3)
        levels = levels.take_along_dim(self.cols[:, :, None, None, :, None], dim=4)
        return _beside_stuck(levels, self.known, float(cells.cell_max)) if levels.shape[-1] == 2 else levels

    def unplace(self, per_cell: Tensor, *, signed: bool = True) -> Tensor:
        """[row_tile, col_tile, slice, rows, cols] by place → by weight; ``signed``: swapped columns are negated."""
        back = per_cell.take_along_dim(self.rows.argsort(dim=-1)[:, :, None, :, None], dim=3)
        back = back.take_along_dim(self.cols.argsort(dim=-1)[:, :, None, None, :], dim=4)
        return torch.where(self.swapped[:, :, :, None, :], -back, back) if signed else back

    def unplace_columns(self, per_column: Tensor, *, signed: bool = False) -> Tensor:
        """[row_tile, col_tile, slice, cols] by place → by weight; ``signed``: swapped columns are negated."""
        back = per_column.take_along_dim(self.cols.argsort(dim=-1)[:, :, None, :], dim=3)
        return torch.where(self.swapped, -back, back) if signed else back


def _beside_stuck(levels: Tensor, known: Tensor, top: float) -> Tensor:
    """Levels [..., device] where the partner of a stuck device makes the difference as good as it can be."""
    held = torch.where(known == AT_G_MIN, 0.0, torch.where(known == AT_G_MAX, top, levels))
    stuck = known != HEALTHY
    wanted = levels[..., 0] - levels[..., 1]
    plus = torch.where(stuck[..., 1] & ~stuck[..., 0], (held[..., 1] + wanted).clamp(0.0, top), held[..., 0])
    minus = torch.where(stuck[..., 0] & ~stuck[..., 1], (held[..., 0] - wanted).clamp(0.0, top), held[..., 1])
    return torch.stack((plus, minus), dim=-1)
