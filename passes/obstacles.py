"""Why a node cannot run on arrays, operator by operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pinat_compile.graph import Graph, Node
from pinat_compile.graph.ops.base import Op
from pinat_compile.graph.ops.linear import Conv, ConvTranspose, Gemm, MatMul
from pinat_compile.graph.ops.product import ConvInteger, Einsum, MatMulInteger
from pinat_compile.graph.ops.recurrent import GRU, LSTM, RNN
from pinat_compile.passes.einsum_to_matmul import product_of
from pinat_compile.passes.expand_recurrence import ACTIVATIONS

CONSTANT = "its input is constant"
LATE_WEIGHT = "its weight is computed at run time"
LATE_BIAS = "its bias is computed at run time"
TWO_COMPUTED = "both operands are computed at run time"


def obstacle(scope: Graph, node: Node) -> str | None:
    """Why a node cannot run on arrays; ``None`` where it can."""
    if node.regions:
        return "control flow"
    check = CHECKS.get(type(node.op))
    return "no weights" if check is None else check(scope, node, node.op)


def spatial_shape(scope: Graph, node: Node) -> tuple[int, ...] | None:
    """The spatial axes of a convolution's input, where all of them are known."""
    shape = scope.type_of(node.inputs[0]).shape
    if shape is None or not all(isinstance(dim, int) for dim in shape[2:]):
        return None
    return tuple(dim for dim in shape[2:] if isinstance(dim, int))


def _given(node: Node, position: int) -> str:
    return node.inputs[position] if len(node.inputs) > position else ""


def _computed(scope: Graph, node: Node, position: int) -> bool:
    """Whether an operand is given and is not a constant."""
    name = _given(node, position)
    return bool(name) and not scope.is_constant(name)


def _conv(scope: Graph, node: Node, op: Conv) -> str | None:
    if not scope.is_constant(node.inputs[1]):
        return LATE_WEIGHT
    if scope.is_constant(node.inputs[0]):
        return CONSTANT
    if _computed(scope, node, 2):
        return LATE_BIAS
    if scope.tensors[node.inputs[1]].ndim not in (3, 4, 5):
        return "its kernel has more than three axes"
    if op.auto_pad in ("SAME_UPPER", "SAME_LOWER") and spatial_shape(scope, node) is None:
        return "its padding depends on a size that is not known"
    return _number(scope, node.inputs[1])


def _conv_transpose(scope: Graph, node: Node, op: ConvTranspose) -> str | None:
    if not scope.is_constant(node.inputs[1]):
        return LATE_WEIGHT
    if scope.is_constant(node.inputs[0]):
        return CONSTANT
    if _computed(scope, node, 2):
        return LATE_BIAS
    if scope.tensors[node.inputs[1]].ndim not in (3, 4):
        return "its kernel has more than two axes"
    if op.auto_pad not in ("NOTSET", "", "VALID") or op.output_shape:
        return "its padding follows from the size of its output"
    strides = op.strides or (1,) * len(op.output_padding)
    if any(extra >= stride for extra, stride in zip(op.output_padding, strides, strict=False)):
        return "it adds more padding to its output than it has stride"
    if scope.type_of(node.outputs[0]).dtype != "float32":
        return "it does not compute in float32"
    return _number(scope, node.inputs[1])


def _gemm(scope: Graph, node: Node, op: Gemm) -> str | None:
    left, right = (scope.is_constant(name) for name in node.inputs[:2])
    if not right:
        return "its constant operand stands on the left" if left else TWO_COMPUTED
    if left:
        return CONSTANT
    if op.trans_a:
        return "it multiplies by the transpose of its input"
    if _computed(scope, node, 2):
        return "its third operand is computed at run time"
    if _given(node, 2):
        bias = scope.tensors[node.inputs[2]]
        if bias.ndim > 1 and bias.shape[0] != 1:
            return "its third operand is a matrix"
    return _number(scope, node.inputs[1])


def _matmul(scope: Graph, node: Node, op: MatMul) -> str | None:
    left, right = (scope.is_constant(name) for name in node.inputs)
    if not left and not right:
        return TWO_COMPUTED
    if left and right:
        return CONSTANT
    name = node.inputs[1] if right else node.inputs[0]
    weight = scope.tensors[name]
    if weight.ndim != 2:
        return f"its constant operand has {weight.ndim} {'axis' if weight.ndim == 1 else 'axes'}, not 2"
    if not right and scope.type_of(node.inputs[1]).rank is None:
        return "its constant operand stands on the left and the rank of the other is not known"
    if not right and scope.type_of(node.inputs[1]).rank == 1:
        return "its constant operand stands on the left of a vector"
    return _number(scope, name)


def _recurrent(scope: Graph, node: Node, op: RNN | GRU | LSTM) -> str | None:
    if any(_computed(scope, node, position) for position in (1, 2)):
        return "its weights are computed at run time"
    if scope.is_constant(node.inputs[0]):
        return CONSTANT
    if _computed(scope, node, 3):
        return LATE_BIAS
    if _given(node, 4):
        return "the lengths of its sequences are given beside them"
    if _given(node, 7):
        return "it has peepholes"
    if op.layout or op.clip is not None or (isinstance(op, LSTM) and op.input_forget):
        return "it has an attribute (layout, clip or input_forget) that is only computed digitally"
    if any(name.title() not in ACTIVATIONS for name in op.activations):
        return "it has an activation that is only computed digitally"
    return _number(scope, node.inputs[1]) or _number(scope, node.inputs[2])


def _einsum(scope: Graph, node: Node, op: Einsum) -> str | None:
    found = product_of(scope, node, op)
    return found if isinstance(found, str) else _number(scope, node.inputs[found.weight])


def _mat_mul_integer(scope: Graph, node: Node, op: MatMulInteger) -> str | None:
    left, right = (scope.is_constant(name) for name in node.inputs[:2])
    if not right:
        return "its constant operand stands on the left" if left else TWO_COMPUTED
    if left:
        return CONSTANT
    if scope.tensors[node.inputs[1]].ndim != 2:
        return f"its constant operand has {scope.tensors[node.inputs[1]].ndim} axes, not 2"
    return _zeros(scope, node) or _empty(scope, node.inputs[1])


def _conv_integer(scope: Graph, node: Node, op: ConvInteger) -> str | None:
    plain = Conv(op.auto_pad, op.dilations, op.group, op.kernel_shape, op.pads, op.strides)
    if not scope.is_constant(node.inputs[1]) or scope.is_constant(node.inputs[0]):
        return LATE_WEIGHT if not scope.is_constant(node.inputs[1]) else CONSTANT
    if plain.auto_pad in ("SAME_UPPER", "SAME_LOWER") and spatial_shape(scope, node) is None:
        return "its padding depends on a size that is not known"
    return _zeros(scope, node) or _empty(scope, node.inputs[1])


def _zeros(scope: Graph, node: Node) -> str | None:
    """What is in the way of a quantised product's zero points."""
    if _computed(scope, node, 3):
        return "the zero point of its weight is computed at run time"
    zero = _given(node, 2)
    if zero and scope.type_of(zero).shape not in ((), (1,)):
        return "its input has more than one zero point"
    return None


def _number(scope: Graph, name: str) -> str | None:
    weight = scope.tensors[name]
    if str(weight.dtype) != "float32":
        return f"its weight is {weight.dtype}, not float32"
    return _empty(scope, name)


def _empty(scope: Graph, name: str) -> str | None:
    return "its weight is empty" if scope.tensors[name].size == 0 else None


CHECKS: dict[type[Op], Callable[[Graph, Node, Any], str | None]] = {
    Conv: _conv,
    ConvTranspose: _conv_transpose,
    Gemm: _gemm,
    MatMul: _matmul,
    RNN: _recurrent,
    GRU: _recurrent,
    LSTM: _recurrent,
    Einsum: _einsum,
    MatMulInteger: _mat_mul_integer,
    ConvInteger: _conv_integer,
}
"""What can run on arrays, and what may be in the way."""
