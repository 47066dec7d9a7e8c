"""How passes that put several nodes in the place of one make them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any

import numpy as np

from pinat_compile.graph import Array, Graph, Node, TensorType
from pinat_compile.graph.graph import Placement
from pinat_compile.graph.ops.base import Op


@dataclass
class Steps:
    """The nodes that take the place of ``node`` in ``scope``, collected until `put`; types and tensors are set at once.

    Names are new in ``scope``; a node may be given the name of the one that it replaces.
    """

    scope: Graph
    node: Node
    nodes: list[Node] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)

    def fresh(self, stem: str) -> str:
        """A name that neither the scope nor any of these nodes has."""
        names = chain((stem,), (f"{stem}.{i}" for i in count(1)))
        name = next(name for name in names if name not in self.taken and self.scope.fresh(name) == name)
        self.taken.add(name)
        return name

    def tensor(self, stem: str, value: Any, dtype: Any = np.float32) -> str:
        """A constant."""
        name = self.fresh(stem)
        array: Array = np.asarray(value, dtype, order="C")
        self.scope.tensors[name] = array
        return name

    def add(self, op: Op, inputs: Sequence[str], name: str, kind: TensorType, **given: Any) -> str:
        """One node with one result of type ``kind``, called ``output`` where that is given; gives its name."""
        return self.add_many(op, inputs, name, [kind], **given)[0]

    def add_many(
        self,
        op: Op,
        inputs: Sequence[str],
        name: str,
        kinds: Sequence[TensorType],
        *,
        output: str | None = None,
        placement: Placement | None = None,
        regions: Sequence[Graph] = (),
    ) -> list[str]:
        """One node with several results; gives their names."""
        outputs = [output] if output else [self.fresh(f"{name}.out{i or ''}") for i in range(len(kinds))]
        self.scope.types.update(zip(outputs, kinds, strict=True))
        own = name if name == self.node.name else self.fresh(name)
        where = placement or Placement("digital", f"part of {self.node.name}")
        self.nodes.append(Node(own, op, tuple(inputs), tuple(outputs), where, tuple(regions)))
        return outputs

    def inside(self, region: Graph) -> Steps:
        """Steps for a region of one of these nodes."""
        return Steps(region, self.node, taken=self.taken)

    def put(self) -> None:
        """Put the nodes in the place of the one that they replace."""
        self.scope.replace(self.node.name, *self.nodes)
