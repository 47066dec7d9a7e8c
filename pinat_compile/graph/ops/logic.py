"""Element-wise comparisons, logic and bits."""

from __future__ import annotations

from dataclasses import dataclass

from pinat_compile.graph.ops.base import Op


@dataclass(frozen=True, slots=True)
class Equal(Op):
    """``a == b``."""


@dataclass(frozen=True, slots=True)
class Greater(Op):
    """``a > b``."""


@dataclass(frozen=True, slots=True)
class GreaterOrEqual(Op):
    """``a >= b``."""


@dataclass(frozen=True, slots=True)
class Less(Op):
    """``a < b``."""


@dataclass(frozen=True, slots=True)
class LessOrEqual(Op):
    """``a <= b``."""


@dataclass(frozen=True, slots=True)
class And(Op):
    """``a and b`` of booleans."""


@dataclass(frozen=True, slots=True)
class Or(Op):
    """``a or b`` of booleans."""


@dataclass(frozen=True, slots=True)
class Xor(Op):
    """Exclusive or of booleans ``a``, ``b``."""


@dataclass(frozen=True, slots=True)
class Not(Op):
    """The opposite of the boolean ``x``."""


@dataclass(frozen=True, slots=True)
class IsNaN(Op):
    """Whether ``x`` is not a number."""


@dataclass(frozen=True, slots=True)
class IsInf(Op):
    """Whether ``x`` is infinite, of the signs that the attributes ask for."""

    detect_negative: int = 1
    detect_positive: int = 1


@dataclass(frozen=True, slots=True)
class BitShift(Op):
    """``a`` shifted by ``b`` bits, ``direction`` is LEFT or RIGHT."""

    direction: str


@dataclass(frozen=True, slots=True)
class BitwiseAnd(Op):
    """Bit-wise and of integers ``a``, ``b``."""


@dataclass(frozen=True, slots=True)
class BitwiseOr(Op):
    """Bit-wise or of integers ``a``, ``b``."""


@dataclass(frozen=True, slots=True)
class BitwiseXor(Op):
    """Bit-wise exclusive or of integers ``a``, ``b``."""


@dataclass(frozen=True, slots=True)
class BitwiseNot(Op):
    """All bits of the integer ``x`` turned over."""
