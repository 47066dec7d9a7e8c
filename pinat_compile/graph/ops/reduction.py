"""Reductions over axes; operands ``(x, axes?)``, all axes where none are given."""

from __future__ import annotations

from dataclasses import dataclass

from pinat_compile.graph.ops.base import Op


@dataclass(frozen=True, slots=True)
class ReduceSum(Op):
    """Sum over the axes."""

    keepdims: int = 1
    noop_with_empty_axes: int = 0


@dataclass(frozen=True, slots=True)
class ReduceMean(Op):
    """Mean over the axes."""

    keepdims: int = 1
    noop_with_empty_axes: int = 0


@dataclass(frozen=True, slots=True)
class ReduceMax(Op):
    """Maximum over the axes."""

    keepdims: int = 1
    noop_with_empty_axes: int = 0


@dataclass(frozen=True, slots=True)
class ReduceMin(Op):
    """Minimum over the axes."""

    keepdims: int = 1
    noop_with_empty_axes: int = 0


@dataclass(frozen=True, slots=True)
class ReduceProd(Op):
    """Product over the axes."""

    keepdims: int = 1
    noop_with_empty_axes: int = 0


@dataclass(frozen=True, slots=True)
class ReduceL1(Op):
    """Sum of absolute values over the axes."""

    keepdims: int = 1
    noop_with_empty_axes: int = 0


@dataclass(frozen=True, slots=True)
class ReduceL2(Op):
    """Square root of the sum of squares over the axes."""

    keepdims: int = 1
    noop_with_empty_axes: int = 0


@dataclass(frozen=True, slots=True)
class ReduceSumSquare(Op):
    """Sum of squares over the axes."""

    keepdims: int = 1
    noop_with_empty_axes: int = 0


@dataclass(frozen=True, slots=True)
class ReduceLogSum(Op):
    """Logarithm of the sum over the axes."""

    keepdims: int = 1
    noop_with_empty_axes: int = 0


@dataclass(frozen=True, slots=True)
class ReduceLogSumExp(Op):
    """Logarithm of the sum of ``exp(x)`` over the axes."""

    keepdims: int = 1
    noop_with_empty_axes: int = 0


@dataclass(frozen=True, slots=True)
class CumSum(Op):
    """Running sum along an axis; operands ``(x, axis)``."""

    exclusive: int = 0
    reverse: int = 0
