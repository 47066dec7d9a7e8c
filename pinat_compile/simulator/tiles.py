"""The products of an operand's tiles, laid out for speed and cut along the samples into pieces that stay in the cache.

Plain vectors are multiplied as they are; for images see `pinat_compile.simulator.images`. All layouts give the same
numbers but for the order of the sums.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar, cast

import torch
from torch import Tensor

from pinat_compile.simulator.operands import Operand

T = TypeVar("T")

PIECE_ELEMENTS = 1 << 19
"""Numbers of a tile's result that each core of a CPU works on at a time: two megabytes. Chosen by trial."""
PIECE_ELEMENTS_ON_DEVICE = 1 << 26
"""The same on a GPU, where many at a time are best."""


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

    def once(self, what: str, piece: Piece, make: Callable[[], T]) -> T:
        """What ``make`` lays out of a piece, or laid out before where others read the same vectors."""
        kept, place = self.source.kept, (what, piece.first, piece.count)
        if kept is None:
            return make()
        if place not in kept:
            kept[place] = make()
        return cast(T, kept[place])

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
    def norms(self, x: Tensor, piece: Piece) -> list[Tensor]:
        """sqrt(sum x²) over the rows of every tile: [vectors, block]; ``x`` is what was `taken` for ``piece``."""

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

    def norms(self, x: Tensor, piece: Piece) -> list[Tensor]:
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
