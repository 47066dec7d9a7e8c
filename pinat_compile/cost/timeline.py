"""When every node works on a sample, and how soon the next sample can follow.

Array layers overlap as ``layout.pipeline`` says. samples: a layer starts when its input is complete, while the layers
before it work on the next sample (off: while they wait). rows: it starts with the rows of the input that its first
window covers. Digital operators that work element by element follow their input row by row either way.

The interval from sample to sample is that of the busiest resource: an array, the digital units of a tile, the way onto
the chip. Where nothing overlaps (off, or arrays that are written anew in every inference) it is the latency.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pinat_compile.cost.operations import PER_OUTPUT, OpCount
from pinat_compile.cost.timing import digital_ns, product_ns
from pinat_compile.cost.traffic import Moved, homes, moved_by, tiles_of
from pinat_compile.cost.work import Work, works
from pinat_compile.graph.arrays import rounds, standing
from pinat_compile.graph.graph import Graph, Node, reads
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.graph.sizes import Dims, ShapeOf
from pinat_compile.hardware.schema import Target

WHOLE = frozenset({"Softmax", "LogSoftmax", "LayerNormalization", "InstanceNormalization", "GroupNormalization",
                   "MeanVarianceNormalization", "LpNormalization", "CumSum"})  # fmt: skip
"""Operators of `PER_OUTPUT` that need more than the row that they work on."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Nanoseconds after the sample came in; ``busy_ns`` is what the node works, the rest it waits for operands."""

    start_ns: float
    end_ns: float
    busy_ns: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """``slots`` by node; ``interval_ns`` from one sample to the next, and what it is that sets it."""

    slots: Mapping[str, Slot]
    interval_ns: float
    bottleneck: str
    reload_ns: float = 0.0

    @property
    def latency_ns(self) -> float:
        """One sample's time: until the last node is done, and no less than its busiest resource works on it."""
        end = max((slot.end_ns for slot in self.slots.values()), default=0.0) + self.reload_ns
        return max(end, self.interval_ns)


def timeline(graph: Graph, target: Target, shape_of: ShapeOf, reads_each: int = 1) -> Timeline | None:
    """The schedule of one sample; None where the target says nothing of time, or a shape is not known."""
    found = {work.node.name: work for work in works(graph, target, shape_of)}
    if target.timing is None or not all(work.counted for work in found.values()):
        return None
    moved = moved_by(graph, target, shape_of, found)
    busy = _busy(graph, target, found, reads_each)
    slots = _slots(graph, target, shape_of, busy, moved)
    renewed = reload_ns(graph, target)
    bottleneck, interval = _bottleneck(graph, target, found, busy, moved)
    if renewed or target.layout.pipeline == "off":
        interval = max(interval, Timeline(slots, 0.0, "", renewed).latency_ns)
        bottleneck = "arrays are written anew" if renewed else "one sample at a time"
    return Timeline(slots, interval, bottleneck, renewed)


def _busy(graph: Graph, target: Target, found: Mapping[str, Work], reads_each: int) -> dict[str, float]:
    """How long each node works on a sample: its products, shared by the copies of its matrix, or its operations."""
    where, chip = homes(graph), target.chip
    spread = {name: len(tiles_of(chip, matrix)) for name, matrix in graph.matrices.items()} if chip is not None else {}
    times = {}
    for name, work in found.items():
        if work.matrix is None or work.mvms is None:
            times[name] = digital_ns(target, work.ops, spread.get(where[name] or "", 1))
        else:
            matrix = graph.matrices[work.matrix]
            times[name] = -(-work.mvms // matrix.replicas) * (product_ns(target, matrix, reads_each) or 0.0)
    return times


def reload_ns(graph: Graph, target: Target) -> float:
    """Writing, in every inference, of the arrays that hold several contents in turn; the arrays of a round at once."""
    turns = rounds(graph)
    if turns == 1 or target.timing is None or target.timing.write_row_ns is None:
        return 0.0
    return turns * target.array.rows * target.timing.write_row_ns


def timed(graph: Graph, work: Work) -> OpCount:
    """The operations that take a tile's digital units time.

    Behind arrays one multiply-add per output; what the bias of offset binary needs is summed on the way to them, by a
    column of ones and the units that shift and add (Shafiee et al., ISCA 2016, section V).
    """
    if work.matrix is None or work.mvms is None:
        return work.ops
    return OpCount(muls=work.mvms * graph.matrices[work.matrix].outputs, bytes=work.ops.bytes)


# --- one sample ---


def _slots(
    graph: Graph, target: Target, shape_of: ShapeOf, busy: Mapping[str, float], moved: Mapping[str, Moved]
) -> dict[str, Slot]:
    assert target.timing is not None
    rows = target.layout.pipeline == "rows"
    hop_ns = target.timing.hop_ns or 0.0
    slots: dict[str, Slot] = {}
    maker: dict[str, Node] = {}
    for node in _inner_first(graph):
        work = busy[node.name]
        way = moved[node.name].hops * hop_ns if node.name in moved else 0.0
        ready, last = 0.0, 0.0
        for name in reads(node):
            if name not in maker:
                continue
            before = slots[maker[name].name]
            share = wait_share(node, shape_of(name), rows)
            ready = max(ready, before.start_ns + share * (before.end_ns - before.start_ns) + way)
            last = max(last, before.end_ns + way)
        for region in node.regions:
            ends = (slots[inner.name].end_ns for inner in region.nodes)
            last = max(last, *ends, 0.0)
        settle = target.timing.latency_ns if isinstance(node.op, ArrayMvm) else 0.0
        tail = work / _rows(shape_of(node.outputs[0]) if node.outputs else None)
        slots[node.name] = Slot(ready, max(ready + work, last + min(tail, work)) + settle, work)
        maker.update(dict.fromkeys(node.outputs, node))
    return slots


def _inner_first(graph: Graph) -> Iterator[Node]:
    for node in graph.nodes:
        for region in node.regions:
            yield from _inner_first(region)
        yield node


def wait_share(node: Node, shape: Dims | None, by_rows: bool) -> float:
    """The share of an operand of that shape that must be there before the node can begin."""
    op, rows = node.op, _rows(shape)
    if isinstance(op, ArrayMvm):
        if not by_rows:
            return 1.0
        first = _window_rows(op.kernel_shape, op.dilations, op.pads) / rows if op.has_window else _vector(shape)
        return min(first, 1.0)
    kernel = getattr(op, "kernel_shape", ())
    if kernel:
        return min(_window_rows(kernel, getattr(op, "dilations", ()), getattr(op, "pads", ())) / rows, 1.0)
    by_element = op.type_name() in PER_OUTPUT and op.type_name() not in WHOLE
    return 1.0 / rows if by_element else 1.0


def _window_rows(kernel: Sequence[int], dilations: Sequence[int], pads: Sequence[int]) -> int:
    """Rows of the input that the first window covers."""
    reach = (kernel[0] - 1) * (dilations[0] if dilations else 1) + 1
    return max(reach - (pads[0] if pads else 0), 1)


def _vector(shape: Dims | None) -> float:
    return 1.0 / shape[-2] if shape is not None and len(shape) > 2 else 1.0


def _rows(shape: Dims | None) -> int:
    """Rows of a feature map [batch, channels, rows, …], tokens of a sequence [batch, tokens, features]; else 1."""
    if shape is None or len(shape) < 3:
        return 1
    return max(shape[2] if len(shape) > 3 else shape[1], 1)


# --- sample after sample ---


def _bottleneck(
    graph: Graph, target: Target, found: Mapping[str, Work], busy: Mapping[str, float], moved: Mapping[str, Moved]
) -> tuple[str, float]:
    """The resource that is busy longest with one sample, and how long."""
    candidates = [(f"arrays of {name}", time) for name, time in _array_busy(graph, found, busy).items()]
    candidates.append(_digital_busy(graph, target, found))
    timing = target.timing
    if timing is not None and timing.io_gb_s is not None:
        candidates.append(("input and output", sum(part.io_bytes for part in moved.values()) / timing.io_gb_s))
    return max(candidates, key=lambda entry: entry[1], default=("nothing", 0.0))


def _array_busy(graph: Graph, found: Mapping[str, Work], busy: Mapping[str, float]) -> dict[str, float]:
    """How long the busiest array of each matrix works on a sample, with what others do on it."""
    own: dict[str, float] = {}
    for name, work in found.items():
        if work.matrix is not None:
            own[work.matrix] = own.get(work.matrix, 0.0) + busy[name]
    if not any(graph.matrices[name].packed is not None for name in own):
        return own
    size = 1 + max(int(standing(graph.matrices[name]).max()) for name in own)
    times = np.zeros(size)
    for name, time in own.items():
        np.add.at(times, standing(graph.matrices[name]).reshape(-1), time)
    return {name: float(times[standing(graph.matrices[name]).reshape(-1)].max()) for name in own}


def _digital_busy(graph: Graph, target: Target, found: Mapping[str, Work]) -> tuple[str, float]:
    """The tile whose digital units work longest on a sample, and how long; a node's work is spread over its tiles."""
    where, chip = homes(graph), target.chip
    if chip is None:
        return "digital units", sum(digital_ns(target, timed(graph, work)) for work in found.values())
    spread = {name: tiles_of(chip, matrix) for name, matrix in graph.matrices.items()}
    times = np.zeros(1 + max((int(tiles.max()) for tiles in spread.values()), default=0))
    for name, work in found.items():
        home = where[name]
        tiles = np.zeros(1, np.int64) if home is None else spread[home]
        times[tiles] += digital_ns(target, timed(graph, work)) / len(tiles)
    return f"digital units of tile {int(times.argmax())}", float(times.max())
