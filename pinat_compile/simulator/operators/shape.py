"""Operators that rearrange, join, cut or repeat, and those that read a shape."""

from __future__ import annotations

import math
from itertools import pairwise, product

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pinat_compile.errors import GraphError
from pinat_compile.graph.ops import shape as ops
from pinat_compile.graph.ops.base import Op
from pinat_compile.graph.window import positions
from pinat_compile.simulator.operators.base import (
    Executor,
    Operands,
    Outputs,
    integers,
    operand,
    optional,
    present,
    unary,
)


def _dropout(op: ops.Dropout, operands: Operands) -> Outputs:
    ratio, training = optional(operands, 1), optional(operands, 2)
    if training is not None and bool(training) and (ratio is None or float(ratio) > 0):
        raise GraphError("Dropout in training mode cannot run; export the network in evaluation mode")
    return (operand(operands, 0),)


def _dropout_mask(op: ops.Dropout, operands: Operands) -> Outputs:
    (x,) = _dropout(op, operands)
    return x, torch.ones_like(x, dtype=torch.bool)


def _reshape(op: ops.Reshape, operands: Operands) -> Outputs:
    x, sizes = operand(operands, 0), integers(operand(operands, 1))
    if not op.allowzero:
        sizes = [x.shape[axis] if size == 0 else size for axis, size in enumerate(sizes)]
    return (x.reshape(sizes),)


def _flatten(op: ops.Flatten, operands: Operands) -> Outputs:
    x = operand(operands, 0)
    axis = op.axis + x.ndim if op.axis < 0 else op.axis
    return (x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:])),)


def _transpose(op: ops.Transpose, operands: Operands) -> Outputs:
    x = operand(operands, 0)
    return (x.permute(op.perm or tuple(reversed(range(x.ndim)))),)


def _squeeze(op: ops.Squeeze, operands: Operands) -> Outputs:
    x, axes = operand(operands, 0), optional(operands, 1)
    return (x.squeeze() if axes is None else x.squeeze(tuple(integers(axes))),)


def _unsqueeze(op: ops.Unsqueeze, operands: Operands) -> Outputs:
    x, axes = operand(operands, 0), integers(operand(operands, 1))
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return (x,)


def _concat(op: ops.Concat, operands: Operands) -> Outputs:
    return (torch.cat(present(operands), op.axis),)


def _split(op: ops.Split, operands: Operands) -> Outputs:
    x, sizes = operand(operands, 0), optional(operands, 1)
    if sizes is not None:
        return torch.split(x, integers(sizes), op.axis)
    if op.num_outputs is None:
        raise GraphError("Split has neither sizes nor num_outputs")
    length = x.shape[op.axis]
    each = -(-length // op.num_outputs)
    starts = [min(i * each, length) for i in range(op.num_outputs + 1)]
    return torch.split(x, [b - a for a, b in pairwise(starts)], op.axis)


def _shape(op: ops.Shape, operands: Operands) -> Outputs:
    return (torch.tensor(operand(operands, 0).shape[op.start : op.end], dtype=torch.int64),)


def _size(x: Tensor) -> Tensor:
    return torch.tensor(x.numel(), dtype=torch.int64)


def _expand(op: ops.Expand, operands: Operands) -> Outputs:
    x, sizes = operand(operands, 0), integers(operand(operands, 1))
    return (x.expand(np.broadcast_shapes(tuple(x.shape), tuple(sizes))),)


def _tile(op: ops.Tile, operands: Operands) -> Outputs:
    return (operand(operands, 0).repeat(integers(operand(operands, 1))),)


def _pad(op: ops.Pad, operands: Operands) -> Outputs:
    x, pads, value, chosen = operand(operands, 0), *(optional(operands, i) for i in (1, 2, 3))
    if pads is None:
        raise GraphError("Pad has no pads")
    axes = list(range(x.ndim)) if chosen is None else [axis % x.ndim for axis in integers(chosen)]
    amounts = integers(pads)
    around = {axis: (amounts[i], amounts[i + len(axes)]) for i, axis in enumerate(axes)}
    if op.mode == "constant":
        flat = [amount for axis in reversed(range(x.ndim)) for amount in around.get(axis, (0, 0))]
        return (F.pad(x, flat, value=0 if value is None else value.item()),)
    for axis, (begin, end) in around.items():
        if begin or end:
            x = x.index_select(axis, _padded_index(x.shape[axis], begin, end, op.mode).to(x.device))
    return (x,)


def _padded_index(size: int, begin: int, end: int, mode: str) -> Tensor:
    """For every position of a padded axis, the position that it copies."""
    index = torch.arange(-begin, size + end)
    if mode == "edge":
        return index.clamp(0, size - 1)
    if mode == "wrap":
        return index % size
    period = max(2 * (size - 1), 1)
    index = index.abs() % period
    return torch.where(index < size, index, period - index)


def _depth_to_space(op: ops.DepthToSpace, operands: Operands) -> Outputs:
    x, n = operand(operands, 0), op.blocksize
    if op.mode == "CRD":
        return (F.pixel_shuffle(x, n),)
    batch, channels, height, width = x.shape
    blocks = x.reshape(batch, n, n, channels // (n * n), height, width)
    return (blocks.permute(0, 3, 4, 1, 5, 2).reshape(batch, channels // (n * n), height * n, width * n),)


def _space_to_depth(op: ops.SpaceToDepth, operands: Operands) -> Outputs:
    x, n = operand(operands, 0), op.blocksize
    batch, channels, height, width = x.shape
    blocks = x.reshape(batch, channels, height // n, n, width // n, n)
    order = (0, 3, 5, 1, 2, 4) if op.mode == "DCR" else (0, 1, 3, 5, 2, 4)
    return (blocks.permute(order).reshape(batch, channels * n * n, height // n, width // n),)


def _col2im(op: ops.Col2Im, operands: Operands) -> Outputs:
    """Tap by tap: what every block has there is added to the padded image at once."""
    x, image, block = operand(operands, 0), integers(operand(operands, 1)), integers(operand(operands, 2))
    axes = len(image)
    pads, strides, dilations = op.pads or (0,) * (2 * axes), op.strides or (1,) * axes, op.dilations or (1,) * axes
    sizes = [size + pads[i] + pads[i + axes] for i, size in enumerate(image)]
    counts = positions(image, block, strides, dilations, pads)
    columns = x.reshape(x.shape[0], -1, *block, *counts)
    y = x.new_zeros(*columns.shape[:2], *sizes)
    for tap in product(*map(range, block)):
        starts = [t * dilation for t, dilation in zip(tap, dilations, strict=True)]
        ends = [a + (n - 1) * s + 1 for a, n, s in zip(starts, counts, strides, strict=True)]
        places = [slice(a, b, s) for a, b, s in zip(starts, ends, strides, strict=True)]
        taken: list[int | slice] = [slice(None), slice(None), *tap]
        y[(slice(None), slice(None), *places)] += columns[tuple(taken)]
    inside = [slice(pads[i], pads[i] + size) for i, size in enumerate(image)]
    return (y[(slice(None), slice(None), *inside)],)


EXECUTORS: dict[type[Op], Executor] = {
    ops.Identity: unary(lambda x: x),
    ops.Dropout: _dropout,
    ops.Reshape: _reshape,
    ops.Flatten: _flatten,
    ops.Transpose: _transpose,
    ops.Squeeze: _squeeze,
    ops.Unsqueeze: _unsqueeze,
    ops.Concat: _concat,
    ops.Split: _split,
    ops.Shape: _shape,
    ops.Size: unary(_size),
    ops.Expand: _expand,
    ops.Tile: _tile,
    ops.Pad: _pad,
    ops.Col2Im: _col2im,
    ops.DepthToSpace: _depth_to_space,
    ops.SpaceToDepth: _space_to_depth,
}

ALL_OUTPUTS: dict[type[Op], Executor] = {ops.Dropout: _dropout_mask}
