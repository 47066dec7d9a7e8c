"""Digital-to-analog and analog-to-digital conversion: round to steps, clip to codes, straight-through gradients."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor


class _RoundClip(torch.autograd.Function):
    """clip(round(x), low, high); the gradient is 1 inside the clips and 0 outside (Bengio et al., arXiv 1308.3432)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: int, high: int) -> Tensor:
        ctx.save_for_backward((x >= low).logical_and_(x <= high))
        return x.round().clamp_(low, high)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (inside,) = ctx.saved_tensors
        return grads[0] * inside, None, None


def round_clip(x: Tensor, low: int, high: int, *, own: bool = False) -> Tensor:
    """Round to integers (halves to even) and clip to [low, high]; straight-through inside the clips.

    ``own``: ``x`` is a temporary of the caller, which may be overwritten where no gradient is needed.
    """
    if torch.is_grad_enabled() and x.requires_grad:
        return cast(Tensor, _RoundClip.apply(x, low, high))  # type: ignore[no-untyped-call]
    return (x.round_() if own else x.round()).clamp_(low, high)


def quantise(x: Tensor, step: Tensor, low: int, high: int) -> Tensor:
    """Integer codes (as floating point) of ``x`` in units of ``step``, clipped to [low, high].

    ``step`` broadcasts against ``x``. Gradients: inside the clips d code/dx = 1/step and d code/d step = -x/step²
    (Esser et al., arXiv 1902.08153, eq. 3); outside both are 0.
    """
    return round_clip(x / step, low, high, own=True)


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
