"""Operators that change the element type, or quantise."""

from __future__ import annotations

import torch
from torch import Tensor

from pinat_compile.errors import GraphError
from pinat_compile.graph.ops import conversion as ops
from pinat_compile.graph.ops.base import Op
from pinat_compile.simulator.operators import narrow
from pinat_compile.simulator.operators.base import DTYPES, Executor, Operands, Outputs, operand, optional


def dtype_of(name: str) -> torch.dtype:
    """torch's element type for a NumPy name."""
    if name not in DTYPES:
        raise GraphError(f"element type {name} cannot run")
    return DTYPES[name]


def _cast(op: ops.Cast, operands: Operands) -> Outputs:
    return (convert(operand(operands, 0), op.to, saturate=bool(op.saturate), round_mode=op.round_mode),)


def _cast_like(op: ops.CastLike, operands: Operands) -> Outputs:
    dtype = operand(operands, 1).dtype
    name = str(dtype).removeprefix("torch.")
    return (convert(operand(operands, 0), name, saturate=bool(op.saturate), round_mode=op.round_mode),)


def convert(x: Tensor, name: str, *, saturate: bool = True, round_mode: str = "up") -> Tensor:
    """``x`` in the element type ``name``."""
    x = x.to(torch.float32) if x.dtype in _FLOAT8 else x
    if name in narrow.INTEGERS:
        return narrow.to_integer(x, name)
    if name == narrow.FLOAT4:
        return narrow.to_float4(x)
    if name in narrow.FLOATS:
        return narrow.to_float8(x, name, saturate=saturate, round_mode=round_mode)
    return x.to(dtype_of(name))


_FLOAT8 = {dtype for name, dtype in narrow.FLOATS.items() if name != "bfloat16"}


def _along(values: Tensor, x: Tensor, axis: int, block: int = 0) -> Tensor:
    """A scalar, a vector along ``axis`` of ``x``, or one number per ``block`` of elements along it."""
    if block:
        return values.repeat_interleave(block, dim=axis).narrow(axis, 0, x.shape[axis])
    if values.numel() == 1:
        return values.reshape(())
    return values.reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])


def _quantize(op: ops.QuantizeLinear, operands: Operands) -> Outputs:
    x, scale, zero = operand(operands, 0), operand(operands, 1), optional(operands, 2)
    dtype = torch.uint8 if zero is None else zero.dtype
    name = op.output_dtype or str(dtype).removeprefix("torch.")
    steps = x / _along(scale, x, op.axis, op.block_size)
    if name in narrow.FLOATS or name == narrow.FLOAT4:  # zero points of floats are 0
        return (convert(steps, name, saturate=bool(op.saturate)),)
    limits = torch.iinfo(dtype_of(name))
    low, high = narrow.INTEGERS.get(name, (limits.min, limits.max))
    steps = steps.round()
    if zero is not None:
        steps = steps + _along(zero, x, op.axis, op.block_size).to(steps.dtype)
    return (steps.clamp(low, high).to(dtype_of(name)),)


def _dequantize(op: ops.DequantizeLinear, operands: Operands) -> Outputs:
    x, scale, zero = operand(operands, 0), operand(operands, 1), optional(operands, 2)
    wide = x.to(torch.float32 if x.is_floating_point() else torch.int32)
    if zero is not None:
        wide = wide - _along(zero, x, op.axis, op.block_size).to(wide.dtype)
    return (wide.to(scale.dtype) * _along(scale, x, op.axis, op.block_size),)


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
