"""Reductions over axes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pinat_compile.graph.ops import reduction as ops
from pinat_compile.graph.ops.base import Op
from pinat_compile.simulator.operators.base import Executor, Operands, Outputs, integers, operand, optional

Reduce = Callable[[Tensor, list[int], bool], Tensor]
"""``(x, axes, keepdim)``; ``axes`` are not negative and not empty unless ``x`` has none."""


def _reduction(function: Reduce) -> Executor:
    def run(op: ops.ReduceSum, operands: Operands) -> Outputs:
        x, axes = operand(operands, 0), optional(operands, 1)
        chosen = [] if axes is None else [axis % x.ndim for axis in integers(axes)]
        if not chosen and op.noop_with_empty_axes:
            return (x,)
        return (function(x, sorted(chosen) or list(range(x.ndim)), bool(op.keepdims)),)

    return run


def _sum(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.sum(axes, keepdim=keep, dtype=x.dtype)


def _mean(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    if x.is_floating_point():
        return x.mean(axes, keepdim=keep)
    count = x.numel() // max(_sum(x, axes, keep).numel(), 1)
    return torch.div(_sum(x, axes, keep), count, rounding_mode="trunc")


def _prod(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in reversed(axes):
        x = x.prod(axis, keepdim=keep, dtype=x.dtype)
    return x


def _extreme(function: Callable[[Tensor, list[int], bool], Tensor], *, largest: bool) -> Reduce:
    def run(x: Tensor, axes: list[int], keep: bool) -> Tensor:
        if x.numel() == 0:  # an empty set: the smallest (or largest) number that there is
            return torch.full_like(_sum(x, axes, keep), _bound(x.dtype, lowest=largest))
        return function(x, axes, keep)

    return run


def _bound(dtype: torch.dtype, *, lowest: bool) -> float | int | bool:
    if dtype == torch.bool:
        return not lowest
    if dtype.is_floating_point:
        return float("-inf") if lowest else float("inf")
    return torch.iinfo(dtype).min if lowest else torch.iinfo(dtype).max


def _l1(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return _sum(x.abs(), axes, keep)


def _sum_square(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return _sum(x * x, axes, keep)


def _l2(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    total = _sum_square(x, axes, keep)
    return total.sqrt() if x.is_floating_point() else total.to(torch.float64).sqrt().to(x.dtype)


def _log_sum(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return _sum(x, axes, keep).log()


def _log_sum_exp(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return torch.logsumexp(x, axes, keepdim=keep)


def _cum_sum(op: ops.CumSum, operands: Operands) -> Outputs:
    x, axis = operand(operands, 0), integers(operand(operands, 1))[0]
    x = x.flip(axis) if op.reverse else x
    total = x.cumsum(axis, dtype=x.dtype)
    total = total - x if op.exclusive else total
    return (total.flip(axis) if op.reverse else total,)


EXECUTORS: dict[type[Op], Executor] = {
    ops.ReduceSum: _reduction(_sum),
    ops.ReduceMean: _reduction(_mean),
    ops.ReduceMax: _reduction(_extreme(torch.amax, largest=True)),
    ops.ReduceMin: _reduction(_extreme(torch.amin, largest=False)),
    ops.ReduceProd: _reduction(_prod),
    ops.ReduceL1: _reduction(_l1),
    ops.ReduceL2: _reduction(_l2),
    ops.ReduceSumSquare: _reduction(_sum_square),
    ops.ReduceLogSum: _reduction(_log_sum),
    ops.ReduceLogSumExp: _reduction(_log_sum_exp),
    ops.CumSum: _cum_sum,
}
