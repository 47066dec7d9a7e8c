"""Operators that change the element type, or quantise."""

from __future__ import annotations

from dataclasses import dataclass

from pinat_compile.graph.ops.base import Op


@dataclass(frozen=True, slots=True)
class Cast(Op):
    """``x`` in the element type ``to`` (a NumPy name)."""

    to: str
    saturate: int = 1
    round_mode: str = "up"


@dataclass(frozen=True, slots=True)
class CastLike(Op):
    """The first operand in the element type of the second."""

    saturate: int = 1
    round_mode: str = "up"


@dataclass(frozen=True, slots=True)
class QuantizeLinear(Op):
    """``saturate(round(x / scale) + zero)`` of ``(x, scale, zero?)``, along ``axis`` where ``scale`` is a vector.

    With ``block_size`` every so many elements along ``axis`` share a scale.
    """

    axis: int = 1
    saturate: int = 1
    block_size: int = 0
    output_dtype: str | None = None


@dataclass(frozen=True, slots=True)
class DequantizeLinear(Op):
    """``(x - zero) * scale`` of ``(x, scale, zero?)``; axis and blocks as in QuantizeLinear."""

    axis: int = 1
    block_size: int = 0


@dataclass(frozen=True, slots=True)
class DynamicQuantizeLinear(Op):
    """``x`` as uint8 over its own range; results ``(y, scale, zero)``."""
