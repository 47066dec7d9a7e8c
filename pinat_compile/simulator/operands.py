"""The input vectors of an MVM before anyone copies them out: plain vectors, or the windows of a convolution.

A convolution is never unfolded: the rows of one tile are a few input channels, so a tile's product is a convolution
over those channels; where a tile ends inside a channel, the taps outside it are zero.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pinat_compile.graph.ops.array import ArrayMvm

CHUNK_ELEMENTS = 1 << 24
"""Row tiles of plain vectors are multiplied together as long as their results stay below this many numbers."""


class Operand(ABC):
    """Vectors to be multiplied tile by tile. A product has the layout [tile, batch, *positions, block, slice, cols].

    ``kept``: what multiplications lay out once for all who read these vectors; ``None``: nobody else will.
    """

    def __init__(self, x: Tensor, blocks: int, row_cuts: Sequence[int]) -> None:
        self.x = x
        self.blocks = blocks
        self.row_cuts = tuple(row_cuts)
        self.kept: dict[Any, Any] | None = None

    @property
    def row_tiles(self) -> int:
        return len(self.row_cuts) - 1

    @abstractmethod
    def map(self, change: Callable[[Tensor], Tensor]) -> Operand:
        """The same vectors with ``change`` applied to each element; zero must stay zero (padding)."""

    @abstractmethod
    def chunks(self, columns: int) -> Iterator[slice]:
        """Row tiles that are best multiplied together, for products of ``columns`` numbers per vector."""

    @abstractmethod
    def product(self, weights: Tensor, tiles: slice) -> Tensor:
        """``weights`` [tile, block, slice, rows, cols] of all tiles; those of ``tiles`` multiplied."""

    def rejoined(self) -> Operand:
        """The same vectors over all rows at once: one tile."""
        joined = self.map(lambda x: x)
        joined.row_cuts = (0, self.row_cuts[-1])
        return joined

    @abstractmethod
    def shaped(self, columns: Tensor) -> Tensor:
        """[vectors, outputs] → [batch, *positions, outputs]."""

    @abstractmethod
    def output(self, columns: Tensor) -> Tensor:
        """[batch, *positions, outputs] in the layout of the node's output."""


class Vectors(Operand):
    """The last axis of ``x`` [..., rows]; one block."""

    def map(self, change: Callable[[Tensor], Tensor]) -> Vectors:
        return Vectors(change(self.x), self.blocks, self.row_cuts)

    def chunks(self, columns: int) -> Iterator[slice]:
        vectors = self.x.numel() // max(self.row_cuts[-1], 1)
        size = max(1, CHUNK_ELEMENTS // max(vectors * columns, 1))
        for start in range(0, self.row_tiles, size):
            yield slice(start, min(start + size, self.row_tiles))

    def product(self, weights: Tensor, tiles: slice) -> Tensor:
        count, _, slices, rows, cols = weights[tiles].shape
        first, last = self.row_cuts[tiles.start], self.row_cuts[tiles.stop]
        x = self.x[..., first:last].reshape(-1, last - first)
        if count == 1:
            x = F.pad(x, (0, rows - x.shape[-1])).unsqueeze(0)
        elif all(b - a == rows for a, b in pairwise(self.row_cuts[tiles.start : tiles.stop])):
            x = F.pad(x, (0, rows * count - x.shape[-1])).reshape(-1, count, rows).transpose(0, 1)
        else:
            cuts = [cut - first for cut in self.row_cuts[tiles.start : tiles.stop + 1]]
            x = torch.stack([F.pad(x[:, a:b], (0, rows - (b - a))) for a, b in pairwise(cuts)])
        flat = weights[tiles].squeeze(1).transpose(1, 2).reshape(count, rows, slices * cols)
        result = torch.bmm(x, flat)  # [tile, vectors, slice * cols]
        return result.reshape(count, *(self.x.shape[:-1] or (1,)), 1, slices, cols)

    def shaped(self, columns: Tensor) -> Tensor:
        return columns.reshape(*(self.x.shape[:-1] or (1,)), columns.shape[-1])

    def output(self, columns: Tensor) -> Tensor:
        return columns if self.x.ndim > 1 else columns.reshape(-1)


class Windows(Operand):
    """The windows that ``op`` cuts from ``x`` [batch, channels, *spatial]; rows run over (channel, *kernel)."""

    def __init__(self, x: Tensor, blocks: int, row_cuts: Sequence[int], op: ArrayMvm, *, padded: bool = False) -> None:
        axes = len(op.kernel_shape)
        if not padded:
            x, op = _pad(x, op, axes)
            if axes == 2:
                x = x.contiguous(memory_format=torch.channels_last)
        super().__init__(x, blocks, row_cuts)
        self.op = op
        self.axes = axes

    def map(self, change: Callable[[Tensor], Tensor]) -> Windows:
        return Windows(change(self.x), self.blocks, self.row_cuts, self.op, padded=True)

    def chunks(self, columns: int) -> Iterator[slice]:
        for tile in range(self.row_tiles):
            yield slice(tile, tile + 1)

    def product(self, weights: Tensor, tiles: slice) -> Tensor:
        taps = math.prod(self.op.kernel_shape)
        first, last = self.row_cuts[tiles.start], self.row_cuts[tiles.stop]
        channels = slice(first // taps, -(-last // taps))
        _, blocks, slices, _, cols = weights.shape
        w = weights[tiles.start][:, :, : last - first]  # [block, slice, rows, cols]
        before, after = first - channels.start * taps, channels.stop * taps - last
        if before or after:
            w = F.pad(w, (0, 0, before, after))
        kernel = w.permute(0, 1, 3, 2).reshape(
            blocks * slices * cols, channels.stop - channels.start, *self.op.kernel_shape
        )
        result = self._convolve(self._channels(channels), kernel, blocks)
        result = result.movedim(1, -1)  # [batch, *positions, block * slice * cols]
        return result.reshape(1, *result.shape[:-1], blocks, slices, cols)

    def _channels(self, channels: slice) -> Tensor:
        per_block = self.x.shape[1] // self.blocks
        if channels.start == 0 and channels.stop == per_block:
            return self.x
        if self.blocks == 1:
            return self.x[:, channels]
        batch, _, *spatial = self.x.shape
        return self.x.reshape(batch, self.blocks, per_block, *spatial)[:, :, channels].flatten(1, 2)

    def _convolve(self, x: Tensor, kernel: Tensor, groups: int) -> Tensor:
        op = self.op
        pads = op.pads[: self.axes]
        if self.axes == 1:
            return F.conv1d(x, kernel, None, op.strides, pads, op.dilations, groups)
        if self.axes == 2:
            strides = op.strides
            if op.kernel_shape == (1, 1) and not any(pads):
                # torch 2.13 (CPU, AVX2) writes beyond its buffer in the gradient of a strided 1 x 1 kernel of channels
                # that are no multiple of 8, laid out channels-last
                x, strides = x[:, :, :: strides[0], :: strides[1]], (1, 1)
            if x.shape[1] > 1:
                kernel = kernel.contiguous(memory_format=torch.channels_last)
            else:
                # torch 2.13 (CPU) sums one channel laid out channels-last wrongly, where strides are (1, s > 1) and the
                # result has one column
                x, kernel = (t.clone(memory_format=torch.contiguous_format) for t in (x, kernel))
            return F.conv2d(x, kernel, None, strides, pads, op.dilations, groups)
        return F.conv3d(x, kernel, None, op.strides, pads, op.dilations, groups)

    def shaped(self, columns: Tensor) -> Tensor:
        return columns.reshape(self.x.shape[0], *self.positions, -1)

    @property
    def positions(self) -> tuple[int, ...]:
        """How many windows there are along each axis."""
        op, axes = self.op, self.axes
        each = zip(self.x.shape[2:], op.kernel_shape, op.strides, op.pads[:axes], op.dilations, strict=True)
        return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in each)

    def output(self, columns: Tensor) -> Tensor:
        return columns.movedim(-1, 1)


def _pad(x: Tensor, op: ArrayMvm, axes: int) -> tuple[Tensor, ArrayMvm]:
    """Unequal padding is added to the input; equal padding stays with the convolution."""
    begins, ends = op.pads[:axes], op.pads[axes:]
    if begins == ends:
        return x, op
    amounts = [size for pair in zip(reversed(begins), reversed(ends), strict=True) for size in pair]
    plain = ArrayMvm(op.matrix, op.kernel_shape, op.strides, (0,) * (2 * axes), op.dilations, op.group)
    return F.pad(x, amounts), plain


def operand(x: Tensor, op: ArrayMvm, blocks: int, row_cuts: Sequence[int]) -> Operand:
    """The vectors that node operation ``op`` takes from ``x``."""
    return Windows(x, blocks, row_cuts, op) if op.has_window else Vectors(x, blocks, row_cuts)
