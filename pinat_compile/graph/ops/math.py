"""Element-wise functions of one operand."""

from __future__ import annotations

from dataclasses import dataclass

from pinat_compile.graph.ops.base import Op


@dataclass(frozen=True, slots=True)
class Abs(Op):
    """``|x|``."""


@dataclass(frozen=True, slots=True)
class Acos(Op):
    """Arc cosine of ``x``."""


@dataclass(frozen=True, slots=True)
class Acosh(Op):
    """Inverse hyperbolic cosine of ``x``."""


@dataclass(frozen=True, slots=True)
class Asin(Op):
    """Arc sine of ``x``."""


@dataclass(frozen=True, slots=True)
class Asinh(Op):
    """Inverse hyperbolic sine of ``x``."""


@dataclass(frozen=True, slots=True)
class Atan(Op):
    """Arc tangent of ``x``."""


@dataclass(frozen=True, slots=True)
class Atanh(Op):
    """Inverse hyperbolic tangent of ``x``."""


@dataclass(frozen=True, slots=True)
class Ceil(Op):
    """``x`` rounded up."""


@dataclass(frozen=True, slots=True)
class Cos(Op):
    """Cosine of ``x``."""


@dataclass(frozen=True, slots=True)
class Cosh(Op):
    """Hyperbolic cosine of ``x``."""


@dataclass(frozen=True, slots=True)
class Erf(Op):
    """Error function of ``x``."""


@dataclass(frozen=True, slots=True)
class Exp(Op):
    """``e ** x``."""


@dataclass(frozen=True, slots=True)
class Floor(Op):
    """``x`` rounded down."""


@dataclass(frozen=True, slots=True)
class Log(Op):
    """Natural logarithm of ``x``."""


@dataclass(frozen=True, slots=True)
class Neg(Op):
    """``-x``."""


@dataclass(frozen=True, slots=True)
class Reciprocal(Op):
    """``1 / x``."""


@dataclass(frozen=True, slots=True)
class Round(Op):
    """``x`` rounded to the nearest integer, halves to even."""


@dataclass(frozen=True, slots=True)
class Sign(Op):
    """-1, 0 or 1 by the sign of ``x``."""


@dataclass(frozen=True, slots=True)
class Sin(Op):
    """Sine of ``x``."""


@dataclass(frozen=True, slots=True)
class Sinh(Op):
    """Hyperbolic sine of ``x``."""


@dataclass(frozen=True, slots=True)
class Sqrt(Op):
    """Square root of ``x``."""


@dataclass(frozen=True, slots=True)
class Tan(Op):
    """Tangent of ``x``."""
