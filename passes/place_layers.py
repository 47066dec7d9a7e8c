"""Decide which nodes run on arrays and which in digital logic, and say why."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import ClassVar

from pinat_compile.errors import OptionError
from pinat_compile.graph import Graph, Node
from pinat_compile.graph.ops.linear import Conv, ConvTranspose, Gemm, MatMul
from pinat_compile.passes.base import ScopePass

FITS = "constant weights"
CONSTANT = "its input is constant"


@dataclass(frozen=True)
class PlaceLayers(ScopePass):
    """Give every node a place and a reason; ``digital`` and ``analog`` name nodes for which the user decides.

    1. Conv, Gemm, MatMul with a constant weight that hardware can hold: analog.
    2. A product of two computed values (attention, say): digital; arrays are not rewritten at run time.
    3. A layer of a form that no array computes (see ``obstacle``): digital, with what is in the way.
    4. Everything else: digital, no weights.
    5. ``digital`` names the node: digital, whatever it is. ``analog`` names it: analog, or an OptionError saying what
       is in the way. A name that no node has is an OptionError with the nearest names.
    """

    name: ClassVar[str] = "place-layers"
    digital: tuple[str, ...] = ()
    analog: tuple[str, ...] = ()

    def run(self, graph: Graph) -> Graph:
        known = [node.name for _, node in graph.walk()]
        for flag, names in (("--digital", self.digital), ("--analog", self.analog)):
            for name in names:
                if name not in known:
                    near = ", ".join(difflib.get_close_matches(name, known, n=3, cutoff=0.3)) or ", ".join(known[:5])
                    raise OptionError(f"{flag} {name}: the network has no node of that name", hint=f"try {near}")
        return super().run(graph)

    def rewrite(self, scope: Graph) -> None:
        for node in scope.nodes:
            scope.update(self._placed(scope, node))

    def _placed(self, scope: Graph, node: Node) -> Node:
        if node.name in self.digital:  # 5
            return node.placed("digital", "chosen with --digital")
        reason = obstacle(scope, node)
        if node.name in self.analog:  # 5
            if reason is not None:
                raise OptionError(f"--analog {node.name}: cannot run on arrays: {reason}", hint="leave it digital")
            return node.placed("analog", "chosen with --analog")
        if reason is None:  # 1
            return node.placed("analog", FITS)
        return node.placed("digital", reason)  # 2, 3, 4


def obstacle(scope: Graph, node: Node) -> str | None:
    """Why a node cannot run on arrays; ``None`` where it can."""
    if isinstance(node.op, Conv):
        return _conv_obstacle(scope, node, node.op)
    if isinstance(node.op, Gemm):
        return _gemm_obstacle(scope, node, node.op)
    if isinstance(node.op, MatMul):
        return _matmul_obstacle(scope, node)
    if isinstance(node.op, ConvTranspose):
        return "transposed convolution is not mapped to arrays yet"
    return "no weights"


def _conv_obstacle(scope: Graph, node: Node, op: Conv) -> str | None:
    if not scope.is_constant(node.inputs[1]):
        return "its weight is computed at run time"
    if scope.is_constant(node.inputs[0]):
        return CONSTANT
    if len(node.inputs) > 2 and node.inputs[2] and not scope.is_constant(node.inputs[2]):
        return "its bias is computed at run time"
    if scope.tensors[node.inputs[1]].ndim not in (3, 4, 5):
        return "its kernel has more than three axes"
    if op.auto_pad in ("SAME_UPPER", "SAME_LOWER") and spatial_shape(scope, node) is None:
        return "its padding depends on a size that is not known"
    return _number_obstacle(scope, node)


def _gemm_obstacle(scope: Graph, node: Node, op: Gemm) -> str | None:
    left, right = (scope.is_constant(name) for name in node.inputs[:2])
    if not right:
        return "its constant operand stands on the left" if left else "both operands are computed at run time"
    if left:
        return CONSTANT
    if op.trans_a:
        return "it multiplies by the transpose of its input"
    if len(node.inputs) > 2 and node.inputs[2]:
        if not scope.is_constant(node.inputs[2]):
            return "its third operand is computed at run time"
        bias = scope.tensors[node.inputs[2]]
        if bias.ndim > 1 and bias.shape[0] != 1:
            return "its third operand is a matrix"
    return _number_obstacle(scope, node)


def _matmul_obstacle(scope: Graph, node: Node) -> str | None:
    left, right = (scope.is_constant(name) for name in node.inputs)
    if not left and not right:
        return "both operands are computed at run time"
    if left and right:
        return CONSTANT
    weight = scope.tensors[node.inputs[1] if right else node.inputs[0]]
    if weight.ndim != 2:
        return f"its constant operand has {weight.ndim} {'axis' if weight.ndim == 1 else 'axes'}, not 2"
    if not right and scope.type_of(node.inputs[1]).rank is None:
        return "its constant operand stands on the left and the rank of the other is not known"
    if not right and scope.type_of(node.inputs[1]).rank == 1:
        return "its constant operand stands on the left of a vector"
    return _number_obstacle(scope, node)


def _number_obstacle(scope: Graph, node: Node) -> str | None:
    weight = scope.tensors[node.inputs[1] if scope.is_constant(node.inputs[1]) else node.inputs[0]]
    if str(weight.dtype) != "float32":
        return f"its weight is {weight.dtype}, not float32"
    return "its weight is empty" if weight.size == 0 else None


def spatial_shape(scope: Graph, node: Node) -> tuple[int, ...] | None:
    """The spatial axes of a convolution's input, where all of them are known."""
    shape = scope.type_of(node.inputs[0]).shape
    if shape is None or not all(isinstance(dim, int) for dim in shape[2:]):
        return None
    return tuple(dim for dim in shape[2:] if isinstance(dim, int))
