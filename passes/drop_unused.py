"""Remove nodes, tensors and matrices that nothing uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from pinat_compile.graph import Graph
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.passes.base import Pass


@dataclass(frozen=True)
class DropUnused(Pass):
    """Keep what the outputs need.

    1. A node none of whose results is read or given out: remove it, and then what fed only it.
    2. A matrix that no node multiplies by: remove it.
    3. A tensor that no node, matrix or output names: remove it.
    """

    name: ClassVar[str] = "drop-unused"

    def run(self, graph: Graph) -> Graph:
        graph = graph.copy()
        _drop_nodes(graph)
        used = {node.op.matrix for _, node in graph.walk() if isinstance(node.op, ArrayMvm)}
        for name in [name for name in graph.matrices if name not in used]:  # 2
            del graph.matrices[name]
        named = set(_named(graph))
        for matrix in graph.matrices.values():
            named.add(matrix.weight)
            named.update(matrix.plan_names)
        for name in [name for name in graph.tensors if name not in named]:  # 3
            del graph.tensors[name]
        return graph


def _drop_nodes(scope: Graph) -> None:
    for node in reversed(scope.nodes):  # readers first, so that one sweep is enough
        for region in node.regions:
            _drop_nodes(region)
        if not any(name in scope.outputs or scope.readers(name) for name in node.outputs if name):  # 1
            scope.remove(node.name)


def _named(scope: Graph) -> Iterator[str]:
    """What the nodes and outputs of ``scope`` and its regions name."""
    yield from scope.outputs
    for node in scope.nodes:
        yield from node.inputs
        for region in node.regions:
            yield from _named(region)
