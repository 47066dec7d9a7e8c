"""Activation functions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pinat_compile.graph.ops import activation as ops
from pinat_compile.graph.ops.base import Op
from pinat_compile.simulator.operators.base import Executor, Operands, Outputs, binary, operand, unary


def _leaky_relu(op: ops.LeakyRelu, operands: Operands) -> Outputs:
    return (F.leaky_relu(operand(operands, 0), op.alpha),)


def _prelu(x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x >= 0, x, slope * x)


def _thresholded_relu(op: ops.ThresholdedRelu, operands: Operands) -> Outputs:
    x = operand(operands, 0)
    return (torch.where(x > op.alpha, x, torch.zeros_like(x)),)


def _elu(op: ops.Elu, operands: Operands) -> Outputs:
    return (F.elu(operand(operands, 0), op.alpha),)


def _celu(op: ops.Celu, operands: Operands) -> Outputs:
    return (F.celu(operand(operands, 0), op.alpha),)


def _selu(op: ops.Selu, operands: Operands) -> Outputs:
    return (F.elu(operand(operands, 0), op.alpha) * op.gamma,)


def _gelu(op: ops.Gelu, operands: Operands) -> Outputs:
    return (F.gelu(operand(operands, 0), approximate=op.approximate),)


def _hard_sigmoid(op: ops.HardSigmoid, operands: Operands) -> Outputs:
    return ((operand(operands, 0) * op.alpha + op.beta).clamp(0, 1),)


def _shrink(op: ops.Shrink, operands: Operands) -> Outputs:
    x = operand(operands, 0)
    above, below = (x - op.bias).to(x.dtype), (x + op.bias).to(x.dtype)
    return (torch.where(x > op.lambd, above, torch.where(x < -op.lambd, below, torch.zeros_like(x))),)


def _softmax(op: ops.Softmax, operands: Operands) -> Outputs:
    return (torch.softmax(operand(operands, 0), op.axis),)


def _log_softmax(op: ops.LogSoftmax, operands: Operands) -> Outputs:
    return (torch.log_softmax(operand(operands, 0), op.axis),)


def _hardmax(op: ops.Hardmax, operands: Operands) -> Outputs:
    x = operand(operands, 0)
    return (torch.zeros_like(x).scatter(op.axis, x.argmax(op.axis, keepdim=True), 1),)


EXECUTORS: dict[type[Op], Executor] = {
    ops.Relu: unary(torch.relu),
    ops.LeakyRelu: _leaky_relu,
    ops.PRelu: binary(_prelu),
    ops.ThresholdedRelu: _thresholded_relu,
    ops.Elu: _elu,
    ops.Celu: _celu,
    ops.Selu: _selu,
    ops.Gelu: _gelu,
    ops.Sigmoid: unary(torch.sigmoid),
    ops.Tanh: unary(torch.tanh),
    ops.HardSigmoid: _hard_sigmoid,
    ops.HardSwish: unary(F.hardswish),
    ops.Mish: unary(F.mish),
    ops.Softplus: unary(F.softplus),
    ops.Softsign: unary(F.softsign),
    ops.Shrink: _shrink,
    ops.Softmax: _softmax,
    ops.LogSoftmax: _log_softmax,
    ops.Hardmax: _hardmax,
}
