"""What the network's inputs look like where matrices multiply: statistics and samples from the user's data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from pinat_compile.errors import DataError
from pinat_compile.frontend.reference import Reference
from pinat_compile.frontend.taps import expose
from pinat_compile.graph import Array, Graph, Node
from pinat_compile.graph.finite import origin
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

    def covering(self, lowered: Graph) -> Calibration:
        """For the matrices of ``lowered``; those that repeat one which is known have its inputs."""
        known = dict(self.matrices)
        for name, matrix in lowered.matrices.items():
            if name not in known and matrix.copy_of in known:
                known[name] = known[matrix.copy_of]
        return replace(self, matrices={name: inputs for name, inputs in known.items() if name in lowered.matrices})


def spread(vectors: Float32, most: int) -> Float32:
    """At most ``most`` of ``vectors``, evenly over all of them: they stand in the order of data and nodes."""
    return vectors if len(vectors) <= most else vectors[np.linspace(0, len(vectors) - 1, most).astype(np.int64)]


def calibrate(
    plain: Graph, lowered: Graph, batches: Iterable[Mapping[str, Array]], *, source: str, seed: int = 0
) -> Calibration:
    """Run a network over ``batches`` in onnxruntime; sample the input vectors of every matrix of ``lowered``.

    ``plain`` is the network in ONNX's operators from which ``lowered`` was made. The sample is drawn with ``seed``, at
    most `VECTORS` vectors and `VALUES` numbers per matrix, evenly over the batches and over the nodes that share a
    matrix. A matrix that never ran (in a branch that was not taken) has random vectors, as if there were no data.
    """
    nodes = [(scope, node, _op(node)) for scope, node in lowered.walk() if isinstance(node.op, ArrayMvm)]
    known = _values(plain)
    read = {node.name: _read(known, scope, node) for scope, node, _ in nodes}
    tapped, outside = expose(plain, [name for name, _ in read.values()])
    batches = list(batches)
    taps = [name for name in outside.values() if name not in tapped.inputs]
    reference = Reference(tapped, taps=taps, prepack=False)
    found: dict[str, list[Float32]] = {}
    samples = 0
    for index, batch in enumerate(batches):
        values = {**batch, **reference.run(batch)}
        samples += _batch_size(batch)
        for _, node, op in nodes:
            matrix = lowered.matrices[op.matrix]
            share = _share(matrix.inputs, len(batches) * len(lowered.users(matrix.name)))
            name, turned = read[node.name]
            x = values[outside[name]].astype(np.float32, copy=False)
            x = np.swapaxes(x, -1, -2) if turned else x
            if not np.isfinite(x).all():
                what = f"what node {node.name!r} multiplies holds NaN or infinity{_began(plain, name, batch)}"
                hint = "leave such samples out; logarithms and quotients need inputs that they are defined for"
                raise DataError(f"{source}: {what}", hint=hint)
            picked = _sample_vectors(x, op, share, _generator(seed, node.name, index))
            found.setdefault(matrix.name, []).append(picked if picked.size else picked.reshape(0, matrix.inputs))
    vectors = {name: _limit(np.concatenate(parts)) for name, parts in found.items()}
    return Calibration(source, samples, {name: MatrixInputs(_some(name, v, seed)) for name, v in vectors.items()})


def _began(plain: Graph, name: str, batch: Mapping[str, Array]) -> str:
    """Where, in words; nothing where the value stands in a loop or branch."""
    values = {name: np.asarray(array) for name, array in batch.items()}
    names = [given for node in plain.nodes for given in node.outputs if given]
    if name not in names:
        return ""
    values |= Reference(plain, taps=names, prepack=False).run(batch)

    def wrong(given: str) -> bool:
        value = values.get(given)
        value = plain.tensors[given] if value is None else value
        return value.dtype.kind == "f" and not bool(np.isfinite(value).all())

    return f", which begins at {origin(plain, name, wrong)}"


def _op(node: Node) -> ArrayMvm:
    assert isinstance(node.op, ArrayMvm)
    return node.op


def _values(graph: Graph) -> set[str]:
    """All names that a graph and its regions know."""
    names = set(graph.inputs)
    for _, node in graph.walk():
        names.update(node.outputs, *(region.inputs for region in node.regions))
    return names


def _read(known: set[str], scope: Graph, node: Node) -> tuple[str, bool]:
    """The value, of those ``known``, that ``node`` reads, and whether lowering turned it (a constant on its left)."""
    name = node.inputs[0]
    if name in known:
        return name, False
    turn = scope.producer(name)
    assert turn is not None, name
    return turn.inputs[0], True


def _some(name: str, vectors: Float32, seed: int) -> Float32:
    return vectors if len(vectors) else _generator(seed, name, -1).random((1, vectors.shape[1]), dtype=np.float32)


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
    """At most ``most`` of the vectors that ``op`` takes from ``x``, whatever leading axes loops have given it."""
    if x.size == 0:
        return np.zeros((0, 0), np.float32)
    if op.has_window:
        x = x.reshape(-1, *x.shape[-1 - len(op.kernel_shape) :])
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
