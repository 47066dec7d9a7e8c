"""Decide what is written anew in every inference, where the network is larger than the board."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pinat_compile.graph import Graph
from pinat_compile.graph.arrays import allocated, array_numbers, count_arrays, reloaded, rounds
from pinat_compile.hardware.schema import Target
from pinat_compile.passes.base import Pass


@dataclass(frozen=True)
class PlanReloads(Pass):
    """Let the numbers of arrays wrap round the board.

        @a first_array=0 of 5 arrays, @b first_array=5 of 3; a board of 6   ==>   both capacity=6: @b on arrays 5, 0, 1

    In every inference the network passes over the board, in order, as often as it needs to. An array that one tile
    alone stands on keeps it; only the others are written anew: a network a little larger than the board writes little.

    1. The network fits: nothing changes.
    2. It does not: every matrix wraps, wherever it then stands. A matrix larger than the board is written in parts.
    3. The target has no [chip]: there is no board to be too small.
    """

    name: ClassVar[str] = "plan-reloads"
    preserves_values: ClassVar[bool] = False
    target: Target

    def run(self, graph: Graph) -> Graph:
        graph = graph.copy()
        chip = self.target.chip
        if chip is None or count_arrays(graph) <= chip.capacity:  # 3, 1
            return graph
        for name, matrix in graph.matrices.items():  # 2
            graph.matrices[name] = matrix.with_plan(capacity=chip.capacity)
        return graph

    def gain(self, before: Graph, after: Graph) -> str:
        anew = reloaded(after)
        if not anew:
            return ""
        written = sum(int(tiles.sum()) for tiles in anew.values())
        total = sum(array_numbers(matrix).size for matrix in allocated(after))
        capacity = self.target.chip.capacity if self.target.chip is not None else 0
        return (
            f"{count_arrays(after):,} arrays on a board of {capacity:,}: {rounds(after)} rounds, "
            f"{written:,} of {total:,} tiles written anew in every inference"
        )
