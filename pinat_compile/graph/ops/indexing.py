"""Operators that read or write at indices."""

from __future__ import annotations

from dataclasses import dataclass

from pinat_compile.graph.ops.base import Op


@dataclass(frozen=True, slots=True)
class Slice(Op):
    """A part of ``x``; operands ``(x, starts, ends, axes?, steps?)``."""


@dataclass(frozen=True, slots=True)
class Gather(Op):
    """Slices of ``x`` along ``axis``; operands ``(x, indices)``."""

    axis: int = 0


@dataclass(frozen=True, slots=True)
class GatherElements(Op):
    """Elements of ``x``, one per index, along ``axis``; operands ``(x, indices)``."""

    axis: int = 0


@dataclass(frozen=True, slots=True)
class GatherND(Op):
    """Slices of ``x`` at index tuples; operands ``(x, indices)``."""

    batch_dims: int = 0


@dataclass(frozen=True, slots=True)
class ScatterElements(Op):
    """``x`` with elements written along ``axis``; operands ``(x, indices, updates)``; reduction: none, add, mul, …"""

    axis: int = 0
    reduction: str = "none"


@dataclass(frozen=True, slots=True)
class ScatterND(Op):
    """``x`` with slices written at index tuples; operands ``(x, indices, updates)``; reduction: none, add, mul, …"""

    reduction: str = "none"


@dataclass(frozen=True, slots=True)
class OneHot(Op):
    """A new axis, ``values[1]`` at the index and ``values[0]`` elsewhere; operands ``(indices, depth, values)``."""

    axis: int = -1


@dataclass(frozen=True, slots=True)
class NonZero(Op):
    """The indices of the elements of ``x`` that are not zero, [rank, count], int64."""


@dataclass(frozen=True, slots=True)
class Compress(Op):
    """Slices of ``x``, or elements without ``axis``, where the condition holds; operands ``(x, condition)``."""

    axis: int | None = None


@dataclass(frozen=True, slots=True)
class TopK(Op):
    """The ``k`` largest or smallest along ``axis``, and their indices; operands ``(x, k)``."""

    axis: int = -1
    largest: int = 1
    sorted: int = 1


@dataclass(frozen=True, slots=True)
class ArgMax(Op):
    """Index of the largest element along ``axis``."""

    axis: int = 0
    keepdims: int = 1
    select_last_index: int = 0


@dataclass(frozen=True, slots=True)
class ArgMin(Op):
    """Index of the smallest element along ``axis``."""

    axis: int = 0
    keepdims: int = 1
    select_last_index: int = 0


@dataclass(frozen=True, slots=True)
class Trilu(Op):
    """The upper or lower triangle of the last two axes; operands ``(x, k?)``, ``k`` the diagonal."""

    upper: int = 1
