"""Operators of opsets after 20 that compute something else than opset 20's, rewritten in its terms.

All others only accept more element types and attributes, so that relabelling is enough.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from pinat_compile.errors import ModelError
from pinat_compile.frontend.attributes import NARROW, element_type
from pinat_compile.frontend.regions import nodes_in
from pinat_compile.graph import Array


def lower_newer_operators(model: onnx.ModelProto, weights: dict[str, Array]) -> None:
    """Rewrite, in place, the nodes of ``model`` (opset 21 or later) that opset 20 has no equal for.

    GroupNormalization has one scale and bias per channel, where opset 20 has one per group: it becomes opset 20's
    without scale and bias, and a BatchNormalization of mean 0, variance 1 and epsilon 0 that applies them.
    """
    nodes: list[onnx.NodeProto] = []
    for index, node in enumerate(model.graph.node):
        if node.op_type == "GroupNormalization" and node.domain in ("", "ai.onnx"):
            nodes += _group_norm(node, node.name or f"GroupNormalization_{index}", weights)
        else:
            nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def settle_types(model: onnx.ModelProto, weights: dict[str, Array]) -> None:
    """Say on the node, in place, which narrow type it makes, where ONNX says it by the type of an operand.

    CastLike becomes Cast, and QuantizeLinear gets an output_dtype.
    """
    types = {v.name: v.type.tensor_type.elem_type for v in (*model.graph.input, *model.graph.value_info)}
    types |= {name: element_type(array.dtype.name) for name, array in weights.items() if array.dtype.name in NARROW}
    narrow = {element_type(name) for name in NARROW}
    for node in nodes_in(model.graph):
        position = {"CastLike": 1, "QuantizeLinear": 2}.get(node.op_type)
        if position is None or len(node.input) <= position or types.get(node.input[position]) not in narrow:
            continue
        kind = types[node.input[position]]
        if node.op_type == "CastLike":
            node.op_type = "Cast"
            del node.input[1:]
            node.attribute.append(helper.make_attribute("to", kind))
        elif not any(attribute.name == "output_dtype" and attribute.i for attribute in node.attribute):
            node.attribute.append(helper.make_attribute("output_dtype", kind))


def _group_norm(node: onnx.NodeProto, name: str, weights: dict[str, Array]) -> list[onnx.NodeProto]:
    x, scale, bias = node.input
    groups = next((int(a.i) for a in node.attribute if a.name == "num_groups"), 0)
    if groups < 1:
        raise ModelError(f"node {name!r} (GroupNormalization): attribute num_groups is missing")
    dtype = weights[scale].dtype if scale in weights else np.float32
    weights[f"{name}.one"], weights[f"{name}.zero"] = np.ones(groups, dtype), np.zeros(groups, dtype)
    normalised = onnx.NodeProto()
    normalised.CopyFrom(node)
    normalised.name = name
    del normalised.input[:], normalised.output[:]
    normalised.input.extend([x, f"{name}.one", f"{name}.zero"])
    normalised.output.append(f"{name}.plain")
    mean, variance = f"{name}.mean", f"{name}.variance"
    operands = [f"{name}.plain", scale, bias, mean, variance]
    return [
        normalised,
        *_zeros_and_ones(scale, mean, variance, weights),
        helper.make_node("BatchNormalization", operands, node.output, name=f"{name}.affine", epsilon=0.0),
    ]


def _zeros_and_ones(scale: str, zeros: str, ones: str, weights: dict[str, Array]) -> list[onnx.NodeProto]:
    """As many zeros and ones as ``scale`` has numbers: constants where it is one, else s - s and exp(0)."""
    if scale in weights:
        weights[zeros], weights[ones] = np.zeros_like(weights[scale]), np.ones_like(weights[scale])
        return []
    return [
        helper.make_node("Sub", [scale, scale], [zeros], name=zeros),
        helper.make_node("Exp", [zeros], [ones], name=ones),
    ]
