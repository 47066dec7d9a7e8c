"""The structure of a graph as an ONNX file without weights, and the graph back from it and its tensors.

The weights are declared as inputs after the graph's own, so that ``onnx.load`` and ``onnx.checker`` accept the file and
viewers show it; small integer tensors (shapes, axes) stay inline. The order of all tensors stands in the metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import onnx
from onnx import helper, numpy_helper

from pinat_compile.errors import ModelError
from pinat_compile.frontend.exporter import model_of
from pinat_compile.frontend.files import read_model
from pinat_compile.frontend.importer import describe, graph_of, type_of
from pinat_compile.graph.graph import Array, Graph
from pinat_compile.graph.types import TensorType

_TENSORS = "pinat.tensors"
"""Key of the metadata entry that lists all tensors, in order."""

_INLINE = 64
"""Integer tensors of at most so many elements stay in the structure."""


def export_structure(graph: Graph) -> bytes:
    """The bytes of an ONNX file with the nodes and types of ``graph`` but without its weights."""
    inline = {name: array for name, array in graph.tensors.items() if _is_inline(array)}
    others = {name: array for name, array in graph.tensors.items() if name not in inline}
    model = model_of(graph, graph.outputs, [numpy_helper.from_array(a, n) for n, a in inline.items()], others)
    helper.set_model_props(model, {_TENSORS: json.dumps(list(graph.tensors))})
    return bytes(model.SerializeToString(deterministic=True))


def restore(structure: bytes, tensors: Mapping[str, Array]) -> Graph:
    """The graph that ``export_structure`` wrote, with its tensors; raises ModelError where one is missing or wrong."""
    model, _ = read_model(structure)
    names = _tensor_names(model)
    inline = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    declared = {value.name: value for value in model.graph.input}
    weights: dict[str, Array] = {}
    for name in names:
        array = tensors.get(name, inline.get(name))
        if array is None:
            raise ModelError(f"tensor {name!r} of the model is missing")
        if name in declared:
            _check(name, array, declared[name])
        weights[name] = array
    del model.graph.initializer[:]
    inputs = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    return graph_of(model, weights)


def _is_inline(array: Array) -> bool:
    return array.dtype.kind in "iu" and array.size <= _INLINE


def _tensor_names(model: onnx.ModelProto) -> list[str]:
    for entry in model.metadata_props:
        if entry.key == _TENSORS:
            return [str(name) for name in json.loads(entry.value)]
    raise ModelError("the model structure lists no tensors", hint="it was not written by pinat-compile")


def _check(name: str, array: Array, declared: onnx.ValueInfoProto) -> None:
    expected, got = type_of(declared), TensorType(str(array.dtype), array.shape)
    if expected is not None and expected != got:
        raise ModelError(f"tensor {name!r} is {describe(got)}, the model needs {describe(expected)}")
