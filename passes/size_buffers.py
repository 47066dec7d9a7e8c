"""Decide how much of every operand waits in front of its node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from pinat_compile.cost.buffers import Waiting, by_node, waiting
from pinat_compile.graph import Buffers, Graph
from pinat_compile.hardware.schema import Target
from pinat_compile.passes.base import Pass


@dataclass(frozen=True)
class SizeBuffers(Pass):
    """Give every node the bytes of its operands in the buffer of its tiles, where ``layout.buffers`` asks for it.

        "conv" takes %x of 16 rows, 3 of them at a time     ==>     "conv" buffers bytes=[3 rows, 0, 0]

    ``layout.pipeline`` says what overlaps; the schedule (`pinat_compile.cost.timeline`) says who waits for whom.

    1. rows: the rows of the window, or those that come while the node waits for another operand (the shortcut of a
       residual block waits for the branch beside it), whichever is more.
    2. samples: whole operands, one for every sample that is under way between producer and node.
    3. off: whole operands, once.
    4. Not asked for, the target says nothing of time, or a size is not known: no buffers.
    """

    name: ClassVar[str] = "size-buffers"
    preserves_values: ClassVar[bool] = False
    target: Target

    def run(self, graph: Graph) -> Graph:
        graph = graph.copy()
        if not self.target.layout.buffers:  # 4
            return graph
        _give(graph, by_node(waiting(graph, self.target)))  # 4 where there are none
        return graph

    def gain(self, before: Graph, after: Graph) -> str:
        parts = waiting(after, self.target) if self.target.layout.buffers else []
        if not parts:
            return ""
        held, whole = sum(part.bytes for part in parts), sum(part.whole for part in parts)
        skew = sum(part.bytes for part in parts if part.skewed)
        what = {"rows": "rows that wait", "samples": "maps of all samples under way", "off": "maps of one sample"}
        return (
            f"{held / 1024:,.1f} KiB for {what[self.target.layout.pipeline]}, {skew / 1024:,.1f} of it for operands "
            f"that wait for another; one sample's maps are {whole / 1024:,.1f} KiB"
        )


def _give(scope: Graph, parts: Mapping[str, list[Waiting]]) -> None:
    for node in scope.nodes:
        for region in node.regions:
            _give(region, parts)
        sizes = {part.operand: int(part.bytes) for part in parts.get(node.name, ())}
        if sizes:
            each = tuple(sizes.get(index, 0) for index in range(len(node.inputs)))
            scope.update(replace(node, buffers=Buffers(each, (0,) * len(each))))
