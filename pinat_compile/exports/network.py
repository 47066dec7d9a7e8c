"""The network as plain ONNX: with its trained values in place, or with notes on where each node runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pinat_compile import __version__
from pinat_compile.compiler.build import prepare
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.summary import Document, report_document
from pinat_compile.errors import ModelError
from pinat_compile.exports.places import write
from pinat_compile.frontend import serialise
from pinat_compile.graph import Array, Graph, Node
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.graph.ops.elementwise import Add
from pinat_compile.graph.ops.linear import Conv, Gemm, MatMul
from pinat_compile.passes.drop_unused import DropUnused
from pinat_compile.passes.restore_trained import SUFFIX


def export(compiled: Compiled, path: str | Path, *, annotated: str | Path | None = None) -> Path:
    """Write the network as plain ONNX (opset 20), with trained values where it was fine-tuned; returns ``path``.

    The file computes in float what the arrays compute with ideal devices and converters: gain and bias of an array's
    digital affine are folded into weights and biases. What was rewritten to map the network stays so: batch norms are
    folded, recurrent layers are a Scan over their steps, transposed convolutions a product and a Col2Im. A MatMul that
    has learnt a bias is followed by an Add. An untrained network is exported as it was imported.
    ``annotated``: also write the original network there, each node with metadata on where it runs and what it costs.

    Raises ModelError where a trained value has no place in plain ONNX, OptionError where a file cannot be written.
    """
    data = serialise(trained_graph(compiled), about=_about(compiled))
    if annotated is not None:
        write_annotated(compiled, annotated)
    return write(Path(path), data, "ONNX file")


def write_annotated(compiled: Compiled, path: str | Path) -> Path:
    """Write the original network with ``pinat.*`` metadata on its nodes: where, why, arrays, tiles, energy_j."""
    data = serialise(compiled.source, about=_about(compiled), notes=_notes(compiled))
    return write(Path(path), data, "annotated ONNX file")


def _about(compiled: Compiled) -> dict[str, str]:
    return {"pinat.version": __version__, "pinat.model": compiled.name, "pinat.target": compiled.target.name}


# --- trained values ---


def trained_graph(compiled: Compiled) -> Graph:
    """The imported network with its trained values; see `export`."""
    trained = compiled.trained
    if not trained:
        return compiled.source
    plain, _ = prepare(compiled.source, compiled.options)
    plain = plain.copy()
    for tuned, value in trained.items():
        name = tuned.removesuffix(SUFFIX)
        if name in plain.tensors:  # what lowering made (gains, missing biases) is folded in below
            plain.tensors[name] = value.astype(plain.tensors[name].dtype)
    scopes = {node.name: scope for scope, node in plain.walk()}
    for _, node in compiled.graph.walk():
        if isinstance(node.op, ArrayMvm):
            _fold(plain, scopes.get(node.name, plain), compiled.graph, node)
    return DropUnused().run(plain)


def _fold(plain: Graph, scope: Graph, mapped: Graph, node: Node) -> None:
    """Give the node of ``scope``, which is ``plain`` or a region of it, the gain and bias that it has on arrays."""
    gain, bias = (mapped.tensors[name].astype(np.float64) for name in node.inputs[1:3])
    original = scope.node(node.name) if node.name in scope else None
    if original is not None and isinstance(original.op, Conv):
        scope.update(_affine(plain, original, gain, bias, axis=0))
    elif original is not None and isinstance(original.op, Gemm):
        op = replace(original.op, alpha=1.0, beta=1.0)
        scope.update(_affine(plain, replace(original, op=op), gain, bias, axis=0 if op.trans_b else 1))
    elif original is not None and isinstance(original.op, MatMul):
        scope.replace(original.name, *_matmul(plain, scope, original, gain, bias))
    else:
        raise ModelError(
            f"node {node.name!r}: its trained values have no place in plain ONNX",
            hint="export --conductances instead, or compile with --digital for this node",
        )


def _affine(plain: Graph, node: Node, gain: Array, bias: Array, axis: int) -> Node:
    """A layer that has room for a bias: ``gain`` into the weight, whose outputs lie along ``axis``."""
    weight = _scaled(plain, node.inputs[1], gain, axis)
    names = (*node.inputs[:2], node.inputs[2] if len(node.inputs) > 2 else "")
    if names[2] or bias.any():
        names = (*names[:2], _tensor(plain, names[2] or f"{node.name}.bias", bias, plain.tensors[weight].dtype))
    return replace(node, inputs=(names[0], weight, *filter(None, names[2:])))


def _matmul(plain: Graph, scope: Graph, node: Node, gain: Array, bias: Array) -> list[Node]:
    """``gain`` into the constant, on whichever side it stands; a bias that is not zero as an Add behind."""
    side = 1 if plain.is_constant(node.inputs[1]) else 0
    inputs = list(node.inputs)
    inputs[side] = _scaled(plain, inputs[side], gain, axis=side)
    node = replace(node, inputs=tuple(inputs))
    if not bias.any():
        return [node]
    dtype = plain.tensors[inputs[side]].dtype
    bias = bias if side else bias[:, None]
    if (behind := _add_behind(scope, node)) is not None:
        old = behind.inputs[1] if plain.is_constant(behind.inputs[1]) else behind.inputs[0]
        summed = _tensor(plain, old, plain.tensors[old] + bias.reshape(plain.tensors[old].shape), dtype)
        scope.update(replace(behind, inputs=tuple(summed if name == old else name for name in behind.inputs)))
        return [node]
    added = _tensor(plain, f"{node.name}.bias", bias, dtype)
    product = plain.fresh(f"{node.outputs[0]}.product")
    scope.types[product] = scope.type_of(node.outputs[0])
    add = Node(plain.fresh(f"{node.name}.add"), Add(), (product, added), node.outputs)
    return [replace(node, outputs=(product,)), add]


def _add_behind(scope: Graph, node: Node) -> Node | None:
    """An Add of as many constants as the product has outputs, which alone reads it."""
    readers = scope.readers(node.outputs[0])
    if len(readers) != 1 or not isinstance(readers[0].op, Add) or node.outputs[0] in scope.outputs:
        return None
    constants = [scope.tensors[name] for name in readers[0].inputs if scope.is_constant(name)]
    weight = next(scope.tensors[name] for name in node.inputs if scope.is_constant(name))
    outputs = weight.shape[1] if scope.is_constant(node.inputs[1]) else weight.shape[0]
    fits = len(constants) == 1 and constants[0].shape == (outputs,) and scope.is_constant(node.inputs[1])
    return readers[0] if fits else None


def _scaled(plain: Graph, name: str, gain: Array, axis: int) -> str:
    """The name of the weight times ``gain`` along ``axis``: a tensor of its own where that changes it."""
    if (gain == 1.0).all():
        return name
    weight = plain.tensors[name]
    shape = [1] * weight.ndim
    shape[axis] = -1
    return _tensor(plain, name, weight * gain.reshape(shape), weight.dtype)


def _tensor(plain: Graph, name: str, value: Array, dtype: Any) -> str:
    """The name of a tensor of that value: ``name`` where it holds just that, else a fresh one."""
    value = value.astype(dtype)
    if name in plain.tensors and np.array_equal(plain.tensors[name], value):
        return name
    fresh = plain.fresh(name)
    plain.tensors[fresh] = value
    return fresh


# --- notes ---


def _notes(compiled: Compiled) -> dict[str, dict[str, str]]:
    """Metadata by node of the original network; a node that mapping folded away or replaced says so."""
    document = report_document(compiled, with_tiles=True)
    layers = {layer["name"]: layer for layer in document["layers"]}
    found = {}
    for node in compiled.source.nodes:
        layer = layers.get(node.name)
        ending = f" {node.name}"
        parts = [other for name, other in layers.items() if name != node.name and other["why"].endswith(ending)]
        if layer is None and not parts:
            found[node.name] = {"pinat.where": "folded", "pinat.why": "became part of its neighbours"}
        else:
            found[node.name] = _note([*filter(None, [layer]), *parts], document["tiles"])
    return found


def _note(layers: list[Document], tiles: list[Document]) -> dict[str, str]:
    """On a node and on what it was rewritten as."""
    first = next((layer for layer in layers if layer["where"] == "analog"), layers[0])
    note = {"pinat.where": first["where"], "pinat.why": first["why"]}
    energies = [layer["energy_j"]["total"] for layer in layers]
    if None not in energies:
        note["pinat.energy_j"] = f"{sum(energies):.6g}"
    names = {matrix["name"] for layer in layers for matrix in layer["matrices"]}
    mine = [tile for tile in tiles if tile["matrix"] in names]
    if mine:
        note["pinat.arrays"] = ",".join(str(number) for number in sorted({tile["array"] for tile in mine}))
        note["pinat.tiles"] = ",".join(tile["id"] for tile in mine)
    return note
