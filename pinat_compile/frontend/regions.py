"""The graphs inside an ONNX graph: bodies of If, Loop and Scan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count

import onnx

from pinat_compile.graph.ops.control import REGIONS

NAMES: Mapping[str, tuple[str, ...]] = {op.type_name(): names for op, names in REGIONS.items()}
"""The attributes that hold regions, by operator."""


def bodies(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """The graphs inside ``node``: in the order of its regions where we know the operator."""
    order = NAMES.get(node.op_type, ())
    found = [attribute for attribute in node.attribute if attribute.type == onnx.AttributeProto.GRAPH]
    found.sort(key=lambda attribute: order.index(attribute.name) if attribute.name in order else len(order))
    return [attribute.g for attribute in found]


def graphs_in(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """``graph`` and all graphs inside it, outer before inner."""
    yield graph
    for node in graph.node:
        for body in bodies(node):
            yield from graphs_in(body)


def rename_apart(graph: onnx.GraphProto) -> None:
    """Give every value inside a body a name that no other value has, in place; names of the graph itself stay.

    ONNX lets bodies that stand side by side use the same names.
    """
    if any(bodies(node) for node in graph.node):
        _rename(graph, {}, set(), keep=True)


def _rename(graph: onnx.GraphProto, around: Mapping[str, str], taken: set[str], *, keep: bool = False) -> None:
    names = dict(around)
    for name in dict.fromkeys(_defined(graph)):
        names[name] = name if keep or name not in taken else _fresh(name, taken)
        taken.add(names[name])
    for named in (*graph.input, *graph.initializer, *graph.output, *graph.value_info):
        named.name = names.get(named.name, named.name)
    for node in graph.node:
        for values in (node.input, node.output):
            for index, name in enumerate(values):
                values[index] = names.get(name, name)
        for body in bodies(node):
            _rename(body, names, taken)


def _defined(graph: onnx.GraphProto) -> Iterator[str]:
    for value in graph.input:
        yield value.name
    for tensor in graph.initializer:
        yield tensor.name
    for node in graph.node:
        yield from filter(None, node.output)


def _fresh(name: str, taken: set[str]) -> str:
    return next(fresh for i in count(1) if (fresh := f"{name}.{i}") not in taken)


def give_own_outputs(body: onnx.GraphProto) -> None:
    """Let a node of ``body`` write each of its outputs, in place, even where the body passes a value through."""
    written = {name for node in body.node for name in node.output}
    for value in body.output:
        if value.name in written:
            written.discard(value.name)  # a second output of that name gets a node of its own
            continue
        given = f"{value.name}.given"
        body.node.append(onnx.helper.make_node("Identity", [value.name], [given], name=f"{value.name}.pass"))
        value.name = given


def nodes_in(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """All nodes, those of bodies after the node that holds them."""
    for inner in graphs_in(graph):
        yield from inner.node
