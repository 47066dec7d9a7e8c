"""From a weight tensor to blocks, and from blocks to tiles and back: the geometry that every technology shares."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pinat_compile.graph.graph import Array
from pinat_compile.graph.matrix import Cut, Matrix


def tensor_of(array: Array) -> Tensor:
    """A NumPy array as a tensor that shares its memory: not to be written into."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable")
        return torch.from_numpy(array)


def blocks_from_weight(weight: Tensor, matrix: Matrix) -> Tensor:
    """The matrix as the arrays hold it: [blocks, rows, cols], groups of one block standing block-diagonally.

    ``weight`` is [outputs, inputs / groups, *kernel] or [inputs, outputs], as ``matrix.view`` says. Differentiable.
    """
    if matrix.view == "in_out":
        return weight.unsqueeze(0)
    groups = weight.reshape(matrix.groups, matrix.cols, matrix.rows).transpose(1, 2)  # [groups, rows, cols]
    if matrix.groups == matrix.block_shape[0]:
        return groups
    return spread_groups(groups, torch.zeros(matrix.block_shape, dtype=weight.dtype, device=weight.device))


def weight_from_blocks(blocks: Tensor, matrix: Matrix, shape: tuple[int, ...]) -> Tensor:
    """The inverse of `blocks_from_weight`: the weight of that ``shape``, without what stands between groups."""
    if matrix.view == "in_out":
        return blocks[0].reshape(shape)
    inner = matrix.groups // blocks.shape[0]
    spread = blocks.reshape(-1, inner, matrix.rows, inner, matrix.cols)
    index = torch.arange(inner, device=blocks.device)
    groups = spread[:, index, :, index, :].transpose(0, 1)  # [blocks, inner, rows, cols]
    return groups.reshape(matrix.groups, matrix.rows, matrix.cols).transpose(1, 2).reshape(shape)


def spread_groups(groups: Tensor, between: Tensor) -> Tensor:
    """Groups [groups, rows, cols] block-diagonally in blocks; ``between`` [blocks, rows, cols] fills the rest."""
    count, rows, cols = groups.shape
    inner = count // between.shape[0]
    spread = between.clone().reshape(-1, inner, rows, inner, cols)
    index = torch.arange(inner, device=groups.device)
    spread[:, index, :, index, :] = groups.reshape(-1, inner, rows, cols).transpose(0, 1)
    return spread.reshape(between.shape)


def columns_per_block(per_output: Tensor, matrix: Matrix) -> Tensor:
    """A value per output [outputs] as [blocks, 1, cols of a block]."""
    blocks, _, cols = matrix.block_shape
    return per_output.reshape(blocks, 1, cols)


@dataclass(frozen=True, slots=True)
class Tiling:
    """Cuts [blocks, rows, cols] into tiles [row_tile, col_tile, tile_rows, tile_cols], zero-padded to the largest tile.

    ``row_tile`` counts blocks outside, row tiles inside: index = block * row_tiles + tile. ``groups`` of the matrix,
    where several share a block (``None``: as many as blocks). ``height``: rows to which tiles are padded, where the
    largest tile is not among those of ``cut``.
    """

    cut: Cut
    groups: int | None = None
    height: int = 0

    @property
    def tile_shape(self) -> tuple[int, int]:
        return max(*self.cut.tile_rows, self.height), max(self.cut.tile_cols)

    @property
    def padded(self) -> bool:
        """Whether a tile is larger than what it holds."""
        rows, cols = self.tile_shape
        return {*self.cut.tile_rows} != {rows} or {*self.cut.tile_cols} != {cols}

    @property
    def counts(self) -> tuple[int, int]:
        """(row_tile, col_tile)"""
        return self.cut.blocks * self.cut.row_tiles, self.cut.col_tiles

    @property
    def dense_shape(self) -> tuple[int, int, int]:
        """(blocks, rows, cols) of what is cut"""
        return self.cut.blocks, self.cut.row_cuts[-1], self.cut.col_cuts[-1]

    def split(self, dense: Tensor) -> Tensor:
        """[blocks, rows, cols, *rest] → [row_tile, col_tile, tile_rows, tile_cols, *rest]."""
        tiles = _cut_axis(dense, 1, self.cut.row_cuts, self.height)  # [blocks, row_tiles, tile_rows, cols, *rest]
        tiles = _cut_axis(tiles, 3, self.cut.col_cuts)  # [blocks, row_tiles, tile_rows, col_tiles, tile_cols, *rest]
        return tiles.transpose(2, 3).flatten(0, 1)

    def split_rows(self, dense: Tensor) -> Tensor:
        """[blocks, rows, *rest] → [row_tile, tile_rows, *rest]."""
        return _cut_axis(dense, 1, self.cut.row_cuts, self.height).flatten(0, 1)

    def rows(self, tiles: Tensor) -> Tensor:
        """[row_tile, col_tile, slice, tile_rows, tile_cols] → [row_tile, slice, tile_rows, cols]: columns rejoined."""
        joined = tiles.permute(0, 2, 3, 1, 4)  # [row_tile, slice, tile_rows, col_tile, tile_cols]
        return _join_axis(joined, self.cut.tile_cols)

    def columns(self, per_tile: Tensor) -> Tensor:
        """A value per tile and slice [row_tile, col_tile, slice] → per column [row_tile, slice, cols]."""
        sizes = torch.tensor(self.cut.tile_cols, device=per_tile.device)
        return per_tile.transpose(1, 2).repeat_interleave(sizes, dim=2, output_size=self.cut.col_cuts[-1])

    def join(self, tiles: Tensor) -> Tensor:
        """[row_tile, col_tile, tile_rows, tile_cols] → [blocks, rows, cols]: the inverse of `split`."""
        rows = self.rows(tiles.unsqueeze(2)).squeeze(1)  # [row_tile, tile_rows, cols]
        per_block = rows.reshape(self.cut.blocks, self.cut.row_tiles, *rows.shape[1:])
        return torch.cat([per_block[:, tile, :size] for tile, size in enumerate(self.cut.tile_rows)], dim=1)

    def split_columns(self, per_column: Tensor) -> Tensor:
        """[row_tile, slice, cols] → [row_tile, col_tile, slice, tile_cols]: the inverse of `join_columns`."""
        return _cut_axis(per_column, 2, self.cut.col_cuts).transpose(1, 2)

    def join_columns(self, per_column: Tensor) -> Tensor:
        """[row_tile, col_tile, slice, tile_cols] → [row_tile, slice, cols]."""
        return _join_axis(per_column.transpose(1, 2), self.cut.tile_cols)


def _join_axis(x: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """[..., tiles, padded] → [..., sum of sizes], without the padding."""
    if len(set(sizes)) == 1:
        return x.flatten(-2)[..., : sum(sizes)] if x.shape[-1] == sizes[0] else x[..., : sizes[0]].flatten(-2)
    if len(set(sizes[:-1])) == 1 and sizes[-1] < sizes[0]:
        return x.flatten(-2)[..., : sum(sizes)]
    return torch.cat([x[..., i, :size] for i, size in enumerate(sizes)], dim=-1)


def _cut_axis(x: Tensor, axis: int, cuts: tuple[int, ...], least: int = 0) -> Tensor:
    """Cut ``axis`` at ``cuts`` into [..., tiles, padded, ...], padded to the largest and to ``least``."""
    sizes = [b - a for a, b in zip(cuts, cuts[1:], strict=False)]
    width = max(*sizes, least)
    if all(size == width for size in sizes[:-1]):  # only the last is shorter: pad the end, then fold
        missing = width * len(sizes) - cuts[-1]
        if missing:
            x = F.pad(x, (0, 0) * (x.ndim - 1 - axis) + (0, missing))
        return x.reshape(*x.shape[:axis], len(sizes), width, *x.shape[axis + 1 :])
    parts = []
    for start, size in zip(cuts, sizes, strict=False):
        part = x.narrow(axis, start, size)
        parts.append(F.pad(part, (0, 0) * (x.ndim - 1 - axis) + (0, width - size)))
    return torch.stack(parts, dim=axis)
