"""Put a layer onto arrays several times and take the mean: redundancy against what devices deviate by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from pinat_compile.errors import OptionError
from pinat_compile.graph import Graph, Node
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.graph.ops.elementwise import Mean
from pinat_compile.passes.base import ScopePass
from pinat_compile.passes.building import Steps

MOST = 64
"""Copies of a layer."""


@dataclass(frozen=True)
class RepeatLayers(ScopePass):
    """Compute the products of the named layers several times, each on devices of its own, and go on with their mean.

        ArrayMvm(x) matrix=fc     ==>     Mean(ArrayMvm(x) matrix=fc, ArrayMvm(x) matrix=fc.copy2, …)

    Deviations of different devices are independent: the mean of n has 1/n of their variance, for n times the arrays
    and conversions. All copies have the same weights, gain and bias, and are trained as one.

    1. A node on arrays: its copies are matrices that repeat the weights of its own.
    2. Nodes that share a matrix share its copies too; each has as many as it asks for.
    3. A name of no node on arrays, or a number of copies that is not 1 to 64: OptionError.
    """

    name: ClassVar[str] = "repeat-layers"
    copies: Mapping[str, int] = field(default_factory=dict)

    def run(self, graph: Graph) -> Graph:
        known = {node.name for _, node in graph.walk() if isinstance(node.op, ArrayMvm)}
        for name, count in self.copies.items():  # 3
            if name not in known:
                raise OptionError(f"repeat: no layer on arrays is called {name!r}", hint="see inspect DIR")
            if not 1 <= count <= MOST:
                raise OptionError(f"repeat: {count} copies of {name!r}", hint=f"expected 1 to {MOST}")
        return super().run(graph)

    def rewrite(self, scope: Graph) -> None:
        for node in scope.nodes:
            if isinstance(node.op, ArrayMvm) and self.copies.get(node.name, 1) > 1:
                _repeat(scope, node, node.op, self.copies[node.name])


def _repeat(scope: Graph, node: Node, op: ArrayMvm, count: int) -> None:
    steps, kind = Steps(scope, node), scope.type_of(node.outputs[0])
    outputs = [steps.add(op, node.inputs, node.name, kind, placement=node.placement)]
    for number in range(2, count + 1):
        copy, name = replace(op, matrix=f"{op.matrix}.copy{number}"), f"{node.name}.copy{number}"
        outputs.append(steps.add(copy, node.inputs, name, kind, placement=node.placement))
        _add_copy(scope, op.matrix, copy.matrix)
    steps.add(Mean(), outputs, f"{node.name}.mean", kind, output=node.outputs[0])
    steps.put()


def _add_copy(scope: Graph, name: str, copy: str) -> None:
    """A matrix that repeats another one, where it is not there yet."""
    if copy not in scope.matrices:  # 2
        scope.matrices[copy] = replace(scope.matrices[name], name=copy, copy_of=name)
