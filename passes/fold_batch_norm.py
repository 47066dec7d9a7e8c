"""Fold an inference batch norm into the layer that feeds it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, cast

import numpy as np

from pinat_compile.graph import Array, Graph, Node
from pinat_compile.graph.ops.linear import Conv, ConvTranspose, Gemm
from pinat_compile.graph.ops.normalisation import BatchNormalization
from pinat_compile.passes.base import ScopePass


@dataclass(frozen=True)
class FoldBatchNorm(ScopePass):
    """Fold a batch norm with constant statistics into the Conv, ConvTranspose or Gemm before it.

        conv(x; W, b) -> batchnorm(g, B, m, v)   ==>   conv(x; k*W, k*(b-m)+B),   k = g / sqrt(v + epsilon)

    1. The layer's weight and bias are constant and only the batch norm reads its result: fold. The weight gets a new
       name, so that other readers keep the old one.
    2. Somebody else reads the layer's result, or it is an output of the network: leave both.
    3. The batch norm's own operands are not constant, or it runs in training mode: leave it.
    4. Anything else (a grouped ConvTranspose too) feeds the batch norm: leave it; it runs digitally.
    """

    name: ClassVar[str] = "fold-batch-norm"

    def rewrite(self, scope: Graph) -> None:
        for node in scope.nodes:
            if isinstance(node.op, BatchNormalization):
                self._fold(scope, node)

    def _fold(self, scope: Graph, norm: Node) -> None:
        op = cast(BatchNormalization, norm.op)
        if op.training_mode or not all(scope.is_constant(name) for name in norm.inputs[1:]):  # 3
            return
        layer = scope.producer(norm.inputs[0])
        if layer is None or not isinstance(layer.op, Conv | ConvTranspose | Gemm):  # 4
            return
        if isinstance(layer.op, ConvTranspose) and layer.op.group != 1:  # 4
            return
        result = layer.outputs[0]
        if len(scope.readers(result)) != 1 or result in scope.outputs:  # 2
            return
        if not all(scope.is_constant(name) for name in layer.inputs[1:] if name):  # 1
            return
        scale, shift, mean, variance = (scope.tensors[name].astype(np.float64) for name in norm.inputs[1:5])
        factor = scale / np.sqrt(variance + op.epsilon)
        weight = scope.tensors[layer.inputs[1]]
        bias = _bias(scope, layer, len(factor))
        if bias is None:
            return
        weight_name = scope.fresh(f"{layer.inputs[1]}.folded")
        scope.tensors[weight_name] = (weight * _along(layer, factor, weight.ndim)).astype(weight.dtype)
        bias_name = scope.fresh(f"{layer.name}.bias.folded")
        scope.tensors[bias_name] = (factor * (bias - mean) + shift).astype(weight.dtype)
        merged = replace(layer, inputs=(layer.inputs[0], weight_name, bias_name), outputs=norm.outputs[:1])
        if isinstance(layer.op, Gemm):
            merged = replace(merged, op=replace(layer.op, beta=1.0))
        scope.remove(norm.name)
        scope.update(merged)


def _bias(scope: Graph, layer: Node, size: int) -> Array | None:
    """The layer's bias as a vector, with Gemm's beta applied; ``None`` where it is not one value per output."""
    if len(layer.inputs) < 3 or not layer.inputs[2]:
        return np.zeros(size)
    bias = scope.tensors[layer.inputs[2]].astype(np.float64)
    if bias.size not in (1, size) or bias.shape[:-1].count(1) != max(bias.ndim - 1, 0):  # a matrix of biases, say
        return None
    factor = layer.op.beta if isinstance(layer.op, Gemm) else 1.0
    return np.broadcast_to(factor * bias.reshape(-1), (size,))


def _along(layer: Node, factor: Array, rank: int) -> Array:
    """``factor``, one value per output, shaped to multiply the layer's weight."""
    if isinstance(layer.op, Gemm):
        return factor.reshape(-1, 1) if layer.op.trans_b else factor.reshape(1, -1)
    if isinstance(layer.op, ConvTranspose):  # weight [inputs, outputs, *kernel]
        return factor.reshape(1, -1, *(1,) * (rank - 2))
    return factor.reshape(-1, *(1,) * (rank - 1))
