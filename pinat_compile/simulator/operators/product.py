"""Einstein sums and integer products."""

from __future__ import annotations

import torch
from torch import Tensor

from pinat_compile.graph.ops import product as ops
from pinat_compile.graph.ops.base import Op
from pinat_compile.graph.ops.linear import Conv
from pinat_compile.simulator.operators.base import Executor, Operands, Outputs, operand, optional, present
from pinat_compile.simulator.operators.linear import convolve


def _einsum(op: ops.Einsum, operands: Operands) -> Outputs:
    return (torch.einsum(op.equation.replace(" ", ""), present(operands)),)


def _shifted(x: Tensor, zero: Tensor | None, axis: int) -> Tensor:
    """``x - zero`` as exact float64 (which torch multiplies on every device); a vector ``zero`` lies along ``axis``."""
    wide = x.to(torch.float64)
    if zero is None:
        return wide
    if zero.ndim == 1 and zero.numel() > 1:
        zero = zero.reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])
    return wide - zero.to(torch.float64)


def _mat_mul_integer(op: ops.MatMulInteger, operands: Operands) -> Outputs:
    a = _shifted(operand(operands, 0), optional(operands, 2), -2)
    b = _shifted(operand(operands, 1), optional(operands, 3), -1)
    return (torch.matmul(a, b).to(torch.int32),)


def _conv_integer(op: ops.ConvInteger, operands: Operands) -> Outputs:
    x = _shifted(operand(operands, 0), optional(operands, 2), 1)
    weight = _shifted(operand(operands, 1), optional(operands, 3), 0)
    plain = Conv(op.auto_pad, op.dilations, op.group, op.kernel_shape, op.pads, op.strides)
    return (convolve(x, weight, None, plain).round().to(torch.int32),)


EXECUTORS: dict[type[Op], Executor] = {
    ops.Einsum: _einsum,
    ops.MatMulInteger: _mat_mul_integer,
    ops.ConvInteger: _conv_integer,
}
