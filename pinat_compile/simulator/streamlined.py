"""The reads that most targets make, in as few passes over memory as they take: product, noise, ADC, shift and add.

What is computed is what `ArrayMatrix` says array by array, for the same draws and but for rounding of sums: gain errors
and converter steps are multiplied into the weights when a matrix is programmed, offsets are the bias of the product,
noise is read where it is added, and results are worked on piece by piece while they are in the cache. Of every
conversion the backward pass keeps its code, one byte, and nothing else; products that it needs again are made again.

The gradient is straight-through: 1 where a sum rounds to a code of the ADC and 0 where it is clipped. Codes of eight
bits fill their byte: there the outermost code itself counts as clipped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
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
    is added whatever the inputs, [tile, block, slice, cols]; ``linear``: per input, shaped like weights; ``sums``: per
    squared sum, a number, which the gradient leaves out. ``scale`` [tile, block, slice, cols].
    """

    scale: Tensor
    variance: Tensor
    columns: Tensor | None = None
    linear: Tensor | None = None
    sums: float = 0.0

    @property
    def uniform(self) -> bool:
        """Whether the deviation is the norm of the inputs times something per column."""
        return self.variance.ndim == 0 and self.columns is None and self.linear is None


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
    [block * cols]. Differentiable with respect to all but ``offset``, and of ``spread`` to scale and columns.
    """
    scale, columns = (None, None) if spread is None else (spread.scale, spread.columns)
    given = (x, weights, from_codes, scale, columns, bias)
    if torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in given):
        return cast(Tensor, _Read.apply(read, *given, offset, spread))  # type: ignore[no-untyped-call]
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
        x, out = products.once("taken", piece, partial(products.taken, piece)), total[piece.vectors]
        if noise is not None:
            noise.look_at(piece, x)
        for unit, (kernel, factor, start) in enumerate(zip(kernels, factors, starts, strict=True)):
            codes = products.multiply(x, unit // read.slices, kernel, start)
            if noise is not None:
                codes.addcmul_(noise.draws(unit), noise.std(unit, codes))
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
        self.sigma = spread.variance.sqrt() if spread.uniform else spread.variance
        self.scales = read.rows(spread.scale * self.sigma if spread.uniform else spread.scale)
        self.columns = None if spread.columns is None else read.rows(spread.columns)
        self.linear = [] if spread.linear is None else read.kernels(spread.linear, "linear")
        self.blocks = spread.scale.shape[1]

    def look_at(self, piece: Piece, x: Tensor) -> None:
        self.piece = piece
        products, needed = self.read.products, not self.variances
        self.norms = products.once("norms", piece, partial(products.norms, x, piece)) if needed else []
        self.power = x.square() if self.variances else None
        self.magnitude = x.abs() if self.linear else None

    def draws(self, unit: int) -> Tensor:
        """[vectors, block * cols], standard normal."""
        return self.read.takes[unit](self.piece.first, self.piece.count)

    def std(self, unit: int, codes: Tensor) -> Tensor:
        """[vectors, block * cols], in codes; ``codes``: the sums whose deviation it is."""
        scale = self.scales[unit]
        std = self._outer(unit, scale) if self.spread.uniform else self.root(unit).mul_(scale)
        return std if self.spread.sums == 0.0 else torch.hypot(std, codes * math.sqrt(self.spread.sums))

    def root(self, unit: int) -> Tensor:
        """The root of the variance [vectors, block * cols]; a new tensor."""
        columns, tile = None if self.columns is None else self.columns[unit], unit // self.read.slices
        if self.power is not None:
            variance = self.read.products.multiply(self.power, tile, self.variances[unit], columns)
        else:
            columns = self.scales[unit].new_zeros(self.scales[unit].shape) if columns is None else columns
            power = self.norms[tile].square() * self.spread.variance
            variance = power + columns if self.blocks == 1 else _spread_out(power, columns, torch.add)
        if self.magnitude is not None:
            variance = variance.add_(self.read.products.multiply(self.magnitude, tile, self.linear[unit], None))
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
        columns: Tensor | None, bias: Tensor | None, offset: Tensor | None, spread: Spread | None,
    ) -> Tensor:
        tiles, blocks, slices, _, cols = weights.shape
        shape, dtype = (read.products.count, blocks * cols), read.stored[0]
        keep = [weights.new_empty(shape, dtype=dtype) for _ in range(tiles * slices)]
        spread = None if scale is None or spread is None else replace(spread, scale=scale, columns=columns)
        out = _forward(read, weights, from_codes, offset, spread, bias, keep)
        ctx.read, ctx.sums = read, 0.0 if spread is None else spread.sums
        fixed = (None, None) if spread is None else (spread.variance, spread.linear)
        ctx.save_for_backward(x, weights, from_codes, scale, columns, *fixed, *keep)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weights, from_codes, scale, columns, variance, linear, *kept = ctx.saved_tensors
        spread = None if scale is None else Spread(scale, variance, columns, linear, ctx.sums)
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
        self.read, self.kept = read, kept
        self.noise = None if spread is None else _Noise(read, spread)
        self.kernels, self.factors = read.kernels(weights), read.rows(from_codes)
        of_x, of_weights, of_codes, of_scale, of_columns = needs
        self.x = read.products.gradient() if of_x else None
        self.weights = torch.zeros_like(weights) if of_weights else None
        self.rooms = [] if self.weights is None else [read.products.room(*self._place(unit)) for unit in self._units]
        self.from_codes, self.of_factors = self._sums(from_codes if of_codes else None)
        scale, columns = (None, None) if spread is None else (spread.scale, spread.columns)
        self.scale, self.of_scales = self._sums(scale if of_scale else None)
        self.columns, self.of_columns = self._sums(columns if of_columns else None)

    @property
    def _units(self) -> range:
        return range(len(self.kernels))

    def _place(self, unit: int) -> tuple[Tensor, int]:
        """Where the gradient of a unit's weights belongs [block, rows, cols], and its tile."""
        assert self.weights is not None
        tile, s = divmod(unit, self.read.slices)
        return self.weights[tile, :, s], tile

    def _sums(self, like: Tensor | None) -> tuple[Tensor | None, list[Tensor]]:
        """Zeros [tile, block, slice, cols], and a view [block * cols] of them for every unit to add to."""
        if like is None:
            return None, []
        tiles, blocks, slices, cols = like.shape
        room = like.new_zeros(tiles, slices, blocks, cols)
        return room.transpose(1, 2), list(room.view(tiles * slices, -1).unbind())

    def run(self, grad: Tensor) -> None:
        """``grad`` [vectors, block * cols] is that of the result."""
        products, noise = self.read.products, self.noise
        for piece in products.pieces(grad.shape[1]):
            x, part = products.taken(piece), grad[piece.vectors]
            into = None if self.x is None else torch.zeros_like(x)
            if noise is not None:
                noise.look_at(piece, x)
            self.of_norms = [torch.zeros_like(norms) for norms in noise.norms] if noise is not None else []
            self.of_power = torch.zeros_like(x) if noise is not None and noise.power is not None else None
            self.of_magnitude = torch.zeros_like(x) if noise is not None and noise.linear else None
            for unit in self._units:
                inside = self._through_codes(part, self.kept[unit][piece.vectors], unit)
                if noise is not None:
                    self._through_noise(inside, noise, unit)
                room = self.rooms[unit] if self.rooms else None
                products.pull(inside, x, unit // self.read.slices, self.kernels[unit], into, room)
            if into is not None and self.x is not None:
                if noise is not None and noise.norms:
                    products.pull_norms(self.of_norms, noise.norms, x, into)
                if self.of_power is not None:
                    into.addcmul_(self.of_power, x, value=2.0)
                if self.of_magnitude is not None:
                    into.addcmul_(self.of_magnitude, x.sign())
                products.collect(into, piece, self.x)
        for unit, room in enumerate(self.rooms):
            products.settle(room, *self._place(unit))

    def _through_codes(self, grad: Tensor, kept: Tensor, unit: int) -> Tensor:
        """The gradient of the sums, in codes: that of the result where the ADC did not clip."""
        largest, codes = self.read.stored[1], kept.to(grad.dtype)
        inside = torch.ops.aten.hardtanh_backward(grad * self.factors[unit], codes, -float(largest), float(largest))
        if self.of_factors:
            codes = codes.clamp_(-self.read.limit, self.read.limit) if largest > self.read.limit else codes
            self.of_factors[unit] += codes.mul_(grad).sum(dim=0)
        return cast(Tensor, inside)

    def _through_noise(self, inside: Tensor, noise: _Noise, unit: int) -> None:
        spread, scale, tile = noise.spread, noise.scales[unit], unit // self.read.slices
        drawn = inside * noise.draws(unit)  # [vectors, block * cols]
        per_block = (-1, noise.blocks, drawn.shape[1] // noise.blocks)
        if spread.uniform:
            self.of_norms[tile] += _dot_columns(drawn.view(per_block), scale.view(per_block[1:]))
            if self.of_scales:
                of_scale = _dot_vectors(drawn.view(per_block), noise.norms[tile])
                self.of_scales[unit].addcmul_(of_scale.flatten(), noise.sigma)
            return
        root = noise.root(unit)
        if self.of_scales:
            self.of_scales[unit] += (drawn * root).sum(dim=0)
        of_variance = drawn.mul_(scale).div_(root).mul_(0.5)
        if self.of_columns:
            self.of_columns[unit] += of_variance.sum(dim=0)
        if self.of_magnitude is not None:
            assert noise.magnitude is not None
            products, linear = self.read.products, noise.linear[unit]
            products.pull(of_variance, noise.magnitude, tile, linear, self.of_magnitude, None)
        if self.of_power is not None:
            assert noise.power is not None
            self.read.products.pull(of_variance, noise.power, tile, noise.variances[unit], self.of_power, None)
        else:
            power = of_variance.view(per_block).sum(dim=2)
            self.of_norms[tile] += power * (2.0 * spread.variance) * noise.norms[tile]


def _dot_columns(x: Tensor, per_column: Tensor) -> Tensor:
    """[vectors, block, cols] and [block, cols] → [vectors, block]."""
    return (x[:, 0] @ per_column[0]).unsqueeze(1) if x.shape[1] == 1 else torch.einsum("nbc,bc->nb", x, per_column)


def _dot_vectors(x: Tensor, per_vector: Tensor) -> Tensor:
    """[vectors, block, cols] and [vectors, block] → [block, cols]."""
    return (per_vector[:, 0] @ x[:, 0]).unsqueeze(0) if x.shape[1] == 1 else torch.einsum("nbc,nb->bc", x, per_vector)
