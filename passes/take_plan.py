"""Keep the plan of an earlier compilation instead of planning anew."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from pinat_compile.errors import GraphError
from pinat_compile.graph import Graph
from pinat_compile.passes.base import Pass


@dataclass(frozen=True)
class TakePlan(Pass):
    """Give every matrix the cells, cut, ranges and arrays that it has in ``planned``.

        matrix @conv1     ==>     matrix @conv1 with cells, cut, ranges and first_array of planned's @conv1

    1. Each matrix has a namesake of the same size in ``planned``: take its plan, and the tensors of its ranges.
    2. A matrix has none: GraphError; the plan belongs to another network.
    """

    name: ClassVar[str] = "take-plan"
    preserves_values: ClassVar[bool] = False
    planned: Graph

    def run(self, graph: Graph) -> Graph:
        graph = graph.copy()
        for name, matrix in list(graph.matrices.items()):
            known = self.planned.matrices.get(name)
            if known is None or (known.rows, known.cols, known.groups) != (matrix.rows, matrix.cols, matrix.groups):
                raise GraphError(f"matrix {name!r}: the plan to keep has no such matrix")  # 2
            graph.matrices[name] = replace(known, weight=matrix.weight, view=matrix.view)  # 1
            for tensor in known.plan_names:
                graph.tensors[tensor] = self.planned.tensors[tensor]
        return graph
