"""The graph: nodes in single-assignment form, the tensors and matrices they use, on a networkx graph of their order.

Edit through the methods, so that order and readers stay right. A region (the body of If, Loop or Scan) is a graph too;
it shares the tensors and matrices of the graph that holds it and may read its values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from typing import Any, Literal

import networkx as nx
import numpy.typing as npt

from pinat_compile.errors import GraphError
from pinat_compile.graph.matrix import Matrix
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.graph.ops.base import Op
from pinat_compile.graph.types import TensorType

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a node runs, and the reason in words."""

    where: Literal["analog", "digital"]
    why: str


@dataclass(frozen=True, slots=True)
class Buffers:
    """What waits in front of a node, operand by operand: bytes, and the first byte in the buffer of its tiles."""

    bytes: tuple[int, ...]
    at: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """One operation at one place: ``inputs`` name values or tensors (``""`` is an absent optional one)."""

    name: str
    op: Op
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    placement: Placement | None = None
    regions: tuple[Graph, ...] = ()
    buffers: Buffers | None = None

    def placed(self, where: Literal["analog", "digital"], why: str) -> Node:
        return replace(self, placement=Placement(where, why))


@dataclass(slots=True)
class Store:
    """Constant tensors and matrices by name; a graph and its regions share one."""

    tensors: dict[str, Array] = field(default_factory=dict)
    matrices: dict[str, Matrix] = field(default_factory=dict)


class Graph:
    """A network: inputs and outputs by name, the type of every value, nodes, and the store of tensors and matrices."""

    def __init__(
        self,
        name: str,
        inputs: Iterable[str],
        outputs: Iterable[str],
        *,
        types: dict[str, TensorType] | None = None,
        nodes: Iterable[Node] = (),
        store: Store | None = None,
    ) -> None:
        self.name = name
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.types: dict[str, TensorType] = dict(types or {})
        self.store = store if store is not None else Store()
        self._nodes: dict[str, Node] = {}
        self._used: set[str] = set(self.inputs)  # names of values and nodes, those removed since included
        self._index: _Index | None = None
        self._edits = 0
        for node in nodes:
            self.add(node)

    # --- reading ---

    @property
    def tensors(self) -> dict[str, Array]:
        return self.store.tensors

    @property
    def matrices(self) -> dict[str, Matrix]:
        return self.store.matrices

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, node_name: str) -> bool:
        return node_name in self._nodes

    def node(self, name: str) -> Node:
        try:
            return self._nodes[name]
        except KeyError:
            raise GraphError(f"graph {self.name!r} has no node {name!r}") from None

    @property
    def dag(self) -> nx.DiGraph[str]:
        """Node names, with an edge from the producer of a value to each of its readers (readers inside regions too)."""
        return self._lookup().dag

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, each after those it reads from; otherwise in the order in which they were added."""
        try:
            order = self._lookup().order
        except nx.NetworkXUnfeasible:
            cycle = " -> ".join(edge[0] for edge in nx.find_cycle(self.dag))
            raise GraphError(f"graph {self.name!r} has a cycle: {cycle}") from None
        return tuple(self._nodes[name] for name in order)

    def walk(self) -> Iterator[tuple[Graph, Node]]:
        """Every node of this graph and of its regions, outer before inner."""
        for node in self.nodes:
            yield self, node
            for region in node.regions:
                yield from region.walk()

    def producer(self, value: str) -> Node | None:
        """The node of this graph that writes ``value``; ``None`` for inputs, tensors and values of an outer graph."""
        name = self._lookup().producers.get(value)
        return None if name is None else self._nodes[name]

    def readers(self, value: str) -> tuple[Node, ...]:
        """Nodes of this graph that read ``value``, in order; a node whose region reads it counts."""
        return tuple(self._nodes[name] for name in self._lookup().readers.get(value, ()))

    def is_constant(self, value: str) -> bool:
        return value in self.tensors

    def type_of(self, value: str) -> TensorType:
        """The type of a value or tensor; unknown values have dtype ``float32`` and unknown shape."""
        if value in self.tensors:
            tensor = self.tensors[value]
            return TensorType(str(tensor.dtype), tuple(tensor.shape))
        return self.types.get(value, TensorType("float32", None))

    def users(self, matrix: str) -> tuple[Node, ...]:
        """The MVM nodes, in regions too, that multiply by ``matrix``."""
        return tuple(n for _, n in self.walk() if isinstance(n.op, ArrayMvm) and n.op.matrix == matrix)

    def fresh(self, stem: str) -> str:
        """A name, starting with ``stem``, that no node, value, tensor or matrix has."""
        if not self._knows(stem):
            return stem
        return next(name for i in count(1) if not self._knows(name := f"{stem}.{i}"))

    def _knows(self, name: str) -> bool:
        if name in self._used or name in self.tensors or name in self.matrices:
            return True
        return any(region._knows(name) for node in self._nodes.values() for region in node.regions)

    # --- editing ---

    def copy(self) -> Graph:
        """A copy that can be edited alone; tensors (never edited in place) are shared, regions copied."""
        return self._copy(Store(dict(self.tensors), dict(self.matrices)))

    def _copy(self, store: Store) -> Graph:
        nodes = [
            replace(node, regions=tuple(region._copy(store) for region in node.regions)) if node.regions else node
            for node in self._nodes.values()
        ]
        return Graph(self.name, self.inputs, self.outputs, types=self.types, nodes=nodes, store=store)

    def add(self, node: Node) -> None:
        if node.name in self._nodes:
            raise GraphError(f"graph {self.name!r} has two nodes named {node.name!r}")
        self._nodes[node.name] = node
        self._changed(node)

    def remove(self, name: str) -> None:
        del self._nodes[self.node(name).name]
        self._changed()

    def replace(self, name: str, *nodes: Node) -> None:
        """Put ``nodes`` in the place of node ``name``."""
        self.node(name)
        items: dict[str, Node] = {}
        for old in self._nodes.values():
            for node in nodes if old.name == name else (old,):
                if node.name in items:
                    raise GraphError(f"graph {self.name!r} would have two nodes named {node.name!r}")
                items[node.name] = node
        self._nodes = items
        self._changed(*nodes)

    def update(self, node: Node) -> None:
        """Put ``node`` in the place of the node of the same name; cheaper than ``replace``."""
        self._nodes[self.node(node.name).name] = node
        self._changed(node)

    def redirect(self, old: str, new: str) -> None:
        """Make every reader of value ``old`` (in regions and among the outputs too) read ``new``."""
        self.outputs = tuple(new if value == old else value for value in self.outputs)
        for node in list(self._nodes.values()):
            for region in node.regions:
                region.redirect(old, new)
            if old in node.inputs:
                self._nodes[node.name] = replace(node, inputs=tuple(new if v == old else v for v in node.inputs))
        self._changed()

    def _changed(self, *added: Node) -> None:
        self._index = None
        self._edits += 1
        for node in added:
            self._used.update((node.name, *node.outputs))

    def _lookup(self) -> _Index:
        if self._index is None or not self._index.holds():
            self._index = _Index(self._nodes)
        return self._index


class _Index:
    """Who writes and who reads each value, and the order that follows; made anew after an edit, of a region too."""

    def __init__(self, nodes: dict[str, Node]) -> None:
        self.names = tuple(nodes)
        self.producers = {value: node.name for node in nodes.values() for value in node.outputs if value}
        self.readers: dict[str, list[str]] = {}
        for node in nodes.values():
            for value in reads(node):
                self.readers.setdefault(value, []).append(node.name)
        self.regions = tuple((region, region._edits) for node in nodes.values() for region in _regions(node))

    def holds(self) -> bool:
        """Whether no region has been edited since."""
        return all(region._edits == edits for region, edits in self.regions)

    @cached_property
    def dag(self) -> nx.DiGraph[str]:
        dag: nx.DiGraph[str] = nx.DiGraph()
        dag.add_nodes_from(self.names)
        for value, readers in self.readers.items():
            if value in self.producers:
                dag.add_edges_from((self.producers[value], reader) for reader in readers)
        return dag

    @cached_property
    def order(self) -> tuple[str, ...]:
        rank = {name: index for index, name in enumerate(self.names)}
        return tuple(nx.lexicographical_topological_sort(self.dag, key=rank.__getitem__))


def _regions(node: Node) -> Iterator[Graph]:
    for region in node.regions:
        yield region
        for inner in region._nodes.values():
            yield from _regions(inner)


def reads(node: Node) -> tuple[str, ...]:
    """All names that a node reads: its operands, and what its regions take from outside."""
    names = dict.fromkeys(name for name in node.inputs if name)
    for region in node.regions:
        inside = set(region.inputs) | {value for inner in region._nodes.values() for value in inner.outputs}
        for inner in region._nodes.values():
            names.update(dict.fromkeys(name for name in reads(inner) if name not in inside))
        names.update(dict.fromkeys(name for name in region.outputs if name not in inside))
    return tuple(names)
