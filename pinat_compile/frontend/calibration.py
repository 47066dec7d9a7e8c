"""What the network's inputs look like where matrices multiply: statistics and samples from the user's data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pinat_compile.frontend.reference import Reference
from pinat_compile.graph import Array, Graph, Node
from pinat_compile.graph.ops.array import ArrayMvm

Float32 = npt.NDArray[np.float32]

VECTORS = 4096
"""Input vectors kept per matrix, at most."""
VALUES = 1 << 20
"""Numbers kept per matrix, at most; wide matrices keep fewer vectors."""


@dataclass(frozen=True, slots=True)
class MatrixInputs:
    """Of one matrix: a sample of its input vectors [vectors, groups * rows]."""

    vectors: Float32


@dataclass(frozen=True, slots=True)
class Calibration:
    """Input statistics per matrix. ``source`` says which data, ``samples`` how many."""

    source: str
    samples: int
    matrices: Mapping[str, MatrixInputs] = field(default_factory=dict)


def spread(vectors: Float32, most: int) -> Float32:
    """At most ``most`` of ``vectors``, evenly over all of them: they stand in the order of data and nodes."""
    return vectors if len(vectors) <= most else vectors[np.linspace(0, len(vectors) - 1, most).astype(np.int64)]


def calibrate(
    source_graph: Graph, lowered: Graph, batches: Iterable[Mapping[str, Array]], *, source: str, seed: int = 0
) -> Calibration:
    """Run the plain network over ``batches`` in onnxruntime; sample the input vectors of every matrix of ``lowered``.

    The sample is drawn with ``seed``, at most `VECTORS` vectors and `VALUES` numbers per matrix, evenly over the
    batches and over the nodes that share a matrix.
    """
    nodes = [node for node in lowered.nodes if isinstance(node.op, ArrayMvm)]
    batches = list(batches)
    read = dict.fromkeys(_read(source_graph, lowered, node)[0] for node in nodes)
    taps = [name for name in read if name not in source_graph.inputs]
    reference = Reference(source_graph, taps=taps)
    found: dict[str, list[Float32]] = {}
    samples = 0
    for index, batch in enumerate(batches):
        values = {**batch, **reference.run(batch)}
        samples += _batch_size(batch)
        for node in nodes:
            matrix = lowered.matrices[_op(node).matrix]
            share = _share(matrix.inputs, len(batches) * len(lowered.users(matrix.name)))
            x = _input_of(source_graph, lowered, node, values)
            picked = _sample_vectors(x, _op(node), share, _generator(seed, node.name, index))
            found.setdefault(matrix.name, []).append(picked)
    return Calibration(
        source,
        samples,
        {name: MatrixInputs(_limit(np.concatenate(parts))) for name, parts in found.items()},
    )


def _op(node: Node) -> ArrayMvm:
    assert isinstance(node.op, ArrayMvm)
    return node.op


def _read(source: Graph, lowered: Graph, node: Node) -> tuple[str, bool]:
    """The value of ``source`` that ``node`` reads, and whether lowering turned it round (a constant on the left)."""
    name = node.inputs[0]
    if name in source.inputs or source.producer(name) is not None:
        return name, False
    turn = lowered.producer(name)
    assert turn is not None, name
    return turn.inputs[0], True


def _input_of(source: Graph, lowered: Graph, node: Node, values: Mapping[str, Array]) -> Float32:
    name, turned = _read(source, lowered, node)
    x = values[name].astype(np.float32, copy=False)
    return np.swapaxes(x, -1, -2) if turned else x


def _batch_size(batch: Mapping[str, Array]) -> int:
    first = next(iter(batch.values()))
    return int(first.shape[0]) if first.ndim else 1


def _share(inputs: int, parts: int) -> int:
    return max(1, -(-min(VECTORS, VALUES // max(inputs, 1)) // parts))


def _limit(vectors: Float32) -> Float32:
    return spread(vectors, max(1, min(VECTORS, VALUES // max(vectors.shape[1], 1))))


def _generator(seed: int, node: str, batch: int) -> np.random.Generator:
    digest = hashlib.blake2b(repr((seed, node, batch)).encode(), digest_size=8).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def _sample_vectors(x: Float32, op: ArrayMvm, most: int, generator: np.random.Generator) -> Float32:
    """At most ``most`` of the vectors that ``op`` takes from ``x``."""
    windows = _windows(x, op) if op.has_window else x.reshape(-1, x.shape[-1])
    positions = windows.shape[:1] if not op.has_window else (windows.shape[0], *windows.shape[2 : 2 + len(op.strides)])
    total = int(np.prod(positions))
    picked = np.sort(generator.choice(total, min(most, total), replace=False))
    if not op.has_window:
        return np.ascontiguousarray(windows[picked])
    batch, *place = np.unravel_index(picked, positions)
    chosen = np.moveaxis(windows, 1, -1)[(batch, *place)]  # [picked, *kernel, channels]
    chosen = np.moveaxis(chosen, -1, 1)  # [picked, channels, *kernel]
    return np.ascontiguousarray(chosen.reshape(len(picked), -1))


def _windows(x: Float32, op: ArrayMvm) -> Float32:
    """A view [batch, channels, *positions, *kernel] of the padded input."""
    n = len(op.kernel_shape)
    padded = np.pad(x, [(0, 0), (0, 0), *zip(op.pads[:n], op.pads[n:], strict=True)])
    reach = [(k - 1) * d + 1 for k, d in zip(op.kernel_shape, op.dilations, strict=True)]
    view = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=tuple(range(2, 2 + n)))
    steps = [slice(None, None, s) for s in op.strides]
    taps = [slice(None, None, d) for d in op.dilations]
    return view[(slice(None), slice(None), *steps, *taps)]
