"""Batch, layer, instance, group and response normalisation."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from pinat_compile.graph.ops import normalisation as ops
from pinat_compile.graph.ops.base import Op
from pinat_compile.simulator.operators.base import Executor, Operands, Outputs, operand, optional


def _batch_norm(op: ops.BatchNormalization, operands: Operands) -> Outputs:
    if op.training_mode:
        return _batch_norm_training(op, operands)[:1]
    x, scale, bias, mean, variance = (operand(operands, i) for i in range(5))
    factor = scale / torch.sqrt(variance + op.epsilon)
    shape = (-1, *[1] * (x.ndim - 2))
    return ((x * factor.reshape(shape) + (bias - mean * factor).reshape(shape)).to(x.dtype),)


def _batch_norm_training(op: ops.BatchNormalization, operands: Operands) -> Outputs:
    """Normalised by the batch's own statistics; also the running ones, updated."""
    x, scale, bias, mean, variance = (operand(operands, i) for i in range(5))
    axes = [axis for axis in range(x.ndim) if axis != 1]
    now, spread = x.mean(axes), x.var(axes, unbiased=False)
    plain = ops.BatchNormalization(op.epsilon, op.momentum)
    (y,) = _batch_norm(plain, [x, scale, bias, now, spread])
    keep, new = op.momentum, 1 - op.momentum
    return y, mean * keep + now * new, variance * keep + spread * new


def _layer_norm(op: ops.LayerNormalization, operands: Operands) -> Outputs:
    x, scale, bias = operand(operands, 0), operand(operands, 1), optional(operands, 2)
    shape = x.shape[op.axis :]
    fits = scale.shape == shape and (bias is None or bias.shape == shape)
    if fits:
        return (F.layer_norm(x, shape, scale, bias, op.epsilon),)
    y = F.layer_norm(x, shape, None, None, op.epsilon) * scale
    return (y if bias is None else y + bias,)


def _layer_norm_statistics(op: ops.LayerNormalization, operands: Operands) -> Outputs:
    """Also the mean and the reciprocal of the deviation."""
    x = operand(operands, 0)
    axes = list(range(op.axis % x.ndim, x.ndim))
    mean, variance = x.mean(axes, keepdim=True), x.var(axes, unbiased=False, keepdim=True)
    return _layer_norm(op, operands)[0], mean, torch.rsqrt(variance + op.epsilon)


def _instance_norm(op: ops.InstanceNormalization, operands: Operands) -> Outputs:
    x = operand(operands, 0)
    return (F.group_norm(x, x.shape[1], operand(operands, 1), operand(operands, 2), op.epsilon),)


def _group_norm(op: ops.GroupNormalization, operands: Operands) -> Outputs:
    x, scale, bias = (operand(operands, i) for i in range(3))
    each = x.shape[1] // op.num_groups
    scale, bias = scale.repeat_interleave(each), bias.repeat_interleave(each)
    return (F.group_norm(x, op.num_groups, scale, bias, op.epsilon),)


def _lrn(op: ops.LRN, operands: Operands) -> Outputs:
    x = operand(operands, 0)
    before, after = (op.size - 1) // 2, math.ceil((op.size - 1) / 2)
    squares = F.pad((x * x).movedim(1, -1), (before, after)).unfold(-1, op.size, 1).sum(-1).movedim(-1, 1)
    return (x / (op.bias + op.alpha / op.size * squares) ** op.beta,)


def _lp_normalization(op: ops.LpNormalization, operands: Operands) -> Outputs:
    x = operand(operands, 0)
    norm = torch.linalg.vector_norm(x, op.p, op.axis, keepdim=True)
    return (x / torch.where(norm == 0, torch.ones_like(norm), norm),)


def _mean_variance(op: ops.MeanVarianceNormalization, operands: Operands) -> Outputs:
    x = operand(operands, 0)
    deviation: Tensor = x.var(op.axes, unbiased=False, keepdim=True).sqrt()
    return ((x - x.mean(op.axes, keepdim=True)) / (deviation + 1e-9),)


EXECUTORS: dict[type[Op], Executor] = {
    ops.BatchNormalization: _batch_norm,
    ops.LayerNormalization: _layer_norm,
    ops.InstanceNormalization: _instance_norm,
    ops.GroupNormalization: _group_norm,
    ops.LRN: _lrn,
    ops.LpNormalization: _lp_normalization,
    ops.MeanVarianceNormalization: _mean_variance,
}

ALL_OUTPUTS: dict[type[Op], Executor] = {
    ops.BatchNormalization: _batch_norm_training,
    ops.LayerNormalization: _layer_norm_statistics,
}
