"""Operators that make a tensor from a size."""

from __future__ import annotations

import math

import torch

from pinat_compile.graph.ops import creation as ops
from pinat_compile.graph.ops.base import Op
from pinat_compile.simulator.operators.base import Executor, Operands, Outputs, integers, operand
from pinat_compile.simulator.operators.conversion import dtype_of


def _constant_of_shape(op: ops.ConstantOfShape, operands: Operands) -> Outputs:
    shape = operand(operands, 0)
    return (torch.full(integers(shape), op.value, dtype=dtype_of(op.dtype), device=shape.device),)


def _range(op: ops.Range, operands: Operands) -> Outputs:
    start, limit, step = (operand(operands, i) for i in range(3))
    first, delta = start.item(), step.item()
    count = max(math.ceil((limit.item() - first) / delta), 0)
    return ((first + torch.arange(count, device=start.device) * delta).to(start.dtype),)


def _eye_like(op: ops.EyeLike, operands: Operands) -> Outputs:
    x = operand(operands, 0)
    rows = torch.arange(x.shape[0], device=x.device).unsqueeze(1)
    columns = torch.arange(x.shape[1], device=x.device)
    return ((columns == rows + op.k).to(x.dtype if op.dtype is None else dtype_of(op.dtype)),)


EXECUTORS: dict[type[Op], Executor] = {
    ops.ConstantOfShape: _constant_of_shape,
    ops.Range: _range,
    ops.EyeLike: _eye_like,
}
