"""Activation functions."""

from __future__ import annotations

from dataclasses import dataclass

from pinat_compile.graph.ops.base import Op


@dataclass(frozen=True, slots=True)
class Relu(Op):
    """``max(x, 0)``."""


@dataclass(frozen=True, slots=True)
class LeakyRelu(Op):
    """``x`` where positive, else ``alpha * x``."""

    alpha: float = 0.01


@dataclass(frozen=True, slots=True)
class PRelu(Op):
    """``x`` where positive, else ``slope * x``; operands ``(x, slope)``."""


@dataclass(frozen=True, slots=True)
class ThresholdedRelu(Op):
    """``x`` where above ``alpha``, else 0."""

    alpha: float = 1.0


@dataclass(frozen=True, slots=True)
class Elu(Op):
    """``x`` where positive, else ``alpha * (exp(x) - 1)``."""

    alpha: float = 1.0


@dataclass(frozen=True, slots=True)
class Celu(Op):
    """``max(x, 0) + min(0, alpha * (exp(x / alpha) - 1))``."""

    alpha: float = 1.0


@dataclass(frozen=True, slots=True)
class Selu(Op):
    """``gamma * x`` where positive, else ``gamma * alpha * (exp(x) - 1)``."""

    alpha: float = 1.6732631921768188
    gamma: float = 1.0507010221481323


@dataclass(frozen=True, slots=True)
class Gelu(Op):
    """``x`` times the normal distribution function of ``x``; ``approximate`` is none or tanh."""

    approximate: str = "none"


@dataclass(frozen=True, slots=True)
class Sigmoid(Op):
    """``1 / (1 + exp(-x))``."""


@dataclass(frozen=True, slots=True)
class Tanh(Op):
    """Hyperbolic tangent of ``x``."""


@dataclass(frozen=True, slots=True)
class HardSigmoid(Op):
    """``alpha * x + beta`` limited to [0, 1]."""

    alpha: float = 0.2
    beta: float = 0.5


@dataclass(frozen=True, slots=True)
class HardSwish(Op):
    """``x`` times ``x / 6 + 1 / 2`` limited to [0, 1]."""


@dataclass(frozen=True, slots=True)
class Mish(Op):
    """``x * tanh(softplus(x))``."""


@dataclass(frozen=True, slots=True)
class Softplus(Op):
    """``log(1 + exp(x))``."""


@dataclass(frozen=True, slots=True)
class Softsign(Op):
    """``x / (1 + |x|)``."""


@dataclass(frozen=True, slots=True)
class Shrink(Op):
    """``x + bias`` below ``-lambd``, ``x - bias`` above ``lambd``, else 0."""

    bias: float = 0.0
    lambd: float = 0.5


@dataclass(frozen=True, slots=True)
class Softmax(Op):
    """``exp(x)`` divided by its sum along ``axis``."""

    axis: int = -1


@dataclass(frozen=True, slots=True)
class LogSoftmax(Op):
    """Logarithm of the softmax along ``axis``."""

    axis: int = -1


@dataclass(frozen=True, slots=True)
class Hardmax(Op):
    """1 at the first largest element along ``axis``, else 0."""

    axis: int = -1
