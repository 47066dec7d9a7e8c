"""Digital-to-analog and analog-to-digital conversion: round to steps, clip to codes, straight-through gradients."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from pinat_compile.hardware.schema import DacSection


class _RoundClip(torch.autograd.Function):
    """clip(round(x), low, high); the gradient is 1 where x rounds to a code, 0 where it is clipped.

    The straight-through estimator of Bengio et al., arXiv 1308.3432.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: int, high: int) -> Tensor:
        whole = x.round()
        codes = whole.clamp(low, high)
        ctx.save_for_backward(whole == codes)
        return codes

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (inside,) = ctx.saved_tensors
        return grads[0] * inside, None, None


def round_clip(x: Tensor, low: int, high: int, *, own: bool = False) -> Tensor:
    """Round to integers (halves to even) and clip to [low, high]; straight-through where nothing is clipped.

    ``own``: ``x`` is a temporary of the caller, which may be overwritten where no gradient is needed.
    """
    if torch.is_grad_enabled() and x.requires_grad:
        return cast(Tensor, _RoundClip.apply(x, low, high))  # type: ignore[no-untyped-call]
    return (x.round_() if own else x.round()).clamp_(low, high)


def round_up_or_down(x: Tensor, chance: Tensor, low: int, high: int) -> Tensor:
    """Stochastic rounding: up where ``chance``, uniform in [0, 1), lies below the fraction; clipped, straight-through.

    The mean is ``x`` itself inside the clips (Gupta et al., arXiv 1502.02551, section 3.1).
    """
    return round_clip(x + (0.5 - chance), low, high)


def quantise(x: Tensor, step: Tensor, low: int, high: int) -> Tensor:
    """Integer codes (as floating point) of ``x`` in units of ``step``, clipped to [low, high].

    ``step`` broadcasts against ``x``. Gradients: inside the clips d code/dx = 1/step and d code/d step = -x/step²
    (Esser et al., arXiv 1902.08153, eq. 3); outside both are 0.
    """
    return round_clip(x / step, low, high, own=True)


def signed_limit(bits: int) -> int:
    """Largest code of a symmetric signed converter: 2**(bits - 1) - 1."""
    return (1 << (bits - 1)) - 1


def step_weights(bits: int, step_bits: int = 1) -> tuple[int, ...]:
    """What each step of `input_steps` is worth, in input codes: the lower bits from 1 up, then the sign, negative."""
    return (*(1 << low for low in range(0, bits - 1, step_bits)), -(1 << (bits - 1)))


def driven_steps(codes: Tensor, dac: DacSection, *, one_pass: bool = False) -> list[tuple[int, Tensor]]:
    """What drives the rows, one step after the other, as (weight, drive): sum(weight * drive) equals ``codes``.

    All at once; as the digits of two's complement (`input_steps`); or, where values have no sign, the positive part and
    then the negative one. ``one_pass``: the second pass is left out, and what is negative counts as 0.
    """
    if dac.encoding == "bit_serial":
        assert dac.bits is not None
        return input_steps(codes, dac.bits, dac.step_bits)
    if dac.encoding != "two_pass":
        return [(1, codes)]
    positive = codes.clamp(min=0.0)  # whose gradient at 0 is 1, that of the other part 0
    return [(1, positive)] if one_pass else [(1, positive), (-1, torch.relu(-codes))]


def input_steps(codes: Tensor, bits: int, step_bits: int = 1) -> list[tuple[int, Tensor]]:
    """Two's complement of integer ``codes``, least significant step first, as (weight, digits from 0 up).

    The lower ``bits - 1`` bits in steps of ``step_bits`` (the last may have fewer), then the sign bit, whose weight is
    negative; sum(weight * digits) equals ``codes``. The gradient is shared among the steps so that the sum's is 1.
    """
    whole = codes.detach().to(torch.int32)  # 16 bits at most
    widths = [*(min(step_bits, bits - 1 - low) for low in range(0, bits - 1, step_bits)), 1]
    weights = step_weights(bits, step_bits)
    norm = float(sum(weight * weight for weight in weights))
    steps = []
    for weight, width in zip(weights, widths, strict=True):
        digit = ((whole >> (abs(weight).bit_length() - 1)) & ((1 << width) - 1)).to(codes.dtype)
        if codes.requires_grad:
            digit = digit + (codes - codes.detach()) * (weight / norm)
        steps.append((weight, digit))
    return steps
