"""Graph to ONNX."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import onnx
from onnx import helper, numpy_helper

from pinat_compile.errors import ModelError
from pinat_compile.frontend.attributes import OPSET, attributes_of, element_type
from pinat_compile.frontend.normalise import IR_VERSION
from pinat_compile.graph.graph import Array, Graph, Node
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.graph.ops.control import REGIONS
from pinat_compile.graph.types import TensorType


def to_model(graph: Graph) -> onnx.ModelProto:
    """The ONNX model (opset 20) of a graph, weights included; raises ModelError where a node is an ArrayMvm."""
    return model_of(graph, graph.outputs, [numpy_helper.from_array(a, name) for name, a in graph.tensors.items()])


LARGEST = 1 << 31
"""Bytes of an ONNX file that holds its weights itself: what a protobuf can be."""


def serialise(
    graph: Graph, *, about: Mapping[str, str] | None = None, notes: Mapping[str, Mapping[str, str]] | None = None
) -> bytes:
    """The ONNX file of a graph. ``about``: metadata of the model; ``notes``: of its nodes, by their names.

    Raises ModelError where a node has no ONNX form and where the file would be larger than ONNX allows.
    """
    if sum(array.nbytes for array in graph.tensors.values()) >= LARGEST - (LARGEST >> 4):
        raise ModelError(f"{graph.name}: its weights take more than one ONNX file can hold (2 GB)")
    model = to_model(graph)
    helper.set_model_props(model, dict(about or {}))
    for node in model.graph.node:
        for key, value in (notes or {}).get(node.name, {}).items():
            node.metadata_props.add(key=key, value=value)
    return bytes(model.SerializeToString(deterministic=True))


def model_of(
    graph: Graph,
    outputs: Iterable[str],
    initialisers: Iterable[onnx.TensorProto],
    extra_inputs: Mapping[str, Array] | None = None,
) -> onnx.ModelProto:
    """An ONNX model of the nodes of ``graph`` with these outputs and initialisers, and inputs beside its own."""
    outputs = list(outputs)
    inputs = [value_proto(name, graph.types.get(name)) for name in graph.inputs]
    inputs += [value_proto(name, TensorType(str(a.dtype), a.shape)) for name, a in (extra_inputs or {}).items()]
    declared = {value.name for value in inputs} | set(outputs)
    proto = helper.make_graph(
        [node_proto(node) for node in graph.nodes],
        graph.name or "network",
        inputs,
        [
            value_proto(name, graph.type_of(name) if name in graph.tensors else graph.types.get(name))
            for name in outputs
        ],
        list(initialisers),
        value_info=[value_proto(name, kind) for name, kind in graph.types.items() if name not in declared],
    )
    return helper.make_model(
        proto,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="pinat-compile",
    )


def node_proto(node: Node) -> onnx.NodeProto:
    """The ONNX node of a node that runs one standard operator, its regions included."""
    if isinstance(node.op, ArrayMvm):
        raise ModelError(f"node {node.name!r} runs on arrays and has no ONNX form", hint="export the source graph")
    proto = helper.make_node(
        node.op.type_name(), list(node.inputs), list(node.outputs), name=node.name, **attributes_of(node.op)
    )
    for name, region in zip(REGIONS.get(type(node.op), ()), node.regions, strict=True):
        proto.attribute.append(helper.make_attribute(name, _region(region)))
    return proto


def _region(region: Graph) -> onnx.GraphProto:
    inputs, outputs = (
        [value_proto(name, region.types.get(name)) for name in names] for names in (region.inputs, region.outputs)
    )
    inner = [name for name in region.types if name not in (*region.inputs, *region.outputs)]
    values = [value_proto(name, region.types[name]) for name in inner]
    nodes = [node_proto(node) for node in region.nodes]
    return helper.make_graph(nodes, region.name or "body", inputs, outputs, value_info=values)


def value_proto(name: str, kind: TensorType | None) -> onnx.ValueInfoProto:
    """The declaration of a value; without a type where that is unknown."""
    if kind is None:
        return onnx.ValueInfoProto(name=name)
    return helper.make_tensor_value_info(name, element_type(kind.dtype), kind.shape)
