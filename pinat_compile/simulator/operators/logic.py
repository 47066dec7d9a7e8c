"""Element-wise comparisons, logic and bits."""

from __future__ import annotations

import torch
from torch import Tensor

from pinat_compile.graph.ops import logic as ops
from pinat_compile.graph.ops.base import Op
from pinat_compile.simulator.operators.base import Executor, Operands, Outputs, binary, in_int64, operand, unary


def _is_inf(op: ops.IsInf, operands: Operands) -> Outputs:
    x = operand(operands, 0)
    found = torch.zeros_like(x, dtype=torch.bool)
    if op.detect_negative:
        found = found | torch.isneginf(x)
    if op.detect_positive:
        found = found | torch.isposinf(x)
    return (found,)


def _bit_shift(op: ops.BitShift, operands: Operands) -> Outputs:
    a, b = operand(operands, 0), operand(operands, 1)
    if op.direction == "LEFT":
        return (in_int64(torch.bitwise_left_shift)(a, b),)
    if a.dtype == torch.uint64:
        return (_shift_right_64(a, b),)
    return (in_int64(torch.bitwise_right_shift)(a, b),)


def _shift_right_64(a: Tensor, b: Tensor) -> Tensor:
    """A logical shift; int64's would bring in copies of the top bit."""
    wide, places = a.to(torch.int64), b.to(torch.int64)
    mask = torch.where(places > 0, (torch.ones_like(wide) << (64 - places).clamp(0, 63)) - 1, -torch.ones_like(wide))
    return ((wide >> places) & mask).to(a.dtype)


EXECUTORS: dict[type[Op], Executor] = {
    ops.Equal: binary(in_int64(torch.eq)),
    ops.Greater: binary(in_int64(torch.gt)),
    ops.GreaterOrEqual: binary(in_int64(torch.ge)),
    ops.Less: binary(in_int64(torch.lt)),
    ops.LessOrEqual: binary(in_int64(torch.le)),
    ops.And: binary(torch.logical_and),
    ops.Or: binary(torch.logical_or),
    ops.Xor: binary(torch.logical_xor),
    ops.Not: unary(torch.logical_not),
    ops.IsNaN: unary(torch.isnan),
    ops.IsInf: _is_inf,
    ops.BitShift: _bit_shift,
    ops.BitwiseAnd: binary(in_int64(torch.bitwise_and)),
    ops.BitwiseOr: binary(in_int64(torch.bitwise_or)),
    ops.BitwiseXor: binary(in_int64(torch.bitwise_xor)),
    ops.BitwiseNot: unary(lambda x: in_int64(lambda a, _: torch.bitwise_not(a))(x, x)),
}
