"""Element-wise arithmetic of two or more operands, which broadcast as in NumPy."""

from __future__ import annotations

from dataclasses import dataclass

from pinat_compile.graph.ops.base import Op


@dataclass(frozen=True, slots=True)
class Add(Op):
    """``a + b``."""


@dataclass(frozen=True, slots=True)
class Sub(Op):
    """``a - b``."""


@dataclass(frozen=True, slots=True)
class Mul(Op):
    """``a * b``."""


@dataclass(frozen=True, slots=True)
class Div(Op):
    """``a / b``; for integers rounded towards zero."""


@dataclass(frozen=True, slots=True)
class Pow(Op):
    """``a ** b`` in the type of ``a``."""


@dataclass(frozen=True, slots=True)
class Mod(Op):
    """Remainder of ``a / b``, with the sign of ``b``, or of ``a`` where ``fmod`` is 1."""

    fmod: int = 0


@dataclass(frozen=True, slots=True)
class Max(Op):
    """Largest of all operands."""


@dataclass(frozen=True, slots=True)
class Min(Op):
    """Smallest of all operands."""


@dataclass(frozen=True, slots=True)
class Sum(Op):
    """Sum of all operands."""


@dataclass(frozen=True, slots=True)
class Mean(Op):
    """Mean of all operands."""


@dataclass(frozen=True, slots=True)
class Clip(Op):
    """``x`` limited to ``[min, max]``; operands ``(x, min?, max?)``."""


@dataclass(frozen=True, slots=True)
class Where(Op):
    """``a`` where the condition holds, else ``b``; operands ``(condition, a, b)``."""
