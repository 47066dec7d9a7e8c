"""How much of a node's operands waits in the buffers of its tiles, and when."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pinat_compile.cost.timeline import Slot, Timeline, timeline, wait_share
from pinat_compile.cost.traffic import Home, homes, tiles_of
from pinat_compile.cost.work import bytes_per_value
from pinat_compile.graph.graph import Graph
from pinat_compile.graph.sizes import ShapeOf, sample_shapes
from pinat_compile.hardware.schema import Target


@dataclass(frozen=True, slots=True)
class Waiting:
    """One operand of one node: ``whole`` bytes of it per sample, of which ``bytes`` wait at most.

    ``begin_ns`` to ``end_ns``: from when its producer starts (0 for the network's inputs) until the node is done.
    ``skewed``: another operand of the node comes from further behind, so that this one waits for it.
    """

    node: str
    operand: int
    home: Home
    whole: float
    bytes: float
    begin_ns: float
    end_ns: float
    skewed: bool


def waiting(graph: Graph, target: Target) -> list[Waiting]:
    """Every operand that is not constant; empty where a size or a time is not known."""
    shape_of = sample_shapes(graph)
    times = timeline(graph, target, shape_of)
    return [] if times is None else list(_operands(graph, target, shape_of, times))


def _operands(graph: Graph, target: Target, shape_of: ShapeOf, times: Timeline) -> Iterator[Waiting]:
    each, where = bytes_per_value(target), homes(graph)
    makers = {value: node.name for _, node in graph.walk() for value in node.outputs if value}
    for _, node in graph.walk():
        slot = times.slots[node.name]
        first = {name: times.slots[makers[name]] for name in node.inputs if name in makers}
        for index, name in enumerate(node.inputs):
            shape = shape_of(name) if name and not graph.is_constant(name) else None
            if shape is None:
                continue
            whole = math.prod(shape) * each
            maker = first.get(name, Slot(0.0, 0.0, 0.0))
            share = _share(maker, slot, wait_share(node, shape, target.layout.pipeline == "rows"))
            share = _of_all_samples(share, maker, slot, times.interval_ns, target.layout.pipeline)
            late = max((other.start_ns for other in first.values()), default=0.0) > maker.start_ns
            yield Waiting(node.name, index, where[node.name], whole, math.ceil(whole * share), maker.start_ns,
                          slot.end_ns, late and len(first) > 1)  # fmt: skip


def _of_all_samples(share: float, maker: Slot, reader: Slot, interval_ns: float, pipeline: str) -> float:
    """A sample's ``share``, and what waits of the samples that follow it before the reader has come to its end."""
    interval = max(interval_ns, 1e-9)
    if pipeline == "off":
        return share
    if pipeline == "rows":  # a maker's worth for every interval that the reader is behind
        return share + (reader.start_ns - maker.start_ns) // interval
    return share * max(1, math.ceil((reader.end_ns - maker.start_ns) / interval))


def _share(maker: Slot, reader: Slot, window: float) -> float:
    """The largest share of an operand that is made and not used up yet, if both go on evenly; the window stays."""
    made = _done(maker, reader.start_ns)
    left = 1.0 - _done(reader, maker.end_ns)
    return min(1.0, max(made, left, window))


def _done(slot: Slot, at_ns: float) -> float:
    """The share of a node's work that is done at a time."""
    if at_ns >= slot.end_ns:
        return 1.0
    return max(0.0, (at_ns - slot.start_ns) / (slot.end_ns - slot.start_ns))


def fit(parts: list[Waiting], shared: bool) -> dict[tuple[str, int], int]:
    """Where each operand begins in its home's buffer: the largest first, at the lowest place that is free while it
    waits. Not ``shared``: nothing is ever free again, one operand stands behind the other."""
    at: dict[tuple[str, int], int] = {}
    placed: dict[Home, list[tuple[Waiting, int]]] = {}
    for part in sorted(parts, key=lambda part: (-part.bytes, part.begin_ns, part.node, part.operand)):
        others = placed.setdefault(part.home, [])
        busy = sorted((o, o + int(p.bytes)) for p, o in others if not shared or _overlap(p, part))
        place = 0
        for begin, end in busy:
            if place + part.bytes <= begin:
                break
            place = max(place, end)
        others.append((part, place))
        at[part.node, part.operand] = place
    return at


def _overlap(one: Waiting, other: Waiting) -> bool:
    return one.begin_ns < other.end_ns and other.begin_ns < one.end_ns


def peak_bytes(graph: Graph, target: Target) -> dict[Home, float]:
    """Bytes of one tile's buffer that are ever used, by the matrix on whose tiles they stand, spread evenly."""
    where = homes(graph)
    peaks: dict[Home, float] = {}
    for _, node in graph.walk():
        if node.buffers is not None:
            ends = (at + size for at, size in zip(node.buffers.at, node.buffers.bytes, strict=True))
            peaks[where[node.name]] = max(peaks.get(where[node.name], 0.0), *ends)
    return {home: peak / _tiles(graph, target, home) for home, peak in peaks.items()}


def _tiles(graph: Graph, target: Target, home: Home) -> int:
    return 1 if home is None or target.chip is None else len(tiles_of(target.chip, graph.matrices[home]))


def by_node(parts: list[Waiting]) -> Mapping[str, list[Waiting]]:
    """The operands of each node."""
    found: dict[str, list[Waiting]] = {}
    for part in parts:
        found.setdefault(part.node, []).append(part)
    return found
