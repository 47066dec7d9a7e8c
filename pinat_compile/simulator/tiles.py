"""The products of an operand's tiles, laid out for speed and cut along the samples into pieces that stay in the cache.

Plain vectors are multiplied as they are. The windows of a convolution are a convolution over the channels of a tile; or
they are copied out, where that costs less: where images are small, so that a tile's convolution has little to do. All
layouts give the same numbers but for the order of the sums.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.simulator.operands import Operand, Vectors, Windows

PIECE_ELEMENTS = 1 << 18
"""Numbers of a tile's result that each core of a CPU works on at a time: a megabyte. Chosen by trial."""
PIECE_ELEMENTS_ON_DEVICE = 1 << 26
"""The same on a GPU, where many at a time are best."""
FEW_POSITIONS = 64
"""Windows per image up to which copying them out is faster than a convolution per tile. Chosen by trial."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some samples, and where their vectors stand among all."""

    samples: slice
    first: int
    count: int

    @property
    def vectors(self) -> slice:
        return slice(self.first, self.first + self.count)


class TileProducts(ABC):
    """Products with the tiles of one operand. A result has the layout [vectors, block * cols].

    A *kernel* is the weights [block, rows, cols] of one tile and slice, laid out for `multiply`.
    """

    def __init__(self, source: Operand) -> None:
        self.source = source
        self.row_cuts = source.row_cuts
        self.blocks = source.blocks

    @property
    @abstractmethod
    def count(self) -> int:
        """Vectors."""

    @abstractmethod
    def pieces(self, width: int) -> list[Piece]:
        """All samples, piece by piece, for results of ``width`` numbers per vector."""

    @abstractmethod
    def taken(self, piece: Piece) -> Tensor:
        """What the tiles multiply of these samples."""

    @abstractmethod
    def kernel(self, weights: Tensor, tile: int) -> Tensor:
        """Weights [block, rows, cols], rows padded as far as the largest tile's, in this layout."""

    @abstractmethod
    def room(self, weights: Tensor, tile: int) -> Tensor:
        """Where the gradient of a kernel is added up: zeros; a view of ``weights`` [block, rows, cols] if it can be."""

    @abstractmethod
    def settle(self, room: Tensor, weights: Tensor, tile: int) -> None:
        """Write what was added up in `room` to ``weights``, where it is not there yet."""

    @abstractmethod
    def multiply(self, x: Tensor, tile: int, kernel: Tensor, bias: Tensor | None) -> Tensor:
        """[vectors, block * cols], ``bias`` [block * cols] added; a new tensor."""

    @abstractmethod
    def pull(
        self, grad: Tensor, x: Tensor, tile: int, kernel: Tensor, into: Tensor | None, of_kernel: Tensor | None
    ) -> None:
        """Add the gradients of a product with respect to ``x`` and the kernel to ``into`` and ``of_kernel``."""

    @abstractmethod
    def norms(self, x: Tensor) -> list[Tensor]:
        """sqrt(sum x²) over the rows of every tile: [vectors, block]."""

    @abstractmethod
    def pull_norms(self, grads: list[Tensor], norms: list[Tensor], x: Tensor, into: Tensor) -> None:
        """Add the gradient of `norms` with respect to ``x`` to ``into``."""

    def gradient(self) -> Tensor:
        """Room for the gradient of the operand, to be filled by `collect`."""
        return torch.empty_like(self.source.x)

    def collect(self, grad: Tensor, piece: Piece, into: Tensor) -> None:
        """Write the gradient of what was `taken` to its samples of ``into``."""
        into[piece.samples] = grad.reshape(into[piece.samples].shape)

    def _cut(self, samples: int, vectors: int, numbers: int) -> list[Piece]:
        """Pieces of ``samples`` samples of ``vectors`` vectors, for which ``numbers`` numbers each are worked on.
        """
        on_cpu = self.source.x.device.type == "cpu"
        most = PIECE_ELEMENTS * torch.get_num_threads() if on_cpu else PIECE_ELEMENTS_ON_DEVICE
        size = max(1, most // max(vectors * numbers, 1))
        starts = range(0, samples, size)
        return [Piece(slice(a, min(a + size, samples)), a * vectors, (min(a + size, samples) - a) * vectors)
                for a in starts]


class Rows(TileProducts):
    """Vectors as the rows of a matrix; one block."""

    @cached_property
    def _matrix(self) -> Tensor:
        x = self.source.x
        return x.reshape(-1, x.shape[-1])

    @property
    def count(self) -> int:
        return self._matrix.shape[0]

    def pieces(self, width: int) -> list[Piece]:
        return self._cut(self.count, 1, width)

    def taken(self, piece: Piece) -> Tensor:
        return self._matrix[piece.samples]

    def kernel(self, weights: Tensor, tile: int) -> Tensor:
        kernel = weights[0, : self._rows(tile)]
        return kernel if 1 in kernel.stride() else kernel.contiguous()

    def room(self, weights: Tensor, tile: int) -> Tensor:
        return weights[0, : self._rows(tile)]

    def settle(self, room: Tensor, weights: Tensor, tile: int) -> None:
        """It is there already."""

    def multiply(self, x: Tensor, tile: int, kernel: Tensor, bias: Tensor | None) -> Tensor:
        part = self._of_tile(x, tile)
        return torch.mm(part, kernel) if bias is None else torch.addmm(bias, part, kernel)

    def pull(
        self, grad: Tensor, x: Tensor, tile: int, kernel: Tensor, into: Tensor | None, of_kernel: Tensor | None
    ) -> None:
        if into is not None:
            self._of_tile(into, tile).addmm_(grad, kernel.t())
        if of_kernel is not None:
            of_kernel.addmm_(self._of_tile(x, tile).t(), grad)

    def norms(self, x: Tensor) -> list[Tensor]:
        tiles = range(len(self.row_cuts) - 1)
        return [torch.linalg.vector_norm(self._of_tile(x, tile), dim=1, keepdim=True) for tile in tiles]

    def pull_norms(self, grads: list[Tensor], norms: list[Tensor], x: Tensor, into: Tensor) -> None:
        for tile, (grad, norm) in enumerate(zip(grads, norms, strict=True)):
            self._of_tile(into, tile).addcmul_(self._of_tile(x, tile), torch.where(norm > 0, grad / norm, 0.0))

    def gradient(self) -> Tensor:
        return self.source.x.new_empty(self.source.x.shape)

    def collect(self, grad: Tensor, piece: Piece, into: Tensor) -> None:
        into.view(-1, into.shape[-1])[piece.samples] = grad

    def _rows(self, tile: int) -> int:
        return self.row_cuts[tile + 1] - self.row_cuts[tile]

    def _of_tile(self, x: Tensor, tile: int) -> Tensor:
        return x[:, self.row_cuts[tile] : self.row_cuts[tile + 1]]


@dataclass(frozen=True)
class _Window:
    """A window over images; one over sequences is one of height 1."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int]
    dilations: tuple[int, int]

    @classmethod
    def of(cls, op: ArrayMvm) -> _Window:
        one, none = ((), ()) if len(op.kernel_shape) == 2 else ((1,), (0,))
        pads = op.pads[: len(op.kernel_shape)]
        return cls((*one, *op.kernel_shape), (*one, *op.strides), (*none, *pads), (*one, *op.dilations))

    @property
    def taps(self) -> int:
        return math.prod(self.kernel)

    def positions(self, size: tuple[int, int]) -> tuple[int, int]:
        each = zip(size, self.kernel, self.strides, self.pads, self.dilations, strict=True)
        found = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in each]
        return found[0], found[1]

    def places(self, size: tuple[int, int]) -> list[tuple[slice, slice]]:
        """For each tap the pixels of the padded image that it covers."""
        high, wide = self.positions(size)
        (sh, sw), (dh, dw) = self.strides, self.dilations
        return [
            (slice(i * dh, i * dh + sh * (high - 1) + 1, sh), slice(j * dw, j * dw + sw * (wide - 1) + 1, sw))
            for i in range(self.kernel[0])
            for j in range(self.kernel[1])
        ]


class _Images(TileProducts):
    """Samples that are images [batch, channels, height, width]; sequences are images of height 1."""

    def __init__(self, source: Windows) -> None:
        super().__init__(source)
        self.window = _Window.of(source.op)
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


class Unfolded(_Images, Rows):
    """Windows copied out, as the rows of a matrix; one block."""

    def _numbers(self, width: int) -> int:
        return max(width, self.row_cuts[-1])

    def taken(self, piece: Piece) -> Tensor:
        images = self.images[piece.samples]
        (ph, pw), size = self.window.pads, (images.shape[2], images.shape[3])
        padded = F.pad(images.permute(0, 2, 3, 1), (0, 0, pw, pw, ph, ph))
        taken = torch.stack([padded[:, rows, cols] for rows, cols in self.window.places(size)], dim=-1)
        return taken.view(-1, self.row_cuts[-1])  # [batch * positions, channel * tap]

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

    def norms(self, x: Tensor) -> list[Tensor]:
        w = self.window
        if self._whole_channels and w.dilations == (1, 1):
            return self._norms_of_channels(x)
        power = F.conv2d(x.square(), self._ones, None, w.strides, w.pads, w.dilations, self.blocks)
        flat = power.permute(0, 2, 3, 1).reshape(-1, self.blocks, len(self.row_cuts) - 1)
        return list(flat.permute(2, 0, 1).contiguous().clamp_(min=0.0).sqrt_().unbind())

    def _norms_of_channels(self, x: Tensor) -> list[Tensor]:
        """Norms of a pixel's channels first, then of the window: fewer sums."""
        w, pixels = self.window, x.permute(0, 2, 3, 1)
        norms = [torch.linalg.vector_norm(pixels[..., self._channels(tile)[0]], dim=-1)
                 for tile in range(len(self.row_cuts) - 1)]
        power = torch.stack(norms, dim=1).square_()  # [batch, tile, height, width]
        summed = F.avg_pool2d(power, w.kernel, w.strides, w.pads, divisor_override=1).sqrt_()
        return [norm.reshape(-1, 1) for norm in summed.unbind(1)]

    def pull_norms(self, grads: list[Tensor], norms: list[Tensor], x: Tensor, into: Tensor) -> None:
        grad, norm = torch.stack(grads), torch.stack(norms)  # [tile, vectors, block]
        share = torch.where(norm > 0, grad / norm, 0.0)  # twice the gradient of the power
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

    @cached_property
    def _whole_channels(self) -> bool:
        """Whether tiles end where channels end; one block."""
        return self.blocks == 1 and all(cut % self.window.taps == 0 for cut in self.row_cuts)

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
    if isinstance(x, Vectors):
        return Rows(x) if x.blocks == 1 else None
    if not isinstance(x, Windows) or x.axes > 2 or not x.x.numel():
        return None
    window, size = _Window.of(x.op), (1, *x.x.shape[2:])[-2:]
    positions = math.prod(window.positions((size[0], size[1])))
    if x.blocks == 1 and (positions <= FEW_POSITIONS or window.taps == 1 or x.x.shape[1] == 1):
        return Unfolded(x)
    # strided 1 x 1 kernels: see operands, torch's gradient is unsafe
    return None if window.taps == 1 and max(window.strides) > 1 else Convolved(x)
