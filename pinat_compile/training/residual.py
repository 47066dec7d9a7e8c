"""Stochastic residual layers in a compiled graph: x' = phi(Combine(x, F_noisy(x, W))), Combine adds or concatenates.

F_noisy is what stands on arrays, with all of their noise; the skip is exact where it is digital, and has noise of its
own where it passes arrays too (a projection). A layer without a skip has Combine = F_noisy and is not listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import networkx as nx

from pinat_compile.graph import Graph, Node
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.graph.ops.elementwise import Add, Sum
from pinat_compile.graph.ops.shape import Concat

START = "\x00start"
"""Stands for the network's inputs; no node has such a name."""


@dataclass(frozen=True, slots=True)
class ResidualLayer:
    """One stochastic residual layer: the node that combines, the value that both sides start from.

    ``noisy``: the nodes on arrays of the noisy side; ``skip``: those of the other side, none where it is exact.
    """

    node: str
    combine: Literal["add", "concat"]
    source: str
    noisy: tuple[str, ...]
    skip: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"node": self.node, "combine": self.combine, "source": self.source, "noisy": list(self.noisy),
                "skip": list(self.skip), "exact_skip": not self.skip}


def residual_layers(graph: Graph) -> tuple[ResidualLayer, ...]:
    """The stochastic residual layers of ``graph``, in order.

    1. An addition or concatenation of two computed values of which at least one passes arrays.
    2. Its source is the last value that every path to it passes: its immediate dominator.
    3. The side with more layers on arrays is the noisy one; the other is the skip.
    """
    whole = nx.DiGraph(graph.dag)
    whole.add_edges_from((START, name) for name in graph.dag if not graph.dag.in_degree(name))
    whole.add_edges_from((START, n.name) for n in graph.nodes if set(n.inputs) & set(graph.inputs))
    dominators = nx.immediate_dominators(whole, START) if graph.nodes else {}
    found = (_layer(graph, whole, node, str(dominators[node.name])) for node in graph.nodes)
    return tuple(layer for layer in found if layer is not None)


def _layer(graph: Graph, whole: nx.DiGraph[str], node: Node, source: str) -> ResidualLayer | None:
    combine: Literal["add", "concat"] = "concat" if isinstance(node.op, Concat) else "add"
    operands = [name for name in node.inputs if name and not graph.is_constant(name)]
    if not isinstance(node.op, (Add, Sum, Concat)) or len(operands) != 2:  # 1
        return None
    sides = sorted((_on_arrays(graph, whole, name, source) for name in operands), key=len)
    if not sides[1]:
        return None
    value = _value(graph, source)
    return ResidualLayer(node.name, combine, value, noisy=sides[1], skip=sides[0])  # 2, 3


def _on_arrays(graph: Graph, whole: nx.DiGraph[str], value: str, source: str) -> tuple[str, ...]:
    """The nodes on arrays on all paths from ``source`` to ``value``."""
    producer = graph.producer(value)
    if producer is None or producer.name == source:
        return ()
    between = (nx.ancestors(whole, producer.name) & nx.descendants(whole, source)) | {producer.name}
    return tuple(n.name for n in graph.nodes if n.name in between and isinstance(n.op, ArrayMvm))


def _value(graph: Graph, source: str) -> str:
    return ", ".join(graph.inputs) if source == START else graph.node(source).outputs[0]
