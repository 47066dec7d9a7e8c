"""Number the physical arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pinat_compile.graph import Graph
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.passes.base import Pass


@dataclass(frozen=True)
class AllocateArrays(Pass):
    """Give each matrix a run of array numbers, in the order in which the network first uses them.

        @conv1 1 tile, @conv2 2 tiles     ==>     @conv1 first_array=0, @conv2 first_array=1

    1. One tile, with all its slices side by side, stands on one array. Tiles are numbered row tile first.
    2. A matrix that several nodes share is counted once; a copy of a matrix has arrays of its own.
    """

    name: ClassVar[str] = "allocate-arrays"
    preserves_values: ClassVar[bool] = False

    def run(self, graph: Graph) -> Graph:
        graph = graph.copy()
        used = (node.op.matrix for _, node in graph.walk() if isinstance(node.op, ArrayMvm))
        following = 0
        for name in dict.fromkeys((*used, *graph.matrices)):
            matrix = graph.matrices[name]
            graph.matrices[name] = matrix.with_plan(first_array=following)
            following += matrix.arrays
        return graph
