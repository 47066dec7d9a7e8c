"""The functions of one variable that device models are made of, over tensors."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import torch
from torch import Tensor

from pinat_compile.hardware.device import Curve

SMALLEST_X = 1e-7
"""Below this share of g_max a logarithm is held."""


def polynomial(coefficients: Sequence[float], x: Tensor) -> Tensor:
    """c0 + c1 x + c2 x² + …"""
    total = torch.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total


def curve(shape: Curve, x: Tensor) -> Tensor:
    """A polynomial in x, or a clamped a ln x + b, or one above and the other below a certain x."""
    if shape.log is None or shape.range is None:
        return polynomial(shape.polynomial or (0.0,), x)
    low = (shape.log[0] * x.clamp(min=SMALLEST_X).log() + shape.log[1]).clamp(*shape.range)
    if shape.polynomial is None or shape.below is None:
        return low
    return torch.where(x < shape.below, low, polynomial(shape.polynomial, x))


def saturating(coefficients: Sequence[float], g: Tensor) -> Tensor:
    """A (1 - e^(-g / B)); 0 for g <= 0."""
    a, b = coefficients
    return -a * torch.expm1(-g.clamp(min=0.0) / b)


def segment(points: Sequence[float], at: float) -> tuple[int, int, float]:
    """The two neighbours of ``at`` among ascending ``points`` and the weight of the second; held outside."""
    above = bisect_right(points, at)
    if above == 0:
        return 0, 0, 0.0
    if above == len(points):
        return above - 1, above - 1, 0.0
    low, high = points[above - 1], points[above]
    return above - 1, above, (at - low) / (high - low)


def mixed(first: Sequence[float], second: Sequence[float], weight: float) -> tuple[float, ...]:
    """(1 - weight) * first + weight * second, number by number."""
    return tuple((1.0 - weight) * a + weight * b for a, b in zip(first, second, strict=True))


def interpolated(states: Sequence[float], values: Sequence[float], g: Tensor) -> Tensor:
    """``values`` at ``states``, linear between them and held outside."""
    total = torch.full_like(g, values[0])
    for (x0, x1), (y0, y1) in zip(zip(states, states[1:], strict=False), zip(values, values[1:], strict=False),
                                  strict=True):
        total = total + (y1 - y0) * ((g - x0) / (x1 - x0)).clamp(0.0, 1.0)
    return total
