"""Element-wise functions of one operand."""

from __future__ import annotations

import torch

from pinat_compile.graph.ops import math as ops
from pinat_compile.graph.ops.base import Op
from pinat_compile.simulator.operators.base import Executor, unary

EXECUTORS: dict[type[Op], Executor] = {
    ops.Abs: unary(torch.abs),
    ops.Acos: unary(torch.acos),
    ops.Acosh: unary(torch.acosh),
    ops.Asin: unary(torch.asin),
    ops.Asinh: unary(torch.asinh),
    ops.Atan: unary(torch.atan),
    ops.Atanh: unary(torch.atanh),
    ops.Ceil: unary(torch.ceil),
    ops.Cos: unary(torch.cos),
    ops.Cosh: unary(torch.cosh),
    ops.Erf: unary(torch.erf),
    ops.Exp: unary(torch.exp),
    ops.Floor: unary(torch.floor),
    ops.Log: unary(torch.log),
    ops.Neg: unary(torch.neg),
    ops.Reciprocal: unary(torch.reciprocal),
    ops.Round: unary(torch.round),
    ops.Sign: unary(torch.sign),
    ops.Sin: unary(torch.sin),
    ops.Sinh: unary(torch.sinh),
    ops.Sqrt: unary(torch.sqrt),
    ops.Tan: unary(torch.tan),
}
