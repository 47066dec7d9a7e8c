"""Decide where in a tile's buffer each operand waits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from pinat_compile.cost.buffers import fit, peak_bytes, waiting
from pinat_compile.cost.traffic import homes
from pinat_compile.graph import Buffers, Graph
from pinat_compile.hardware.schema import Target
from pinat_compile.passes.base import Pass


@dataclass(frozen=True)
class AllocateBuffers(Pass):
    """Give every buffered operand a place that nobody else uses while it waits.

        buffers bytes=[64, 0, 0] of "a" until 10 ns, of "b" from 10 ns     ==>     both at=[0, 0, 0]

    1. off, or a network that is written anew in rounds: a place is free again once its operand is used up (largest
       first, at the lowest place that is free).
    2. Samples overlap: all operands wait at any time, of one sample or another; each has a place of its own.
    3. A node without buffers: nothing.
    """

    name: ClassVar[str] = "allocate-buffers"
    preserves_values: ClassVar[bool] = False
    target: Target

    def run(self, graph: Graph) -> Graph:
        graph = graph.copy()
        if not any(node.buffers is not None for _, node in graph.walk()):  # 3
            return graph
        parts = [part for part in waiting(graph, self.target) if part.bytes]
        _put(graph, fit(parts, self._shared(graph)))
        return graph

    def _shared(self, graph: Graph) -> bool:
        return self.target.layout.pipeline == "off" or any(m.capacity is not None for m in graph.matrices.values())

    def gain(self, before: Graph, after: Graph) -> str:
        peaks = peak_bytes(after, self.target)
        if not peaks:
            return ""
        alone: dict[str | None, float] = {}
        for part in waiting(after, self.target):
            alone[part.home] = alone.get(part.home, 0.0) + part.bytes
        largest = max(peaks, key=lambda home: peaks[home])
        saved = sum(alone.values()) and 1.0 - _total(after) / sum(alone.values())
        room = None if self.target.chip is None else self.target.chip.buffer_kib
        over = "" if room is None else f" of {room:,.0f}"
        return (
            f"at most {peaks[largest] / 1024:,.1f} KiB{over} in a tile ({largest or 'input'}); "
            f"{100 * saved:.0f} % saved by using places again"
        )


def _total(graph: Graph) -> float:
    """Bytes of all homes' buffers, each up to its highest place."""
    where, tops = homes(graph), dict[str | None, int]()
    for _, node in graph.walk():
        if node.buffers is not None:
            top = max(at + size for at, size in zip(node.buffers.at, node.buffers.bytes, strict=True))
            tops[where[node.name]] = max(tops.get(where[node.name], 0), top)
    return float(sum(tops.values()))


def _put(scope: Graph, at: dict[tuple[str, int], int]) -> None:
    for node in scope.nodes:
        for region in node.regions:
            _put(region, at)
        if node.buffers is not None:  # 3
            places = tuple(at.get((node.name, index), 0) for index in range(len(node.inputs)))
            scope.update(replace(node, buffers=Buffers(node.buffers.bytes, places)))

