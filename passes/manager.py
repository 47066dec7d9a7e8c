"""The pass manager: runs passes in order, verifies after each, times it, shows it to an observer, names the guilty."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import perf_counter

from pinat_compile.errors import GraphError, PassError
from pinat_compile.graph import Graph, verify
from pinat_compile.passes.base import Pass


@dataclass(frozen=True, slots=True)
class PassRecord:
    """What one pass did, for the report."""

    name: str
    seconds: float
    nodes_before: int
    nodes_after: int
    gain: str = ""


Observer = Callable[[PassRecord, Graph], None]
"""Called after each pass with its record and the graph that it left."""


def run_passes(
    graph: Graph, passes: Iterable[Pass], observer: Observer | None = None
) -> tuple[Graph, tuple[PassRecord, ...]]:
    """Run ``passes`` in order. A pass that leaves an invalid graph is named by a PassError, with those before it."""
    records: list[PassRecord] = []
    for step in passes:
        before, started = graph, perf_counter()
        try:
            graph = step.run(graph)
            verify(graph)
        except GraphError as error:  # the pass's fault; other errors (a bad option, say) are told as they are
            ran = ", ".join(record.name for record in records) or "none"
            raise PassError(f"pass {step.name}: {error.message} (passes before it: {ran})", hint=error.hint) from error
        seconds = perf_counter() - started
        records.append(PassRecord(step.name, seconds, len(before), len(graph), step.gain(before, graph)))
        if observer is not None:
            observer(records[-1], graph)
    return graph, tuple(records)
