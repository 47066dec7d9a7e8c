"""Operators that multiply by a matrix: convolution, Gemm, MatMul. With a constant operand they can go onto arrays."""

from __future__ import annotations

from dataclasses import dataclass

from pinat_compile.graph.ops.base import Ints, Op


@dataclass(frozen=True, slots=True)
class Conv(Op):
    """Convolution of ``(x, weight, bias?)``; empty attributes mean ONNX's defaults."""

    auto_pad: str = "NOTSET"
    dilations: Ints = ()
    group: int = 1
    kernel_shape: Ints = ()
    pads: Ints = ()
    strides: Ints = ()


@dataclass(frozen=True, slots=True)
class ConvTranspose(Op):
    """Transposed convolution of ``(x, weight, bias?)``."""

    auto_pad: str = "NOTSET"
    dilations: Ints = ()
    group: int = 1
    kernel_shape: Ints = ()
    output_padding: Ints = ()
    output_shape: Ints = ()
    pads: Ints = ()
    strides: Ints = ()


@dataclass(frozen=True, slots=True)
class Gemm(Op):
    """``alpha * A' B' + beta * C`` of ``(A, B, C?)``; a prime transposes where ``trans_a`` or ``trans_b`` says so."""

    alpha: float = 1.0
    beta: float = 1.0
    trans_a: int = 0
    trans_b: int = 0


@dataclass(frozen=True, slots=True)
class MatMul(Op):
    """Matrix product of ``(A, B)`` over the last two axes, the others broadcast, as numpy.matmul."""
