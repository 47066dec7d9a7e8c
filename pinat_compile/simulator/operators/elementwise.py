"""Element-wise arithmetic of two or more operands."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor

from pinat_compile.graph.ops import elementwise as ops
from pinat_compile.graph.ops.base import Op
from pinat_compile.simulator.operators.base import (
    Executor,
    Operands,
    Outputs,
    binary,
    in_int64,
    operand,
    optional,
    present,
)


def _div(a: Tensor, b: Tensor) -> Tensor:
    return torch.div(a, b) if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def _pow(a: Tensor, b: Tensor) -> Tensor:
    return torch.pow(a, b).to(a.dtype)


def _mod(op: ops.Mod, operands: Operands) -> Outputs:
    remainder = torch.fmod if op.fmod else torch.remainder
    return (in_int64(remainder)(operand(operands, 0), operand(operands, 1)),)


def _max(op: ops.Max, operands: Operands) -> Outputs:
    return (reduce(in_int64(torch.maximum), present(operands)),)


def _min(op: ops.Min, operands: Operands) -> Outputs:
    return (reduce(in_int64(torch.minimum), present(operands)),)


def _sum(op: ops.Sum, operands: Operands) -> Outputs:
    return (reduce(torch.add, present(operands)),)


def _mean(op: ops.Mean, operands: Operands) -> Outputs:
    return (reduce(torch.add, present(operands)) / len(operands),)


def _clip(op: ops.Clip, operands: Operands) -> Outputs:
    x, low, high = operand(operands, 0), optional(operands, 1), optional(operands, 2)
    return (clip(x, low, high),)


def clip(x: Tensor, low: Tensor | None, high: Tensor | None) -> Tensor:
    """``x`` between two scalars, either of which may be absent; where ``low > high`` the result is ``high``."""
    if any(bound is not None and bound.requires_grad for bound in (low, high)):
        x = x if low is None else torch.maximum(x, low.to(x.device))
        return x if high is None else torch.minimum(x, high.to(x.device))
    if low is None and high is None:
        return x
    return x.clamp(None if low is None else low.item(), None if high is None else high.item())


def _where(op: ops.Where, operands: Operands) -> Outputs:
    return (torch.where(operand(operands, 0), operand(operands, 1), operand(operands, 2)),)


EXECUTORS: dict[type[Op], Executor] = {
    ops.Add: binary(in_int64(torch.add)),
    ops.Sub: binary(in_int64(torch.sub)),
    ops.Mul: binary(in_int64(torch.mul)),
    ops.Div: binary(in_int64(_div)),
    ops.Pow: binary(_pow),
    ops.Mod: _mod,
    ops.Max: _max,
    ops.Min: _min,
    ops.Sum: _sum,
    ops.Mean: _mean,
    ops.Clip: _clip,
    ops.Where: _where,
}
