"""Digital operators as counts of additions, multiplications and bytes moved.

A comparison counts as an addition. exp, log, erf, sin and their like are a table look-up with a correction: 2 additions
and 2 multiplications; a division or a square root counts as 4 multiplications. Operators that only rename a value
(Reshape and its like) cost nothing; all others read their operands and write their results once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pinat_compile.graph.ops.base import Op

Dims = tuple[int, ...]

_TABLE, _DIVIDE = (2.0, 2.0), (0.0, 4.0)


@dataclass(frozen=True, slots=True)
class OpCount:
    """Additions, multiplications, and bytes read and written, per inference."""

    adds: float = 0.0
    muls: float = 0.0
    bytes: float = 0.0

    def __add__(self, other: OpCount) -> OpCount:
        return OpCount(self.adds + other.adds, self.muls + other.muls, self.bytes + other.bytes)


FREE = frozenset({"Identity", "Dropout", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Shape", "Size"})
"""Operators that neither compute nor move: another name or shape for the same bytes."""

PER_OUTPUT: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("Add", "Sub", "Neg", "Abs", "Relu", "ThresholdedRelu", "Sign"), (1.0, 0.0)),
    **dict.fromkeys(("Floor", "Ceil", "Round", "Equal", "Greater", "GreaterOrEqual", "Less"), (1.0, 0.0)),
    **dict.fromkeys(("LessOrEqual", "Clip", "Where"), (2.0, 0.0)),
    **dict.fromkeys(("Mul",), (0.0, 1.0)),
    **dict.fromkeys(("LeakyRelu", "PRelu", "BatchNormalization", "DequantizeLinear"), (1.0, 1.0)),
    **dict.fromkeys(("Div", "Reciprocal", "Sqrt", "Mod"), _DIVIDE),
    **dict.fromkeys(("Exp", "Log", "Erf", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan"), _TABLE),
    **dict.fromkeys(("Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "Softplus"), (4.0, 4.0)),
    "Pow": (4.0, 5.0),  # exp(b log a)
    "QuantizeLinear": (3.0, 1.0),
    "Shrink": (2.0, 0.0),
    "Elu": (4.0, 3.0),
    "Celu": (4.0, 4.0),
    "Selu": (4.0, 4.0),
    "Gelu": (3.0, 4.0),
    "Sigmoid": (3.0, 6.0),  # exp, add, divide
    "Tanh": (4.0, 6.0),
    "Mish": (7.0, 11.0),
    "Softsign": (2.0, 4.0),
    "HardSigmoid": (3.0, 1.0),
    "HardSwish": (3.0, 2.0),
    "Softmax": (5.0, 6.0),  # largest, subtract, exp, sum, divide
    "LogSoftmax": (5.0, 2.0),
    "LayerNormalization": (4.0, 3.0),  # mean, difference, square, sum, scale and shift
    "InstanceNormalization": (4.0, 3.0),
    "GroupNormalization": (4.0, 3.0),
    "MeanVarianceNormalization": (4.0, 2.0),
    "LpNormalization": (1.0, 6.0),
    "CumSum": (1.0, 0.0),
}
"""Operator -> (additions, multiplications) per element of its first result."""

PER_INPUT: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "GlobalAveragePool"), (1.0, 0.0)),
    **dict.fromkeys(("GlobalMaxPool", "ArgMax", "ArgMin", "ReduceL1", "TopK", "Hardmax"), (1.0, 0.0)),
    **dict.fromkeys(("ReduceL2", "ReduceSumSquare", "GlobalLpPool"), (1.0, 1.0)),
    "ReduceProd": (0.0, 1.0),
    "ReduceLogSum": (1.0, 0.0),
    "ReduceLogSumExp": (4.0, 2.0),
}
"""Operator -> (additions, multiplications) per element of its first operand."""


def digital_ops(
    op: Op, inputs: Sequence[Dims], outputs: Sequence[Dims], *, bytes_per_value: float
) -> OpCount:
    """What one digital operator does to operands and results of these shapes (``()`` is a scalar).

    An operator that stands in no table counts the bytes that it moves.
    """
    name = op.type_name()
    if name in FREE or not outputs:
        return OpCount()
    adds, muls = _arithmetic(op, name, inputs, outputs)
    values = sum(math.prod(shape) for shape in (*inputs, *outputs))
    return OpCount(adds, muls, values * bytes_per_value)


def _arithmetic(op: Op, name: str, inputs: Sequence[Dims], outputs: Sequence[Dims]) -> tuple[float, float]:
    out = math.prod(outputs[0])
    if name in _SPECIAL:
        return _SPECIAL[name](op, inputs, out)
    if name in PER_OUTPUT:
        adds, muls = PER_OUTPUT[name]
        return out * adds, out * muls
    if name in PER_INPUT:
        adds, muls = PER_INPUT[name]
        size = math.prod(inputs[0])
        divide = out if name in ("ReduceMean", "GlobalAveragePool") else 0
        return size * adds, size * muls + divide
    return 0.0, 0.0


def _matmul(op: Any, inputs: Sequence[Dims], out: int) -> tuple[float, float]:
    macs = out * (inputs[0][-1] if inputs[0] else 1)
    return macs, macs


def _gemm(op: Any, inputs: Sequence[Dims], out: int) -> tuple[float, float]:
    macs = out * inputs[0][0 if op.trans_a else 1]
    return macs + (out if len(inputs) > 2 else 0), macs


def _conv(op: Any, inputs: Sequence[Dims], out: int) -> tuple[float, float]:
    macs = out * math.prod(inputs[1][1:])
    bias = op.type_name() == "Conv" and len(inputs) > 2
    return macs + (out if bias else 0), macs


def _conv_transpose(op: Any, inputs: Sequence[Dims], out: int) -> tuple[float, float]:
    macs = math.prod(inputs[0]) * math.prod(inputs[1][1:])
    return macs + (out if len(inputs) > 2 else 0), macs


def _pool(op: Any, inputs: Sequence[Dims], out: int) -> tuple[float, float]:
    window = math.prod(op.kernel_shape)
    powers = {"AveragePool": out, "LpPool": out * window}
    return out * window, powers.get(op.type_name(), 0)


def _n_ary(op: Any, inputs: Sequence[Dims], out: int) -> tuple[float, float]:
    return out * (len(inputs) - 1), out if op.type_name() == "Mean" else 0


def _einsum(op: Any, inputs: Sequence[Dims], out: int) -> tuple[float, float]:
    """One multiplication per pair of factors and one addition for every combination of all indices."""
    sizes: dict[str, int] = {}
    for labels, shape in zip(op.equation.replace(" ", "").partition("->")[0].split(","), inputs, strict=True):
        start, dots, end = labels.partition("...")
        sizes.update(zip(start, shape, strict=False))
        sizes.update(zip(end, shape[len(shape) - len(end) :], strict=True))
        if dots:
            rest = shape[len(start) : len(shape) - len(end)]
            sizes["..."] = max(sizes.get("...", 1), math.prod(rest))
    points = math.prod(sizes.values())
    return points, points * (len(inputs) - 1)


_SPECIAL: dict[str, Callable[[Any, Sequence[Dims], int], tuple[float, float]]] = {
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "Gemm": _gemm,
    "Conv": _conv,
    "ConvInteger": _conv,
    "ConvTranspose": _conv_transpose,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "LpPool": _pool,
    "Sum": _n_ary,
    "Mean": _n_ary,
    "Max": _n_ary,
    "Min": _n_ary,
    "Einsum": _einsum,
}
