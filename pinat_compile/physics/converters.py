"""Digital-to-analog and analog-to-digital conversion: round to steps, clip to codes, straight-through gradients."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor


class _Quantise(torch.autograd.Function):
    """codes = clip(round(x / step), low, high).

    Gradients (Bengio et al., arXiv 1308.3432; Esser et al., arXiv 1902.08153, eq. 3): rounding counts as identity.
    Inside the clips d code/dx = 1/step and d code/d step = -x/step²; outside both are 0.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, low: int, high: int) -> Tensor:
        scaled = x / step
        ctx.save_for_backward(scaled, step)
        ctx.clips = (low, high)
        return scaled.round().clamp_(low, high)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        scaled, step = ctx.saved_tensors
        low, high = ctx.clips
        inside = ((scaled >= low) & (scaled <= high)).to(grads[0].dtype)
        to_x = grads[0] * inside / step if ctx.needs_input_grad[0] or ctx.needs_input_grad[1] else None
        to_step = None
        if ctx.needs_input_grad[1]:
            to_step = _sum_to(-cast(Tensor, to_x) * scaled, step.shape)
        return (to_x if ctx.needs_input_grad[0] else None), to_step, None, None


def _sum_to(x: Tensor, shape: torch.Size) -> Tensor:
    """Sum over the axes along which ``shape`` was broadcast."""
    return x.sum_to_size(shape)


def quantise(x: Tensor, step: Tensor, low: int, high: int) -> Tensor:
    """Integer codes (as floating point) of ``x`` in units of ``step``, clipped to [low, high]; halves go to even.

    ``step`` broadcasts against ``x``. Without gradients nothing is kept.
    """
    if torch.is_grad_enabled() and (x.requires_grad or step.requires_grad):
        return cast(Tensor, _Quantise.apply(x, step, low, high))  # type: ignore[no-untyped-call]
    return (x / step).round_().clamp_(low, high)


def signed_limit(bits: int) -> int:
    """Largest code of a symmetric signed converter: 2**(bits - 1) - 1."""
    return (1 << (bits - 1)) - 1


def bit_planes(codes: Tensor, bits: int) -> list[tuple[int, Tensor]]:
    """Two's complement bits of integer ``codes``, least significant first, as (weight, 0/1 tensor).

    The top weight is negative; sum(weight * plane) equals ``codes``. The gradient is shared among the planes so that
    the sum's is 1.
    """
    whole = codes.detach().to(torch.int64)
    weights = [1 << k for k in range(bits - 1)] + [-(1 << (bits - 1))]
    norm = float(sum(w * w for w in weights))
    planes = []
    for k, weight in enumerate(weights):
        plane = ((whole >> k) & 1).to(codes.dtype)
        if codes.requires_grad:
            plane = plane + (codes - codes.detach()) * (weight / norm)
        planes.append((weight, plane))
    return planes


def lossless_bits(rows: int, input_bits: int, cell_bits: int) -> int:
    """ADC bits that represent every column sum: ceil(log2(rows (2^v - 1)(2^b - 1) + 1)) (Shafiee et al., ISCA 2016)."""
    return int(rows * ((1 << input_bits) - 1) * ((1 << cell_bits) - 1)).bit_length()
