"""Operators of opsets after 20 that compute something else than opset 20's, rewritten in its terms.

All others only accept more element types and attributes, so that relabelling is enough.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from pinat_compile.errors import ModelError
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


def _group_norm(node: onnx.NodeProto, name: str, weights: dict[str, Array]) -> list[onnx.NodeProto]:
    x, scale, bias = node.input
    groups = next((int(a.i) for a in node.attribute if a.name == "num_groups"), 0)
    if scale not in weights or groups < 1:
        raise ModelError(f"node {name!r} (GroupNormalization): its scale is not a constant")
    values, channels = weights[scale], weights[scale].size
    plain = f"{name}.plain"
    for suffix, size, value in (
        ("one", groups, 1),
        ("zero", groups, 0),
        ("variance", channels, 1),
        ("mean", channels, 0),
    ):
        weights[f"{name}.{suffix}"] = np.full(size, value, values.dtype)
    normalised = onnx.NodeProto()
    normalised.CopyFrom(node)
    normalised.name = name
    del normalised.input[:], normalised.output[:]
    normalised.input.extend([x, f"{name}.one", f"{name}.zero"])
    normalised.output.append(plain)
    operands = [plain, scale, bias, f"{name}.mean", f"{name}.variance"]
    return [
        normalised,
        helper.make_node("BatchNormalization", operands, node.output, name=f"{name}.affine", epsilon=0.0),
    ]
