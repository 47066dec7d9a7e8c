"""Products that are not Conv, Gemm or MatMul: Einstein sums and integer products."""

from __future__ import annotations

from dataclasses import dataclass

from pinat_compile.graph.ops.base import Ints, Op


@dataclass(frozen=True, slots=True)
class Einsum(Op):
    """Einstein sum of all operands by ``equation``."""

    equation: str


@dataclass(frozen=True, slots=True)
class MatMulInteger(Op):
    """``(a - a_zero) @ (b - b_zero)`` in int32; operands ``(a, b, a_zero?, b_zero?)``."""


@dataclass(frozen=True, slots=True)
class ConvInteger(Op):
    """Convolution of ``x - x_zero`` with ``w - w_zero`` in int32; operands ``(x, w, x_zero?, w_zero?)``."""

    auto_pad: str = "NOTSET"
    dilations: Ints = ()
    group: int = 1
    kernel_shape: Ints = ()
    pads: Ints = ()
    strides: Ints = ()
