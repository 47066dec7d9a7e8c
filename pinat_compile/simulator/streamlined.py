"""The reads that most targets make, in as few passes over memory as they take: product, noise, ADC, shift and add.

What is computed is what `ArrayMatrix` says array by array, for the same draws and but for rounding of sums: gain errors
and converter steps are multiplied into the weights when a matrix is programmed, offsets are the bias of the product,
noise is read where it is added, and results are worked on piece by piece while they are in the cache. Of every
conversion the backward pass keeps its code, one byte, and nothing else; products that it needs again are made again.

The gradient is straight-through: 1 where a sum rounds to a code of the ADC and 0 where it is clipped. Codes of eight
bits fill their byte: there the outermost code itself counts as clipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

    A *unit* is a tile and one of its slices; ``slices`` is how many slices there are. ``limit``: the largest ADC code,
    of either sign. ``takes``: draws of each unit; empty: no noise. ``kept``: what is laid out once for all, where
    weights stay the same from call to call.
    """

    products: TileProducts
    limit: int
    slices: int = 1
    takes: Sequence[Take] = ()
    kept: dict[Any, Any] | None = None

    def kernels(self, weights: Tensor, of: str = "weights") -> list[Tensor]:
        """[tile, block, slice, rows, cols], laid out for every unit."""
        name = (of, type(self.products))
        if self.kept is not None and name in self.kept:
            return cast(list[Tensor], self.kept[name])
        units = [(tile, s) for tile in range(weights.shape[0]) for s in range(self.slices)]
        found = [self.products.kernel(weights[tile, :, s], tile) for tile, s in units]
        if self.kept is not None:
            self.kept[name] = found
        return found

    def rows(self, per_column: Tensor) -> list[Tensor]:
        """[tile, block, slice, cols] → [block * cols] for every unit."""
        return list(per_column.transpose(1, 2).flatten(2).flatten(0, 1).unbind())

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
    return _forward(read, weights, from_codes, offset, spread, bias, ())


def _forward(
    read: Read, weights: Tensor, from_codes: Tensor, offset: Tensor | None, spread: Spread | None, bias: Tensor | None,
    keep: Sequence[Tensor],
) -> Tensor:
    """See `run`; codes are kept in ``keep``, one tensor per unit, if there are any."""
    products, width = read.products, weights.shape[1] * weights.shape[4]
    kernels, factors = read.kernels(weights), read.rows(from_codes)
    starts: Sequence[Tensor | None] = [None] * len(kernels) if offset is None else read.rows(offset)
    total = weights.new_empty(products.count, width)

    noise = None if spread is None else _Noise(read, spread)
    for piece in products.pieces(width):
        x, out = products.taken(piece), total[piece.vectors]
        if noise is not None:
            noise.look_at(piece, x)
        for unit, (kernel, factor, start) in enumerate(zip(kernels, factors, starts, strict=True)):
            codes = products.multiply(x, unit // read.slices, kernel, start)
            if noise is not None:
                codes.addcmul_(noise.draws(unit), noise.std(unit))
            codes.round_()
            if keep:
                largest = read.stored[1]
                keep[unit][piece.vectors] = codes.clamp_(-largest, largest)
            if not keep or largest > read.limit:
                codes.clamp_(-read.limit, read.limit)
            if unit:
                out.addcmul_(codes, factor)
            else:
                torch.mul(codes, factor, out=out) if bias is None else torch.addcmul(bias, codes, factor, out=out)
    return total


class _Noise:
    """The noise of conversions, piece by piece."""

    def __init__(self, read: Read, spread: Spread) -> None:
        self.read, self.spread = read, spread
        self.variances = read.kernels(spread.variance, "variance") if spread.variance.ndim else []
        self.scales = read.rows(spread.scale * spread.variance.sqrt() if spread.uniform else spread.scale)
        self.columns = None if spread.columns is None else read.rows(spread.columns)
        self.blocks = spread.scale.shape[1]

    def look_at(self, piece: Piece, x: Tensor) -> None:
        self.piece = piece
        self.norms = [] if self.variances else self.read.products.norms(x)  # tile: [vectors, block]
        self.power = x.square() if self.variances else None

    def draws(self, unit: int) -> Tensor:
        """[vectors, block * cols], standard normal."""
        return self.read.takes[unit](self.piece.first, self.piece.count)

    def std(self, unit: int) -> Tensor:
        """[vectors, block * cols], in codes."""
        scale = self.scales[unit]
        return self._outer(unit, scale) if self.spread.uniform else self.root(unit).mul_(scale)

    def root(self, unit: int) -> Tensor:
        """The root of the variance [vectors, block * cols]; a new tensor."""
        columns, tile = None if self.columns is None else self.columns[unit], unit // self.read.slices
        if self.power is not None:
            variance = self.read.products.multiply(self.power, tile, self.variances[unit], columns)
        else:
            assert columns is not None
            power = self.norms[tile].square() * self.spread.variance
            variance = power + columns if self.blocks == 1 else _spread_out(power, columns, torch.add)
        return variance.clamp_(min=TINY).sqrt_()

    def _outer(self, unit: int, per_column: Tensor) -> Tensor:
        norms = self.norms[unit // self.read.slices]
        return norms * per_column if self.blocks == 1 else _spread_out(norms, per_column, torch.mul)


def _spread_out(per_vector: Tensor, per_column: Tensor, by: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """[vectors, block] and [block * cols] → [vectors, block * cols]."""
    return by(per_vector.unsqueeze(-1), per_column.view(per_vector.shape[1], -1)).flatten(1)


class _Read(torch.autograd.Function):
    """`_forward`, and its gradient, made piece by piece from the codes that were kept."""

    @staticmethod
    def forward(
        ctx: Any, read: Read, x: Tensor, weights: Tensor, from_codes: Tensor, scale: Tensor | None,
        columns: Tensor | None, bias: Tensor | None, offset: Tensor | None, variance: Tensor | None,
    ) -> Tensor:
        tiles, blocks, slices, _, cols = weights.shape
        shape, dtype = (read.products.count, blocks * cols), read.stored[0]
        keep = [weights.new_empty(shape, dtype=dtype) for _ in range(tiles * slices)]
        spread = None if scale is None or variance is None else Spread(scale, variance, columns)
        out = _forward(read, weights, from_codes, offset, spread, bias, keep)
        ctx.read = read
        ctx.save_for_backward(x, weights, from_codes, scale, columns, variance, *keep)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weights, from_codes, scale, columns, variance, *kept = ctx.saved_tensors
        spread = None if scale is None else Spread(scale, variance, columns)
        back = _Backward(ctx.read, weights, from_codes, spread, kept, ctx.needs_input_grad[1:6])
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
        of_x, of_weights, of_codes, of_scale, of_columns = needs
        self.x = read.products.gradient() if of_x else None
        self.weights = torch.zeros_like(weights) if of_weights else None
        self.from_codes = torch.zeros_like(from_codes) if of_codes else None
        scale, columns = (None, None) if spread is None else (spread.scale, spread.columns)
        self.scale = torch.zeros_like(scale) if scale is not None and of_scale else None
        self.columns = torch.zeros_like(columns) if columns is not None and of_columns else None

    def run(self, grad: Tensor) -> None:
        """``grad`` [vectors, block * cols] is that of the result."""
        read, (weights, from_codes) = self.read, self.given
        self.kernels, self.factors = read.kernels(weights), read.rows(from_codes)
        noise = None if self.spread is None else _Noise(read, self.spread)
        of_kernels: dict[int, Tensor] = {}
        for piece in read.products.pieces(grad.shape[1]):
            x = read.products.taken(piece)
            into = None if self.x is None else torch.zeros_like(x)
            if noise is not None:
                noise.look_at(piece, x)
            self.of_norms = [torch.zeros_like(norms) for norms in noise.norms] if noise is not None else []
            self.of_power = torch.zeros_like(x) if noise is not None and noise.power is not None else None
            for unit in range(len(self.kernels)):
                inside = self._through_codes(grad[piece.vectors], piece, unit)
                if noise is not None:
                    self._through_noise(inside, noise, unit)
                self._through_product(inside, x, unit, into, of_kernels)
            if into is not None and self.x is not None:
                if noise is not None and noise.norms:
                    read.products.pull_norms(self.of_norms, noise.norms, x, into)
                if self.of_power is not None:
                    into.addcmul_(self.of_power, x, value=2.0)
                read.products.collect(into, piece, self.x)
        if self.weights is not None:
            for unit, kernel in of_kernels.items():
                tile, s = divmod(unit, read.slices)
                self.weights[tile, :, s] = read.products.weights(kernel, tile, weights.shape[3])

    def _through_codes(self, grad: Tensor, piece: Piece, unit: int) -> Tensor:
        """The gradient of the sums, in codes: that of the result where the ADC did not clip."""
        largest, factor = self.read.stored[1], self.factors[unit]
        codes = self.kept[unit][piece.vectors].to(grad.dtype)
        inside = torch.ops.aten.hardtanh_backward(grad * factor, codes, -float(largest), float(largest))
        if self.from_codes is not None:
            codes = codes.clamp_(-self.read.limit, self.read.limit) if largest > self.read.limit else codes
            self._add(self.from_codes, unit, codes.mul_(grad).sum(dim=0))
        return cast(Tensor, inside)

    def _through_product(
        self, inside: Tensor, x: Tensor, unit: int, into: Tensor | None, of_kernels: dict[int, Tensor]
    ) -> None:
        wanted, tile = self.weights is not None, unit // self.read.slices
        found = self.read.products.pull(inside, x, tile, self.kernels[unit], into, wanted)
        if wanted:
            of_kernels[unit] = found if unit not in of_kernels else of_kernels[unit].add_(found)

    def _through_noise(self, inside: Tensor, noise: _Noise, unit: int) -> None:
        spread, scale, tile = noise.spread, noise.scales[unit], unit // self.read.slices
        drawn = inside * noise.draws(unit)  # [vectors, block * cols]
        per_block = (-1, noise.blocks, drawn.shape[1] // noise.blocks)
        if spread.uniform:
            self.of_norms[tile] += _dot_columns(drawn.view(per_block), scale.view(per_block[1:]))
            if self.scale is not None:
                of_scale = _dot_vectors(drawn.view(per_block), noise.norms[tile])
                self._add(self.scale, unit, of_scale.flatten() * spread.variance.sqrt())
            return
        root = noise.root(unit)
        if self.scale is not None:
            self._add(self.scale, unit, (drawn * root).sum(dim=0))
        of_variance = drawn.mul_(scale).div_(root).mul_(0.5)
        if self.columns is not None:
            self._add(self.columns, unit, of_variance.sum(dim=0))
        if self.of_power is not None:
            assert noise.power is not None
            self.read.products.pull(of_variance, noise.power, tile, noise.variances[unit], self.of_power, False)
        else:
            power = of_variance.view(per_block).sum(dim=2)
            self.of_norms[tile] += power * (2.0 * spread.variance) * noise.norms[tile]

    def _add(self, into: Tensor, unit: int, found: Tensor) -> None:
        """Add [block * cols] to the unit's place in [tile, block, slice, cols]."""
        tile, s = divmod(unit, self.read.slices)
        into[tile, :, s] += found.view(into.shape[1], -1)


def _dot_columns(x: Tensor, per_column: Tensor) -> Tensor:
    """[vectors, block, cols] and [block, cols] → [vectors, block]."""
    return (x[:, 0] @ per_column[0]).unsqueeze(1) if x.shape[1] == 1 else torch.einsum("nbc,bc->nb", x, per_column)


def _dot_vectors(x: Tensor, per_vector: Tensor) -> Tensor:
    """[vectors, block, cols] and [vectors, block] → [block, cols]."""
    return (per_vector[:, 0] @ x[:, 0]).unsqueeze(0) if x.shape[1] == 1 else torch.einsum("nbc,nb->bc", x, per_vector)
