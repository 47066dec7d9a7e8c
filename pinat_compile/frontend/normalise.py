"""The recipe that brings any ONNX model to one form: opset 20, no functions, no wrong shapes, weights set aside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, inliner, numpy_helper, shape_inference, version_converter

from pinat_compile.errors import ModelError
from pinat_compile.frontend.attributes import OPSET, dtype_name
from pinat_compile.frontend.files import read_tensor, value_info
from pinat_compile.frontend.newer import lower_newer_operators, settle_types
from pinat_compile.frontend.regions import give_own_outputs, graphs_in, nodes_in, rename_apart
from pinat_compile.graph.graph import Array
from pinat_compile.graph.ops import OPS

IR_VERSION = 10

_LARGE = 1024
"""Weights with more elements are set aside while the model is rewritten; shape arithmetic needs only smaller ones."""

_REWRITTEN = {"Constant", "Upsample", "Scatter"}
"""Operators that do not survive: they become tensors or the newer operator."""

NO_NAMES = ("?", "-1", "None")
"""Names of dimensions that say only that the size is open: two that are called so need not be equal."""

Weights = dict[str, Array]


def normalise(model: onnx.ModelProto, folder: Path | None, bind: Mapping[str, int]) -> Weights:
    """Bring ``model`` to the one form, in place; returns its weights by name, which the model then lacks.

    1. Model-local functions are inlined.
    2. Weights leave the inputs and the graph; Constant nodes become weights.
    3. Declared shapes of outputs and inner values are dropped: some files declare wrong ones.
    4. Dimensions named in ``bind`` become fixed, inputs named there become weights.
    5. Unsupported operators are refused, all at once.
    6. The model is converted to opset 20, and shapes are inferred.
    """
    if model.functions:  # 1
        _adopt(model, inliner.inline_local_functions(model))
    _check_size(model)
    weights = _take_weights(model, folder)  # 2
    _drop_declarations(model)  # 3
    _bind(model, weights, bind)  # 4
    refuse_unsupported(model)  # 5
    model.ir_version = max(model.ir_version, IR_VERSION)
    _convert(model, weights)  # 6
    refuse_unsupported(model)
    _infer(model, weights)
    settle_types(model, weights)
    return weights


MOST_NODES = 200_000
"""Nodes, those in bodies too, at most: a thousand times what a large transformer has layers."""


def _check_size(model: onnx.ModelProto) -> None:
    count = sum(len(graph.node) for graph in graphs_in(model.graph))
    if count > MOST_NODES:
        raise ModelError(
            f"the model has {count:,} nodes; up to {MOST_NODES:,} are read",
            hint="export it with its loops as Loop or Scan instead of unrolled",
        )


def opset_of(model: onnx.ModelProto) -> int | None:
    """The opset of the standard domain, ``None`` where the model declares none."""
    return next((int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx")), None)


def is_standard(node: onnx.NodeProto) -> bool:
    return node.domain in ("", "ai.onnx")


def refuse_unsupported(model: onnx.ModelProto) -> None:
    """Raise one ModelError that names every operator that cannot run, with its domain and its nodes."""
    found: dict[str, list[str]] = {}
    for index, node in enumerate(nodes_in(model.graph)):
        known = node.op_type in OPS.keys() - {"ArrayMvm"} or node.op_type in _REWRITTEN
        if not (known and is_standard(node)):
            domain = "ai.onnx" if is_standard(node) else node.domain
            found.setdefault(f"{node.op_type} of {domain}", []).append(node.name or f"{node.op_type}_{index}")
    if found:
        items = [f"{op} (node {_some(names)})" for op, names in found.items()]
        raise ModelError(
            f"unsupported operators: {'; '.join(items)}",
            hint="`pinat-compile operators` lists what runs; export the network with standard ONNX operators",
        )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(repr(name) for name in names[:3]) + more


def _adopt(model: onnx.ModelProto, other: onnx.ModelProto) -> None:
    model.Clear()
    model.CopyFrom(other)


def _replace(items: Any, new: Iterable[Any]) -> None:
    """Give a repeated protobuf field the items ``new``."""
    kept = list(new)
    del items[:]
    items.extend(kept)


def _take_weights(model: onnx.ModelProto, folder: Path | None, known: Iterable[str] = ()) -> Weights:
    """Remove initialisers, Constant nodes and the inputs that repeat them (or ``known`` ones); return their values.

    Those of bodies too, which get names that are theirs alone.
    """
    rename_apart(model.graph)
    weights: Weights = {}
    for graph in graphs_in(model.graph):
        if graph.sparse_initializer:
            name = graph.sparse_initializer[0].values.name
            raise ModelError(f"weight {name!r} is sparse", hint="export it as a dense tensor")
        weights |= {tensor.name: read_tensor(tensor, folder) for tensor in graph.initializer}
        constants = [node for node in graph.node if node.op_type == "Constant" and is_standard(node)]
        if constants:
            weights |= {node.output[0]: _constant(node, folder) for node in constants}
            _replace(graph.node, [n for n in graph.node if not (n.op_type == "Constant" and is_standard(n))])
        del graph.initializer[:]
        if graph is not model.graph:
            give_own_outputs(graph)
    gone = weights.keys() | set(known)
    _replace(model.graph.input, [value for value in model.graph.input if value.name not in gone])
    return weights


def _constant(node: onnx.NodeProto, folder: Path | None) -> Array:
    dtypes = {"value_float": "float32", "value_floats": "float32", "value_int": "int64", "value_ints": "int64"}
    attribute = node.attribute[0] if node.attribute else onnx.AttributeProto()
    if attribute.name == "value":
        tensor = onnx.TensorProto()
        tensor.CopyFrom(attribute.t)
        tensor.name = node.output[0]
        return read_tensor(tensor, folder)
    if attribute.name not in dtypes:
        raise ModelError(f"node {node.name!r} (Constant): attribute {attribute.name!r} is not supported")
    return np.array(helper.get_attribute_value(attribute), dtypes[attribute.name])


def _drop_declarations(model: onnx.ModelProto) -> None:
    for graph in graphs_in(model.graph):
        del graph.value_info[:]
        for value in graph.output:
            if value.type.WhichOneof("value") == "tensor_type":
                value.type.tensor_type.ClearField("shape")
    for value in model.graph.input:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_value < 0 or dim.dim_param in NO_NAMES:  # Paddle's ways to say "any"
                dim.Clear()


def _bind(model: onnx.ModelProto, weights: Weights, bind: Mapping[str, int]) -> None:
    symbols = set()
    for value in model.graph.input:
        for dim in value.type.tensor_type.shape.dim:
            symbols.add(dim.dim_param)
            if dim.dim_param in bind:
                dim.dim_value = bind[dim.dim_param]
    names = {value.name for value in model.graph.input}
    unknown = [name for name in bind if name not in symbols | names]
    if unknown:
        known = ", ".join(sorted((symbols | names) - {""}))
        raise ModelError(f"no dimension or input is named {unknown[0]!r}", hint=f"the model has: {known}")
    for value in model.graph.input:
        if value.name in bind:
            weights[value.name] = _bound_input(value, bind[value.name])
    _replace(model.graph.input, [value for value in model.graph.input if value.name not in bind])


def _bound_input(value: onnx.ValueInfoProto, number: int) -> Array:
    kind = value.type.tensor_type
    if any(not dim.HasField("dim_value") for dim in kind.shape.dim):
        raise ModelError(f"input {value.name!r} has dynamic dimensions and cannot be bound", hint="bind these as well")
    return np.full([dim.dim_value for dim in kind.shape.dim], number, dtype_name(kind.elem_type))


def _convert(model: onnx.ModelProto, weights: Weights) -> None:
    """Convert to opset 20: by ONNX's converter from below; from above by the operators' own compatibility."""
    opset = opset_of(model)
    if opset is None:
        raise ModelError("the model declares no opset of the standard ONNX domain", hint="export it again")
    if opset > onnx.defs.onnx_opset_version():
        raise ModelError(
            f"the model's opset {opset} is newer than the installed onnx knows ({onnx.defs.onnx_opset_version()})",
            hint="update the onnx package or export with a lower opset_version",
        )
    if opset < 9 and any(node.op_type == "Scan" for node in nodes_in(model.graph)):
        raise ModelError("Scan of opset 8 is not what it is since opset 9", hint="export with a newer opset")
    if opset < OPSET:
        _dress(model, weights)
        try:
            converted = version_converter.convert_version(model, OPSET)
        except Exception as error:  # the converter raises RuntimeError, ConvertError and others
            raise ModelError(
                f"the model cannot be converted from opset {opset} to {OPSET}: {first_line(error)}",
                hint="export it with opset_version=17 or newer",
            ) from None
        _adopt(model, converted)
        weights |= _take_weights(model, None, weights)
    elif opset > OPSET:
        lower_newer_operators(model, weights)
    _replace(model.opset_import, [helper.make_opsetid("", OPSET)])


def _infer(model: onnx.ModelProto, weights: Weights) -> None:
    """Infer the types of all values; what cannot be inferred stays unknown."""
    _dress(model, weights)
    unknown = [index for index, node in enumerate(model.graph.node) if node.op_type == "GroupNormalization"]
    for index in unknown:  # ONNX infers nothing for it at opset 20; this one has the same operands and type
        model.graph.node[index].op_type = "InstanceNormalization"
    try:
        inferred = shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:
        raise ModelError(f"the model is not valid: {first_line(error)}", hint="check it with onnx.checker") from None
    _adopt(model, inferred)
    for index in unknown:
        model.graph.node[index].op_type = "GroupNormalization"
    _take_weights(model, None, weights)


def _dress(model: onnx.ModelProto, weights: Weights) -> None:
    """Give the model its small weights as initialisers and the large ones as inputs."""
    for name, array in weights.items():
        if array.size <= _LARGE:
            model.graph.initializer.append(numpy_helper.from_array(array, name))
        else:
            model.graph.input.append(value_info(name, array))


def first_line(error: Exception) -> str:
    """The first line of an error's text that says something."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
