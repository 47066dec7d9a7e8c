"""Inner values of a graph as outputs of it, also those that live in the bodies of loops and branches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from pinat_compile.graph.graph import Graph, Node
from pinat_compile.graph.ops.control import If, Scan
from pinat_compile.graph.ops.shape import Identity
from pinat_compile.graph.types import TensorType


def expose(graph: Graph, names: Iterable[str]) -> tuple[Graph, dict[str, str]]:
    """A copy of ``graph``, and the name of an outer value for each of ``names``.

    A value of a loop is stacked over its iterations, along as many leading axes as it stands in loops; one of a branch
    that does not run is empty.
    """
    graph = graph.copy()
    return graph, {name: _outside(graph, name) for name in dict.fromkeys(names)}


def _outside(graph: Graph, name: str) -> str:
    """Bring ``name`` out of the region that it lives in, if any, one region at a time."""
    while (holder := _holder(graph, name)) is not None:
        name = _out_of_region(*holder, name)
    return name


def _holder(graph: Graph, name: str) -> tuple[Graph, Node, int] | None:
    """The scope, node and region, innermost, in which ``name`` is an input or a node's result."""
    for scope, node in graph.walk():
        for index, region in enumerate(node.regions):
            if name in region.inputs or region.producer(name) is not None:
                return scope, node, index
    return None


def _out_of_region(scope: Graph, node: Node, index: int, name: str) -> str:
    kind = node.regions[index].type_of(name)
    for position, region in enumerate(node.regions):
        source = name if position == index else _nothing(region, name, kind)
        given = region.fresh(f"{name}.tap")
        region.add(Node(region.fresh(f"{name}.tap"), Identity(), (source,), (given,)))
        region.types[given] = TensorType(kind.dtype)
        region.outputs = (*region.outputs, given)
    outer = scope.fresh(f"{name}.taps")
    scope.types[outer] = TensorType(kind.dtype)
    op = node.op
    if isinstance(op, Scan):
        op = replace(
            op,
            scan_output_axes=op.scan_output_axes and (*op.scan_output_axes, 0),
            scan_output_directions=op.scan_output_directions and (*op.scan_output_directions, 0),
        )
    scope.update(replace(node, op=op, outputs=(*_all_outputs(scope, node, index), outer)))
    return outer


def _all_outputs(scope: Graph, node: Node, index: int) -> tuple[str, ...]:
    """The node's results, those at the end that nobody wanted under a name too: the new one comes after them."""
    loop = not isinstance(node.op, If | Scan)
    missing = len(node.regions[index].outputs) - 1 - loop - len(node.outputs)
    return (*node.outputs, *(scope.fresh(f"{node.name}.unread.{i}") for i in range(missing)))


def _nothing(region: Graph, name: str, kind: TensorType) -> str:
    """An empty tensor for the branch that does not have the value."""
    empty = region.fresh(f"{name}.none")
    region.tensors[empty] = np.zeros(0, kind.dtype)
    return empty
