"""Put the branch that runs in the place of an If whose condition is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from pinat_compile.graph import Graph, Node
from pinat_compile.graph.ops.control import If
from pinat_compile.passes.base import Pass
from pinat_compile.passes.fold_constants import FoldConstants


@dataclass(frozen=True)
class FoldBranches(Pass):
    """Replace an If with a constant condition by the nodes of one of its regions, and fold what that makes constant.

        tensor %c = true; %y = If(%c) { %a = Relu(%x) } else { … }     ==>     %y = Relu(%x)

    1. The condition is a tensor: the region's nodes take the node's place, and its results the node's names.
    2. An If inside that region, or one whose condition becomes constant by it, follows in the same run.
    3. The condition is computed at run time: leave it.
    """

    name: ClassVar[str] = "fold-branches"

    def run(self, graph: Graph) -> Graph:
        graph = graph.copy()
        while known := next(_known(graph), None):  # 2; each turn removes an If
            _inline(*known)
            if next(_known(graph), None) is None:
                graph = FoldConstants().run(graph)
        return graph


def _known(graph: Graph) -> Iterator[tuple[Graph, Node]]:
    for scope, node in graph.walk():
        if isinstance(node.op, If) and scope.is_constant(node.inputs[0]):  # 1, 3
            yield scope, node


def _inline(scope: Graph, node: Node) -> None:
    holds = bool(scope.tensors[node.inputs[0]].reshape(-1)[0])
    region = node.regions[0 if holds else 1]
    names = {inner: outer for inner, outer in zip(region.outputs, node.outputs, strict=False) if outer}
    moved = [_renamed(inner, names) for inner in region.nodes]
    scope.types.update({names.get(name, name): kind for name, kind in region.types.items()})
    scope.replace(node.name, *moved)


def _renamed(node: Node, names: dict[str, str]) -> Node:
    for region in node.regions:
        for old, new in names.items():
            region.redirect(old, new)
    inputs, outputs = (tuple(names.get(name, name) for name in given) for given in (node.inputs, node.outputs))
    return replace(node, inputs=inputs, outputs=outputs)
