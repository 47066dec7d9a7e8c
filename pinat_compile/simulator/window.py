"""The windows of a convolution over images: where they are, and sums over them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from pinat_compile.graph.ops.array import ArrayMvm

Size = tuple[int, int]
"""Of an image: height, width."""


@dataclass(frozen=True)
class Window:
    """A window over images; one over sequences is one of height 1."""

    kernel: Size
    strides: Size
    pads: Size
    dilations: Size

    @classmethod
    def of(cls, op: ArrayMvm) -> Window:
        one, none = ((), ()) if len(op.kernel_shape) == 2 else ((1,), (0,))
        pads = op.pads[: len(op.kernel_shape)]
        return cls((*one, *op.kernel_shape), (*one, *op.strides), (*none, *pads), (*one, *op.dilations))

    @property
    def taps(self) -> int:
        return math.prod(self.kernel)

    def positions(self, size: Size) -> Size:
        each = zip(size, self.kernel, self.strides, self.pads, self.dilations, strict=True)
        found = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in each]
        return found[0], found[1]

    def places(self, size: Size) -> list[tuple[slice, slice]]:
        """For each tap the pixels of the padded image that it covers."""
        each = zip(self.positions(size), self.kernel, self.strides, self.dilations, strict=True)
        high, wide = ([slice(i * d, i * d + s * (n - 1) + 1, s) for i in range(k)] for n, k, s, d in each)
        return [(rows, cols) for rows in high for cols in wide]

    def along(self, size: Size, axis: int) -> list[tuple[slice, slice]]:
        """For each tap along ``axis`` the windows in which it meets a pixel of the image, and these pixels."""
        count, length = self.positions(size)[axis], size[axis]
        stride, pad, apart = self.strides[axis], self.pads[axis], self.dilations[axis]
        found = []
        for offset in (tap * apart - pad for tap in range(self.kernel[axis])):
            first, end = max(0, -(offset // stride)), min(count, (length - 1 - offset) // stride + 1)
            start = first * stride + offset
            pixels = slice(start, start + stride * (end - first - 1) + 1, stride) if end > first else slice(0, 0)
            found.append((slice(first, max(first, end)), pixels))
        return found

    def sums(self, maps: Tensor) -> Tensor:
        """The sum of every window: [..., height, width] → [..., *positions]."""
        high, wide = size = maps.shape[-2], maps.shape[-1]
        rows, cols = self.positions(size)
        down = maps.new_zeros(*maps.shape[:-2], rows, wide)
        for windows, pixels in self.along(size, 0):
            down[..., windows, :] += maps[..., pixels, :]
        across = maps.new_zeros(*maps.shape[:-2], rows, cols)
        for windows, pixels in self.along(size, 1):
            across[..., windows] += down[..., pixels]
        return across

    def spread(self, sums: Tensor, size: Size) -> Tensor:
        """What every pixel is summed up from the windows that it is in: the transpose of `sums`."""
        across = sums.new_zeros(*sums.shape[:-1], size[1])
        for windows, pixels in self.along(size, 1):
            across[..., pixels] += sums[..., windows]
        down = sums.new_zeros(*sums.shape[:-2], *size)
        for windows, pixels in self.along(size, 0):
            down[..., pixels, :] += across[..., windows, :]
        return down

    def meetings(self, size: Size) -> list[tuple[tuple[slice, slice], tuple[slice, slice]]]:
        """For each tap the windows in which it meets the image, and the pixels that it meets."""
        high, wide = self.along(size, 0), self.along(size, 1)
        return [((down[0], across[0]), (down[1], across[1])) for down in high for across in wide]


@dataclass(frozen=True)
class TilePower:
    """sum x² over the rows of every tile, for every window: over channels first, then over the window.

    Rows run over (channel, tap). A channel that lies in one tile is summed with its neighbours; of one that is cut each
    tap belongs to the tile that its row is in.
    """

    window: Window
    row_cuts: tuple[int, ...]

    @property
    def tiles(self) -> int:
        return len(self.row_cuts) - 1

    @cached_property
    def cut_channels(self) -> list[int]:
        taps = self.window.taps
        return sorted({cut // taps for cut in self.row_cuts if cut % taps})

    def tile_of(self, channel: int, tap: int) -> int:
        row = channel * self.window.taps + tap
        return next(tile for tile in range(self.tiles) if row < self.row_cuts[tile + 1])

    @cached_property
    def selected(self) -> Tensor:
        """[map, channel]: 1 for the whole channels of every tile, then for every channel that is cut."""
        taps = self.window.taps
        found = torch.zeros(self.tiles + len(self.cut_channels), self.row_cuts[-1] // taps)
        for tile, (first, last) in enumerate(zip(self.row_cuts, self.row_cuts[1:], strict=False)):
            found[tile, -(-first // taps) : last // taps] = 1.0
        for index, channel in enumerate(self.cut_channels):
            found[self.tiles + index, channel] = 1.0
        return found

    def of(self, pixels: Tensor) -> Tensor:
        """For ``pixels`` [batch, height, width, channel]: [tile, batch, *positions]."""
        batch, high, wide, channels = pixels.shape
        selected = self.selected.to(pixels.device)
        maps = torch.mm(selected, pixels.reshape(-1, channels).square().t()).view(-1, batch, high, wide)
        sums = self.window.sums(maps[: self.tiles])
        for channel, found in zip(self.cut_channels, maps[self.tiles :], strict=True):
            for tap, (windows, met) in enumerate(self.window.meetings((high, wide))):
                sums[(self.tile_of(channel, tap), slice(None), *windows)] += found[(slice(None), *met)]
        return sums

    def pulled(self, grads: Tensor, size: Size) -> Tensor:
        """The gradient of `of` with respect to x² [batch, *size, channel], of ``grads`` [tile, batch, *positions]."""
        batch = grads.shape[1]
        maps = [self.window.spread(grads, size)]
        for channel in self.cut_channels:
            found = grads.new_zeros(batch, *size)
            for tap, (windows, met) in enumerate(self.window.meetings(size)):
                found[(slice(None), *met)] += grads[(self.tile_of(channel, tap), slice(None), *windows)]
            maps.append(found.unsqueeze(0))
        flat = torch.cat(maps).view(len(self.selected), -1)
        return torch.mm(flat.t(), self.selected.to(grads.device)).view(batch, *size, -1)
