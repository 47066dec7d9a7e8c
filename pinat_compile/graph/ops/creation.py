"""Operators that make a tensor from a size."""

from __future__ import annotations

from dataclasses import dataclass

from pinat_compile.graph.ops.base import Op


@dataclass(frozen=True, slots=True)
class ConstantOfShape(Op):
    """``value``, of element type ``dtype``, in the shape that the operand gives."""

    value: float | int = 0.0
    dtype: str = "float32"


@dataclass(frozen=True, slots=True)
class Range(Op):
    """``start``, ``start + step``, … below ``limit``; operands ``(start, limit, step)``."""


@dataclass(frozen=True, slots=True)
class EyeLike(Op):
    """Ones on diagonal ``k`` of a matrix shaped like ``x``, of element type ``dtype`` or that of ``x``."""

    dtype: str | None = None
    k: int = 0
