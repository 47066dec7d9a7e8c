"""Operators that change the element type, or quantise."""

from __future__ import annotations

import torch
from torch import Tensor

from pinat_compile.errors import GraphError
from pinat_compile.graph.ops import conversion as ops
from pinat_compile.graph.ops.base import Op
from pinat_compile.simulator.operators.base import DTYPES, Executor, Operands, Outputs, operand, optional


def dtype_of(name: str) -> torch.dtype:
    """torch's element type for a NumPy name."""
    if name not in DTYPES:
        raise GraphError(f"element type {name} cannot run")
    return DTYPES[name]


def _cast(op: ops.Cast, operands: Operands) -> Outputs:
    return (operand(operands, 0).to(dtype_of(op.to)),)


def _cast_like(op: ops.CastLike, operands: Operands) -> Outputs:
    return (operand(operands, 0).to(operand(operands, 1).dtype),)


def _along(values: Tensor, x: Tensor, axis: int) -> Tensor:
    """A scalar, or a vector along ``axis`` of ``x``."""
    if values.numel() == 1:
        return values.reshape(())
    return values.reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])


def _quantize(op: ops.QuantizeLinear, operands: Operands) -> Outputs:
    x, scale, zero = operand(operands, 0), operand(operands, 1), optional(operands, 2)
    dtype = torch.uint8 if zero is None else zero.dtype
    limits = torch.iinfo(dtype)
    steps = (x / _along(scale, x, op.axis)).round()
    if zero is not None:
        steps = steps + _along(zero, x, op.axis).to(steps.dtype)
    return (steps.clamp(limits.min, limits.max).to(dtype),)


def _dequantize(op: ops.DequantizeLinear, operands: Operands) -> Outputs:
    x, scale, zero = operand(operands, 0), operand(operands, 1), optional(operands, 2)
    wide = x.to(torch.int32)
    if zero is not None:
        wide = wide - _along(zero, x, op.axis).to(torch.int32)
    return (wide.to(scale.dtype) * _along(scale, x, op.axis),)


def _quantize_dynamic(op: ops.DynamicQuantizeLinear, operands: Operands) -> Outputs:
    x = operand(operands, 0)
    low, high = x.amin().clamp(max=0), x.amax().clamp(min=0)
    scale = (high - low) / 255
    zero = (-low / scale).round().clamp(0, 255)
    steps = ((x / scale).round() + zero).clamp(0, 255)
    return steps.to(torch.uint8), scale, zero.to(torch.uint8)


EXECUTORS: dict[type[Op], Executor] = {
    ops.Cast: _cast,
    ops.CastLike: _cast_like,
    ops.QuantizeLinear: _quantize,
    ops.DequantizeLinear: _dequantize,
    ops.DynamicQuantizeLinear: _quantize_dynamic,
}
