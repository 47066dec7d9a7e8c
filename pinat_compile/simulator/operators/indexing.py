"""Operators that read or write at indices."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pinat_compile.graph.ops import indexing as ops
from pinat_compile.graph.ops.base import Op
from pinat_compile.simulator.operators.base import Executor, Operands, Outputs, integers, operand, optional, unary

_REDUCE = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}
"""ONNX's names of reductions and torch's."""


def _slice(op: ops.Slice, operands: Operands) -> Outputs:
    x = operand(operands, 0)
    starts, ends = integers(operand(operands, 1)), integers(operand(operands, 2))
    axes, steps = optional(operands, 3), optional(operands, 4)
    chosen = range(len(starts)) if axes is None else integers(axes)
    strides = [1] * len(starts) if steps is None else integers(steps)
    for axis, start, end, step in zip(chosen, starts, ends, strides, strict=True):
        x = _slice_axis(x, axis % x.ndim, slice(start, end, step))
    return (x,)


def _slice_axis(x: Tensor, axis: int, part: slice) -> Tensor:
    size = x.shape[axis]
    steps = range(*part.indices(size))
    if part.step > 0:
        return x[(slice(None),) * axis + (slice(steps.start, steps.stop, steps.step),)]
    return x.index_select(axis, torch.tensor(steps, dtype=torch.int64, device=x.device))


def _from_start(indices: Tensor, size: int) -> Tensor:
    """Indices that count from the end, as positions from the start; int64."""
    indices = indices.to(torch.int64)
    return torch.where(indices < 0, indices + size, indices)


def _gather(op: ops.Gather, operands: Operands) -> Outputs:
    x, indices = operand(operands, 0), operand(operands, 1)
    axis = op.axis % x.ndim
    flat = _from_start(indices, x.shape[axis]).reshape(-1)
    return (x.index_select(axis, flat).reshape((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])),)


def _gather_elements(op: ops.GatherElements, operands: Operands) -> Outputs:
    x, indices = operand(operands, 0), operand(operands, 1)
    return (torch.gather(x, op.axis, _from_start(indices, x.shape[op.axis])),)


def _flat_positions(sizes: torch.Size, tuples: Tensor) -> Tensor:
    """Positions in the flattened axes ``sizes`` of index tuples [..., len(sizes)]."""
    strides = [math.prod(sizes[axis + 1 :]) for axis in range(len(sizes))]
    columns = [_from_start(tuples[..., axis], size) * strides[axis] for axis, size in enumerate(sizes)]
    return torch.stack(columns).sum(0)


def _gather_nd(op: ops.GatherND, operands: Operands) -> Outputs:
    x, tuples = operand(operands, 0), operand(operands, 1)
    batch, depth = op.batch_dims, tuples.shape[-1]
    sizes, rest = x.shape[batch : batch + depth], x.shape[batch + depth :]
    lots = math.prod(x.shape[:batch])
    positions = _flat_positions(sizes, tuples).reshape(lots, -1)  # [lots, reads]
    positions = positions + torch.arange(lots, device=x.device)[:, None] * math.prod(sizes)
    picked = x.reshape((lots * math.prod(sizes), *rest)).index_select(0, positions.reshape(-1))
    return (picked.reshape((*tuples.shape[:-1], *rest)),)


def _scatter_elements(op: ops.ScatterElements, operands: Operands) -> Outputs:
    x, indices, updates = (operand(operands, i) for i in range(3))
    indices = _from_start(indices, x.shape[op.axis])
    if op.reduction == "none":
        return (torch.scatter(x, op.axis, indices, updates),)
    return (torch.scatter_reduce(x, op.axis, indices, updates, _REDUCE[op.reduction]),)


def _scatter_nd(op: ops.ScatterND, operands: Operands) -> Outputs:
    x, tuples, updates = (operand(operands, i) for i in range(3))
    depth = tuples.shape[-1]
    sizes, rest = x.shape[:depth], math.prod(x.shape[depth:])
    positions = _flat_positions(sizes, tuples).reshape(-1, 1).expand(-1, rest)  # [writes, rest]
    flat, news = x.reshape(math.prod(sizes), rest), updates.reshape(-1, rest)
    if op.reduction == "none":
        return (torch.scatter(flat, 0, positions, news).reshape(x.shape),)
    return (torch.scatter_reduce(flat, 0, positions, news, _REDUCE[op.reduction]).reshape(x.shape),)


def _one_hot(op: ops.OneHot, operands: Operands) -> Outputs:
    indices, values = operand(operands, 0), operand(operands, 2)
    depth = integers(operand(operands, 1))[0]
    axis = op.axis + indices.ndim + 1 if op.axis < 0 else op.axis
    places = torch.arange(depth, device=indices.device).reshape(depth, *[1] * (indices.ndim - axis))
    hot = _from_start(indices, depth).unsqueeze(axis) == places
    return (torch.where(hot, values[1], values[0]),)


def _non_zero(x: Tensor) -> Tensor:
    return torch.nonzero(x).transpose(0, 1)


def _compress(op: ops.Compress, operands: Operands) -> Outputs:
    x, condition = operand(operands, 0), operand(operands, 1)
    chosen = torch.nonzero(condition).reshape(-1)
    return (x.reshape(-1)[chosen] if op.axis is None else x.index_select(op.axis, chosen),)


def _top_k(op: ops.TopK, operands: Operands) -> Outputs:
    x, count = operand(operands, 0), integers(operand(operands, 1))[0]
    values, indices = torch.sort(
        x, dim=op.axis, descending=bool(op.largest), stable=True
    )  # equal ones: lower index first
    return values.narrow(op.axis, 0, count), indices.narrow(op.axis, 0, count)


def _extreme(x: Tensor, axis: int, keepdims: int, last: int, *, largest: bool) -> Tensor:
    if last:
        index = _extreme(x.flip(axis), axis, keepdims, 0, largest=largest)
        return x.shape[axis] - 1 - index
    find = torch.argmax if largest else torch.argmin  # both give the first of equal elements
    return find(x, dim=axis, keepdim=bool(keepdims))


def _arg_max(op: ops.ArgMax, operands: Operands) -> Outputs:
    return (_extreme(operand(operands, 0), op.axis, op.keepdims, op.select_last_index, largest=True),)


def _arg_min(op: ops.ArgMin, operands: Operands) -> Outputs:
    return (_extreme(operand(operands, 0), op.axis, op.keepdims, op.select_last_index, largest=False),)


def _trilu(op: ops.Trilu, operands: Operands) -> Outputs:
    x, k = operand(operands, 0), optional(operands, 1)
    diagonal = 0 if k is None else integers(k)[0]
    return (torch.triu(x, diagonal) if op.upper else torch.tril(x, diagonal),)


EXECUTORS: dict[type[Op], Executor] = {
    ops.Slice: _slice,
    ops.Gather: _gather,
    ops.GatherElements: _gather_elements,
    ops.GatherND: _gather_nd,
    ops.ScatterElements: _scatter_elements,
    ops.ScatterND: _scatter_nd,
    ops.OneHot: _one_hot,
    ops.NonZero: unary(_non_zero),
    ops.Compress: _compress,
    ops.TopK: _top_k,
    ops.ArgMax: _arg_max,
    ops.ArgMin: _arg_min,
    ops.Trilu: _trilu,
}
