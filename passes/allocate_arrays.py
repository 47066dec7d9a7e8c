"""Number the physical arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pinat_compile.graph import Graph
from pinat_compile.passes.base import Pass


@dataclass(frozen=True)
class AllocateArrays(Pass):
    """Give each matrix a run of array numbers, in the order in which the network first uses them.

        @conv1 1 tile, @conv2 2 tiles     ==>     @conv1 first_array=0, @conv2 first_array=1

    1. One tile, with all its slices side by side, stands on one array. Tiles are numbered row tile first.
    """

    name: ClassVar[str] = "allocate-arrays"
    preserves_values: ClassVar[bool] = False

    def run(self, graph: Graph) -> Graph:
        graph = graph.copy()
        following = 0
        for name, matrix in graph.matrices.items():
            graph.matrices[name] = matrix.with_plan(first_array=following)
            following += matrix.arrays
        return graph
