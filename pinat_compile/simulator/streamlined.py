"""The reads that most targets make, in as few passes over memory as they take: product, noise, ADC, shift and add.

What is computed is what `ArrayMatrix` says array by array, for the same draws and but for rounding of sums: gain errors
and converter steps are multiplied into the weights when a matrix is programmed, offsets are the bias of the product,
noise is read where it is added, and results are worked on piece by piece while they are in the cache. Of every
conversion the backward pass keeps its code, one byte, and nothing else; products that it needs again are made again.

The gradient is straight-through: 1 where a sum rounds to a code of the ADC and 0 where it is clipped. Codes of eight
bits fill their byte: there the outermost code itself counts as clipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from pinat_compile.simulator.noise import Take
from pinat_compile.simulator.tiles import Piece, TileProducts

TINY = 1e-20
"""The least variance: its root has a gradient."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Deviation of a conversion's noise: ``scale`` sqrt(variance), in codes.

    ``variance``: per squared input, one number [] for all cells or [tile, block, slice, rows, cols]. ``columns``: what
    is added whatever the inputs, [tile, block, slice, cols]. ``scale`` [tile, block, slice, cols].
    """

    scale: Tensor
    variance: Tensor
    columns: Tensor | None = None

    @property
    def uniform(self) -> bool:
        """Whether the deviation is the norm of the inputs times something per column."""
        return self.variance.ndim == 0 and self.columns is None


@dataclass(frozen=True)
class Read:
    """One product of all vectors with all tiles and slices of a matrix; what of it has no gradient.

    ``limit``: the largest ADC code, of either sign. ``takes`` [tile][slice]: draws; empty: no noise. ``kernels`` keeps
    weights as they were laid out, where they stay the same from call to call.
    """

    products: TileProducts
    limit: int
    takes: Sequence[Sequence[Take]] = ()
    kernels: dict[Any, Tensor] | None = None

    def kernel(self, weights: Tensor, tile: int, s: int, of: str = "weights") -> Tensor:
        """Those of one tile and slice, laid out: kept, or made for this call."""
        if self.kernels is None:
            return self.products.kernel(weights[tile, :, s], tile)
        place = (of, type(self.products), tile, s)
        if place not in self.kernels:
            self.kernels[place] = self.products.kernel(weights[tile, :, s], tile)
        return self.kernels[place]

    @property
    def stored(self) -> tuple[torch.dtype, int]:
        """How a code is kept for the backward pass, and its largest magnitude: one more than the ADC's, if it fits."""
        if self.limit <= 127:
            return torch.int8, min(self.limit + 1, 127)
        return (torch.int16, self.limit + 1) if self.limit < 32767 else (torch.float32, self.limit + 1)


def run(
    read: Read, x: Tensor, weights: Tensor, from_codes: Tensor, offset: Tensor | None, spread: Spread | None,
    bias: Tensor | None,
) -> Tensor:
    """[vectors, block * cols]: the sum over tiles and slices of what their codes stand for, and ``bias``.

    ``x`` is the tensor of the operand that ``read.products`` was made of. ``weights`` [tile, block, slice, rows, cols]
    in codes per input step; ``from_codes`` and ``offset`` (in codes) [tile, block, slice, cols]; ``bias``
    [block * cols]. Differentiable with respect to all but ``offset`` and ``spread.variance``.
    """
    scale, columns = (None, None) if spread is None else (spread.scale, spread.columns)
    variance = None if spread is None else spread.variance
    given = (x, weights, from_codes, scale, columns, bias)
    if torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in given):
        return cast(Tensor, _Read.apply(read, *given, offset, variance))  # type: ignore[no-untyped-call]
    return _forward(read, weights, from_codes, offset, spread, bias, None)


def _forward(
    read: Read, weights: Tensor, from_codes: Tensor, offset: Tensor | None, spread: Spread | None, bias: Tensor | None,
    keep: list[list[Tensor]] | None,
) -> Tensor:
    products, limit = read.products, read.limit
    tiles, blocks, slices, _, cols = weights.shape
    width = blocks * cols
    total = weights.new_empty(products.count, width)
    for piece in products.pieces(width):
        out = total[piece.vectors]
        noise = None if spread is None else _Noise(read, spread, piece)
        for tile in range(tiles):
            for s in range(slices):
                start = None if offset is None else offset[tile, :, s].reshape(-1)
                codes = products.multiply(piece.x, tile, read.kernel(weights, tile, s), start)
                if noise is not None:
                    codes.addcmul_(noise.draws(tile, s), noise.std(tile, s))
                codes.round_()
                if keep is not None:
                    _, largest = read.stored
                    keep[tile][s][piece.vectors] = codes.clamp_(-largest, largest)
                codes.clamp_(-limit, limit)
                factor = from_codes[tile, :, s].reshape(-1)
                if tile == s == 0:
                    torch.mul(codes, factor, out=out) if bias is None else torch.addcmul(bias, codes, factor, out=out)
                else:
                    out.addcmul_(codes, factor)
    return total


class _Noise:
    """The noise of one piece's conversions."""

    def __init__(self, read: Read, spread: Spread, piece: Piece) -> None:
        self.read, self.spread, self.piece = read, spread, piece
        self.norms = read.products.norms(piece.x) if spread.variance.ndim == 0 else None  # [tile, vectors, block]
        self.power = piece.x.square() if spread.variance.ndim else None
        self.width = spread.scale.shape[1] * spread.scale.shape[3]

    def draws(self, tile: int, s: int) -> Tensor:
        """[vectors, block * cols], standard normal."""
        return self.read.takes[tile][s](self.piece.first, self.piece.count)

    def std(self, tile: int, s: int) -> Tensor:
        """[vectors, block * cols], in codes."""
        scale = self.spread.scale[tile, :, s]  # [block, cols]
        if self.spread.uniform:
            assert self.norms is not None
            return _outer(self.norms[tile], scale * self.spread.variance.sqrt())
        return self.root(tile, s).mul_(scale.reshape(-1))

    def root(self, tile: int, s: int) -> Tensor:
        """The root of the variance [vectors, block * cols]; a new tensor."""
        columns = None if self.spread.columns is None else self.spread.columns[tile, :, s]
        if self.power is not None:
            kernel = self.read.kernel(self.spread.variance, tile, s, "variance")
            start = None if columns is None else columns.reshape(-1)
            variance = self.read.products.multiply(self.power, tile, kernel, start)
        else:
            assert self.norms is not None and columns is not None
            variance = _outer(self.norms[tile].square(), self.spread.variance.expand(columns.shape))
            variance = variance.add_(columns.reshape(-1))
        return variance.clamp_(min=TINY).sqrt_()


def _outer(per_vector: Tensor, per_column: Tensor) -> Tensor:
    """[vectors, block] and [block, cols] → [vectors, block * cols]."""
    return (per_vector.unsqueeze(-1) * per_column).flatten(1)


class _Read(torch.autograd.Function):
    """`_forward`, and its gradient, made piece by piece from the codes that were kept."""

    @staticmethod
    def forward(
        ctx: Any, read: Read, x: Tensor, weights: Tensor, from_codes: Tensor, scale: Tensor | None,
        columns: Tensor | None, bias: Tensor | None, offset: Tensor | None, variance: Tensor | None,
    ) -> Tensor:
        tiles, blocks, slices, _, cols = weights.shape
        dtype, _ = read.stored
        keep = [[weights.new_empty(read.products.count, blocks * cols, dtype=dtype) for _ in range(slices)]
                for _ in range(tiles)]
        spread = None if scale is None or variance is None else Spread(scale, variance, columns)
        out = _forward(read, weights, from_codes, offset, spread, bias, keep)
        ctx.read = read
        ctx.save_for_backward(x, weights, from_codes, scale, columns, variance, *(c for row in keep for c in row))
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weights, from_codes, scale, columns, variance, *kept = ctx.saved_tensors
        spread = None if scale is None else Spread(scale, variance, columns)
        back = _Backward(ctx.read, weights, from_codes, spread, kept, ctx.needs_input_grad[1:7])
        back.run(grads[0].contiguous())
        bias = grads[0].sum(dim=0) if ctx.needs_input_grad[6] else None
        return None, back.x, back.weights, back.from_codes, back.scale, back.columns, bias, None, None


class _Backward:
    """The gradients of one `Read`, added up piece by piece; ``None`` where nobody asks."""

    def __init__(
        self, read: Read, weights: Tensor, from_codes: Tensor, spread: Spread | None, kept: Sequence[Tensor],
        needs: Sequence[bool],
    ) -> None:
        self.read, self.spread, self.kept = read, spread, kept
        self.given = (weights, from_codes)
        of_x, of_weights, of_codes, of_scale, of_columns, _ = needs
        self.x = read.products.gradient() if of_x else None
        self.weights = torch.zeros_like(weights) if of_weights else None
        self.from_codes = torch.zeros_like(from_codes) if of_codes else None
        noisy = spread is not None
        self.scale = torch.zeros_like(spread.scale) if noisy and of_scale else None  # type: ignore[union-attr]
        wanted = spread.columns if spread is not None and of_columns else None
        self.columns = None if wanted is None else torch.zeros_like(wanted)

    def run(self, grad: Tensor) -> None:
        weights, _ = self.given
        tiles, _, slices, _, _ = weights.shape
        kernels: dict[tuple[int, int], Tensor] = {}
        for piece in self.read.products.pieces(grad.shape[1]):
            noise = None if self.spread is None else _Noise(self.read, self.spread, piece)
            into = None if self.x is None else torch.zeros_like(piece.x)
            of_norms = torch.zeros_like(noise.norms) if noise is not None and noise.norms is not None else None
            of_power = torch.zeros_like(piece.x) if noise is not None and noise.power is not None and into is not None \
                else None
            for tile in range(tiles):
                for s in range(slices):
                    inside = self._through_codes(grad[piece.vectors], piece, tile, s)
                    if noise is not None:
                        self._through_noise(inside, noise, tile, s, of_norms, of_power)
                    self._through_product(inside, piece, tile, s, into, kernels)
            if into is not None and self.x is not None:
                if noise is not None and of_norms is not None and noise.norms is not None:
                    self.read.products.pull_norms(of_norms, noise.norms, piece.x, into)
                if of_power is not None:
                    into.addcmul_(of_power, piece.x, value=2.0)
                self.read.products.collect(into, piece, self.x)
        if self.weights is not None:
            rows = weights.shape[3]
            for (tile, s), kernel in kernels.items():
                self.weights[tile, :, s] = self.read.products.weights(kernel, tile, rows)

    def _through_codes(self, grad: Tensor, piece: Piece, tile: int, s: int) -> Tensor:
        """The gradient of the sums, in codes: that of the result where the ADC did not clip."""
        _, from_codes = self.given
        _, largest = self.read.stored
        codes = self.kept[tile * from_codes.shape[2] + s][piece.vectors].to(grad.dtype)
        scaled = grad * from_codes[tile, :, s].reshape(-1)
        inside = torch.ops.aten.hardtanh_backward(scaled, codes, -float(largest), float(largest))
        if self.from_codes is not None:
            codes = codes.clamp_(-self.read.limit, self.read.limit) if largest > self.read.limit else codes
            self.from_codes[tile, :, s] += codes.mul_(grad).sum(dim=0).view(from_codes.shape[1], -1)
        return cast(Tensor, inside)

    def _through_product(
        self, inside: Tensor, piece: Piece, tile: int, s: int, into: Tensor | None,
        kernels: dict[tuple[int, int], Tensor],
    ) -> None:
        wanted = self.weights is not None
        found = self.read.products.pull(
            inside, piece.x, tile, self.read.kernel(self.given[0], tile, s), into, wanted
        )
        if wanted:
            kernels[tile, s] = found if (tile, s) not in kernels else kernels[tile, s].add_(found)

    def _through_noise(
        self, inside: Tensor, noise: _Noise, tile: int, s: int, of_norms: Tensor | None, of_power: Tensor | None
    ) -> None:
        spread, scale = noise.spread, noise.spread.scale[tile, :, s]  # [block, cols]
        blocks, cols = scale.shape
        drawn = (inside * noise.draws(tile, s)).view(-1, blocks, cols)
        if spread.uniform:
            assert noise.norms is not None
            per_norm = scale * spread.variance.sqrt()
            if of_norms is not None:
                of_norms[tile] += torch.einsum("nbc,bc->nb", drawn, per_norm)
            if self.scale is not None:
                self.scale[tile, :, s] += torch.einsum("nbc,nb->bc", drawn, noise.norms[tile]) * spread.variance.sqrt()
            return
        root = noise.root(tile, s).view(-1, blocks, cols)
        if self.scale is not None:
            self.scale[tile, :, s] += (drawn * root).sum(dim=0)
        of_variance = drawn.mul_(scale).div_(root).mul_(0.5)  # [vectors, block, cols]
        if self.columns is not None:
            self.columns[tile, :, s] += of_variance.sum(dim=0)
        if noise.power is None:
            assert noise.norms is not None
            if of_norms is not None:
                of_norms[tile] += of_variance.sum(dim=2) * (2.0 * spread.variance) * noise.norms[tile]
        elif of_power is not None:
            kernel = self.read.kernel(spread.variance, tile, s, "variance")
            self.read.products.pull(of_variance.flatten(1), noise.power, tile, kernel, of_power, False)
