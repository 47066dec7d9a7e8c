"""The products of images' windows with tiles: a convolution for every tile, over its channels, or windows copied out.

Copying costs less where images are small, so that a tile's convolution has little to do.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from pinat_compile.simulator.operands import Operand, Vectors, Windows
from pinat_compile.simulator.tiles import Piece, Rows, TileProducts
from pinat_compile.simulator.window import TilePower, Window

FEW_POSITIONS = 64
"""Windows per image up to which copying them out is faster than a convolution per tile. Chosen by trial."""


class _Images(TileProducts):
    """Samples that are images [batch, channels, height, width]; sequences are images of height 1."""

    def __init__(self, source: Windows) -> None:
        super().__init__(source)
        self.window = Window.of(source.op)
        x = source.x if source.axes == 2 else source.x.unsqueeze(2)
        self.images = x.contiguous(memory_format=torch.channels_last)

    @cached_property
    def positions(self) -> tuple[int, int]:
        return self.window.positions((self.images.shape[2], self.images.shape[3]))

    @property
    def count(self) -> int:
        return self.images.shape[0] * math.prod(self.positions)

    def pieces(self, width: int) -> list[Piece]:
        return self._cut(len(self.images), math.prod(self.positions), self._numbers(width))

    @abstractmethod
    def _numbers(self, width: int) -> int:
        """Numbers per vector that are worked on."""

    @cached_property
    def _power(self) -> TilePower:
        """One block."""
        return TilePower(self.window, tuple(self.row_cuts))

    def norms(self, x: Tensor, piece: Piece) -> list[Tensor]:
        norms = self._power.of(self.images[piece.samples].permute(0, 2, 3, 1)).sqrt_()  # [tile, batch, *positions]
        return [norm.reshape(-1, 1) for norm in norms.unbind()]


class Unfolded(_Images, Rows):
    """Windows copied out, as the rows of a matrix; one block."""

    def _numbers(self, width: int) -> int:
        return max(width, self.row_cuts[-1])

    def taken(self, piece: Piece) -> Tensor:
        images, (ph, pw) = self.images[piece.samples].permute(0, 2, 3, 1), self.window.pads
        padded = F.pad(images, (0, 0, pw, pw, ph, ph)) if ph or pw else images
        size = (images.shape[1], images.shape[2])
        taken = [padded[:, rows, cols] for rows, cols in self.window.places(size)]
        joined = taken[0] if len(taken) == 1 else torch.stack(taken, dim=-1)
        return joined.reshape(-1, self.row_cuts[-1])  # [batch * positions, channel * tap]

    def norms(self, x: Tensor, piece: Piece) -> list[Tensor]:
        fewer = x.numel() < self.images[piece.samples].numel()
        return Rows.norms(self, x, piece) if fewer else _Images.norms(self, x, piece)

    def collect(self, grad: Tensor, piece: Piece, into: Tensor) -> None:
        images = into[piece.samples].permute(0, 2, 3, 1) if into.ndim == 4 else into[piece.samples].mT.unsqueeze(1)
        batch, high, wide, channels = images.shape
        ph, pw = self.window.pads
        padded = grad.new_zeros(batch, high + 2 * ph, wide + 2 * pw, channels)
        taken = grad.view(batch, *self.positions, channels, self.window.taps)
        for tap, (rows, cols) in enumerate(self.window.places((high, wide))):
            padded[:, rows, cols] += taken[..., tap]
        images.copy_(padded[:, ph : ph + high, pw : pw + wide])

    count = _Images.count
    pieces = _Images.pieces


class Convolved(_Images):
    """A convolution for every tile, over its channels; taps that are not of the tile are zero."""

    def _numbers(self, width: int) -> int:
        return width

    def taken(self, piece: Piece) -> Tensor:
        return self.images[piece.samples]

    def kernel(self, weights: Tensor, tile: int) -> Tensor:
        blocks, _, cols = weights.shape
        channels, before, after = self._channels(tile)
        taps = weights[:, : self.row_cuts[tile + 1] - self.row_cuts[tile]]
        if before or after:
            taps = F.pad(taps, (0, 0, before, after))
        shaped = taps.transpose(1, 2).reshape(blocks * cols, channels.stop - channels.start, *self.window.kernel)
        return shaped.contiguous(memory_format=torch.channels_last)

    def room(self, weights: Tensor, tile: int) -> Tensor:
        return torch.zeros_like(self.kernel(weights, tile))

    def settle(self, room: Tensor, weights: Tensor, tile: int) -> None:
        _, before, _ = self._channels(tile)
        used = self.row_cuts[tile + 1] - self.row_cuts[tile]
        flat = room.reshape(self.blocks, -1, room[0].numel()).transpose(1, 2)  # [block, channel * tap, cols]
        weights[:, :used] = flat[:, before : before + used]

    def multiply(self, x: Tensor, tile: int, kernel: Tensor, bias: Tensor | None) -> Tensor:
        w = self.window
        result = F.conv2d(self._of_tile(x, tile), kernel, bias, w.strides, w.pads, w.dilations, self.blocks)
        return result.permute(0, 2, 3, 1).reshape(-1, kernel.shape[0])

    def pull(
        self, grad: Tensor, x: Tensor, tile: int, kernel: Tensor, into: Tensor | None, of_kernel: Tensor | None
    ) -> None:
        wanted = into is not None, of_kernel is not None
        from_x, from_kernel = self._pull(grad, self._of_tile(x, tile), kernel, *wanted)
        if into is not None:
            place = self._touched(into, tile)
            place.add_(from_x.view(place.shape))
        if of_kernel is not None:
            of_kernel.add_(from_kernel)

    def norms(self, x: Tensor, piece: Piece) -> list[Tensor]:
        if self.blocks == 1:
            return super().norms(x, piece)
        w = self.window
        power = F.conv2d(x.square(), self._ones, None, w.strides, w.pads, w.dilations, self.blocks)
        flat = power.permute(0, 2, 3, 1).reshape(-1, self.blocks, len(self.row_cuts) - 1)
        return list(flat.permute(2, 0, 1).contiguous().clamp_(min=0.0).sqrt_().unbind())

    def pull_norms(self, grads: list[Tensor], norms: list[Tensor], x: Tensor, into: Tensor) -> None:
        grad, norm = torch.stack(grads), torch.stack(norms)  # [tile, vectors, block]
        share = torch.where(norm > 0, grad / norm, 0.0)  # twice the gradient of the power
        if self.blocks == 1:
            shares, size = share.view(len(grads), len(x), *self.positions), (x.shape[2], x.shape[3])
            into.addcmul_(x, self._power.pulled(shares, size).permute(0, 3, 1, 2))
            return
        flat = share.permute(1, 2, 0).reshape(share.shape[1], -1)
        from_power, _ = self._pull(flat, x, self._ones, True, False)
        into.addcmul_(x, from_power)

    def _pull(self, grad: Tensor, x: Tensor, kernel: Tensor, of_x: bool, of_kernel: bool) -> tuple[Tensor, Tensor]:
        w = self.window
        images = grad.view(x.shape[0], *self.positions, kernel.shape[0]).permute(0, 3, 1, 2)
        from_x, from_kernel, _ = torch.ops.aten.convolution_backward(
            images, x, kernel, None, w.strides, w.pads, w.dilations, False, (0, 0), self.blocks,
            (of_x, of_kernel, False),
        )
        return from_x, from_kernel

    @cached_property
    def _ones(self) -> Tensor:
        """Sums the rows of every tile: [block * tile, channels of a block, *kernel]."""
        rows, tiles = self.row_cuts[-1], len(self.row_cuts) - 1
        ones = self.images.new_zeros(tiles, rows)
        for tile in range(tiles):
            ones[tile, self.row_cuts[tile] : self.row_cuts[tile + 1]] = 1.0
        kernel = ones.view(tiles, -1, *self.window.kernel).repeat(self.blocks, 1, 1, 1)
        return kernel.contiguous(memory_format=torch.channels_last)

    def _channels(self, tile: int) -> tuple[slice, int, int]:
        """The channels of a block that a tile touches, and how many rows of them come before and after it."""
        taps, first, last = self.window.taps, self.row_cuts[tile], self.row_cuts[tile + 1]
        channels = slice(first // taps, -(-last // taps))
        return channels, first - channels.start * taps, channels.stop * taps - last

    def _of_tile(self, x: Tensor, tile: int) -> Tensor:
        touched = self._touched(x, tile)
        return touched if touched.ndim == 4 else touched.flatten(1, 2)

    def _touched(self, x: Tensor, tile: int) -> Tensor:
        """A view of the channels of a tile; [batch, block, channels, height, width] where there are several blocks."""
        channels, _, _ = self._channels(tile)
        if self.blocks == 1:
            return x[:, channels]
        batch, count, high, wide = x.shape
        return x.view(batch, self.blocks, count // self.blocks, high, wide)[:, :, channels]


def tile_products(x: Operand) -> TileProducts | None:
    """The fastest layout for ``x``; ``None`` where there is none (windows over volumes)."""
    if x.kept is None:
        return _fastest(x)
    if "products" not in x.kept:
        x.kept["products"] = _fastest(x)
    found: TileProducts | None = x.kept["products"]
    return found


def _fastest(x: Operand) -> TileProducts | None:
    if isinstance(x, Vectors):
        return Rows(x) if x.blocks == 1 else None
    if not isinstance(x, Windows) or x.axes > 2 or not x.x.numel():
        return None
    window, size = Window.of(x.op), (1, *x.x.shape[2:])[-2:]
    positions = math.prod(window.positions((size[0], size[1])))
    if x.blocks == 1 and (positions <= FEW_POSITIONS or window.taps == 1 or x.x.shape[1] == 1):
        return Unfolded(x)
    # strided 1 x 1 kernels: see operands, torch's gradient is unsafe
    return None if window.taps == 1 and max(window.strides) > 1 else Convolved(x)
