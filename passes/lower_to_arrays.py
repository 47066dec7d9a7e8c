"""Turn analog layers into array MVMs: a matrix entity, and the window that cuts vectors from the input."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, cast

import numpy as np

from pinat_compile.graph import Array, Graph, Matrix, Node, TensorType
from pinat_compile.graph.matrix import View
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.graph.ops.linear import Conv, Gemm, MatMul
from pinat_compile.graph.ops.shape import Transpose
from pinat_compile.graph.window import resolve_pads
from pinat_compile.passes.base import ScopePass
from pinat_compile.passes.obstacles import spatial_shape


@dataclass(frozen=True)
class LowerToArrays(ScopePass):
    """Replace every analog Conv, Gemm and MatMul by an ArrayMvm on a matrix.

        conv(x; W, b) stride s pads p     ==>     ArrayMvm(x, gain=1, bias=b) matrix=conv window (kernel, s, p, …)

    1. Conv: rows run over (input channel of the group, *kernel), columns over the output channels of a group; padding
       is made explicit.
    2. Gemm: alpha becomes the gain, beta times C the bias; a transposed B only changes how the weight is read.
    3. MatMul with the constant on the right: the last axis holds the vectors.
    4. MatMul with the constant on the left: transpose the input, multiply, transpose back.
    5. Two nodes with the same weight, read the same way: one matrix, programmed once (``share``), or a copy each.
    Every output keeps a digital gain and bias of its own, which fine-tuning and deployment may adjust.
    """

    name: ClassVar[str] = "lower-to-arrays"
    share: bool = True

    def rewrite(self, scope: Graph) -> None:
        for node in scope.nodes:
            if node.placement is None or node.placement.where != "analog":
                continue
            if isinstance(node.op, Conv):  # 1
                self._conv(scope, node, node.op)
            elif isinstance(node.op, Gemm):  # 2
                self._gemm(scope, node, node.op)
            elif isinstance(node.op, MatMul) and scope.is_constant(node.inputs[1]):  # 3
                rows, cols = scope.tensors[node.inputs[1]].shape
                matrix = self._matrix(scope, node, Matrix(node.name, node.inputs[1], "in_out", rows, cols))
                self._lower(scope, node, node.inputs[0], ArrayMvm(matrix.name), np.ones(cols), np.zeros(cols))
            elif isinstance(node.op, MatMul):  # 4
                self._left_matmul(scope, node)

    def _conv(self, scope: Graph, node: Node, op: Conv) -> None:
        outputs, rows_in, *kernel = scope.tensors[node.inputs[1]].shape
        rows, cols = rows_in * int(np.prod(kernel)), outputs // op.group
        matrix = self._matrix(scope, node, Matrix(node.name, node.inputs[1], "out_in", rows, cols, op.group))
        n = len(kernel)
        strides, dilations = op.strides or (1,) * n, op.dilations or (1,) * n
        pads = resolve_pads(op.auto_pad, op.pads, spatial_shape(scope, node) or (), kernel, strides, dilations)
        window = ArrayMvm(matrix.name, tuple(kernel), strides, pads, dilations, op.group)
        self._lower(scope, node, node.inputs[0], window, np.ones(outputs), self._vector(scope, node, 2, outputs))

    def _gemm(self, scope: Graph, node: Node, op: Gemm) -> None:
        shape = scope.tensors[node.inputs[1]].shape
        rows, cols = (shape[1], shape[0]) if op.trans_b else (shape[0], shape[1])
        view: View = "out_in" if op.trans_b else "in_out"
        matrix = self._matrix(scope, node, Matrix(node.name, node.inputs[1], view, rows, cols))
        bias = self._vector(scope, node, 2, cols)
        if op.beta != 1.0:
            bias = op.beta * (scope.tensors[bias] if isinstance(bias, str) else bias)
        self._lower(scope, node, node.inputs[0], ArrayMvm(matrix.name), np.full(cols, op.alpha), bias)

    def _left_matmul(self, scope: Graph, node: Node) -> None:
        cols, rows = scope.tensors[node.inputs[0]].shape
        matrix = self._matrix(scope, node, Matrix(node.name, node.inputs[0], "out_in", rows, cols))
        kind = scope.type_of(node.inputs[1])
        rank = cast(int, kind.rank)
        swap = Transpose((*range(rank - 2), rank - 1, rank - 2))
        turned, result = scope.fresh(f"{node.outputs[0]}.turned"), scope.fresh(f"{node.outputs[0]}.columns")
        why = "turns the input for the constant on its left"
        before = Node(scope.fresh(f"{node.name}.turn"), swap, (node.inputs[1],), (turned,)).placed("digital", why)
        after = Node(scope.fresh(f"{node.name}.turn_back"), swap, (result,), node.outputs).placed("digital", why)
        scope.types[turned] = _swapped(kind)
        scope.types[result] = _swapped(scope.type_of(node.outputs[0]))
        scope.replace(node.name, before, replace(node, outputs=(result,)), after)
        inner = scope.node(node.name)
        self._lower(scope, inner, turned, ArrayMvm(matrix.name), np.ones(cols), np.zeros(cols))

    def _matrix(self, scope: Graph, node: Node, wanted: Matrix) -> Matrix:
        """The matrix of ``node``: an existing one that holds the same weight the same way (5), or a new one."""
        for known in scope.matrices.values():
            if replace(known, name=wanted.name, copy_of=None) == wanted and known.copy_of is None:
                if self.share:
                    return known
                wanted = replace(wanted, copy_of=known.name)
                break
        scope.matrices[wanted.name] = wanted
        return wanted

    def _vector(self, scope: Graph, node: Node, position: int, size: int) -> str | Array:
        """The operand at ``position`` as one value per output: its name where it is that already, else the numbers."""
        if len(node.inputs) <= position or not node.inputs[position]:
            return np.zeros(size)
        tensor = scope.tensors[node.inputs[position]]
        if tensor.shape == (size,):
            return node.inputs[position]
        return np.broadcast_to(tensor.reshape(-1), (size,))

    def _lower(
        self, scope: Graph, node: Node, x: str, op: ArrayMvm, gain: Array, bias: str | Array
    ) -> None:
        gain_name = scope.fresh(f"{node.name}.gain")
        scope.tensors[gain_name] = gain.astype(np.float32)
        if not isinstance(bias, str):
            bias_name = scope.fresh(f"{node.name}.bias")
            scope.tensors[bias_name] = bias.astype(np.float32)
            bias = bias_name
        scope.update(replace(node, op=op, inputs=(x, gain_name, bias)))


def _swapped(kind: TensorType) -> TensorType:
    if kind.shape is None:
        return kind
    *outer, a, b = kind.shape
    return TensorType(kind.dtype, (*outer, b, a))
