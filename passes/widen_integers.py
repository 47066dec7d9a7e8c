"""Turn integer products on arrays into products of floating point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pinat_compile.graph import Array, Graph, Node, TensorType
from pinat_compile.graph.ops.conversion import Cast
from pinat_compile.graph.ops.elementwise import Sub
from pinat_compile.graph.ops.linear import Conv, MatMul
from pinat_compile.graph.ops.math import Round
from pinat_compile.graph.ops.product import ConvInteger, MatMulInteger
from pinat_compile.passes.base import ScopePass
from pinat_compile.passes.building import Steps


@dataclass(frozen=True)
class WidenIntegers(ScopePass):
    """Replace every analog MatMulInteger and ConvInteger by a MatMul or Conv of float32.

        MatMulInteger(x, W, x0, w0)     ==>     Cast(Round(MatMul(Cast(x) - Cast(x0), W - w0)), int32)

    1. The zero point of the weight is taken off at compile time, that of the input at run time, where it has one.
    2. A convolution pads with the zero point; after it is taken off, that is zero.
    """

    name: ClassVar[str] = "widen-integers"

    def rewrite(self, scope: Graph) -> None:
        for node in scope.nodes:
            if isinstance(node.op, MatMulInteger | ConvInteger) and node.placement is not None:
                if node.placement.where == "analog":
                    _widen(scope, node, node.op)


def _widen(scope: Graph, node: Node, op: MatMulInteger | ConvInteger) -> None:
    steps = Steps(scope, node)
    x, given, zero, _ = (*node.inputs, "", "")[:4]
    kind = TensorType("float32", scope.type_of(x).shape)
    wide = steps.add(Cast("float32"), (x,), f"{node.name}.wide", kind)
    if zero:  # 1
        shift = steps.add(Cast("float32"), (zero,), f"{node.name}.zero", TensorType("float32", ()))
        wide = steps.add(Sub(), (wide, shift), f"{node.name}.shifted", kind)
    weight = steps.tensor(f"{given}.wide", _weight(scope, node))
    result = TensorType("float32", scope.type_of(node.outputs[0]).shape)
    plain = MatMul() if isinstance(op, MatMulInteger) else _conv(op)
    y = steps.add(plain, (wide, weight), node.name, result, placement=node.placement)
    y = steps.add(Round(), (y,), f"{node.name}.rounded", result)
    steps.add(Cast("int32"), (y,), f"{node.name}.integer", scope.type_of(node.outputs[0]), output=node.outputs[0])
    steps.put()


def _conv(op: ConvInteger) -> Conv:
    return Conv(op.auto_pad, op.dilations, op.group, op.kernel_shape, op.pads, op.strides)


def _weight(scope: Graph, node: Node) -> Array:
    """The weight less its zero point, which is one number or one per output."""
    weight = scope.tensors[node.inputs[1]].astype(np.float32)
    if len(node.inputs) < 4 or not node.inputs[3]:
        return weight
    zero = scope.tensors[node.inputs[3]].astype(np.float32).reshape(-1)
    if isinstance(node.op, ConvInteger):
        zero = zero.reshape(-1, *(1,) * (weight.ndim - 1))
    return np.asarray(weight - zero)
