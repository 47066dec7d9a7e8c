"""What each node of a mapped network does for one sample, counted; nothing here depends on a constant of the target."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from pinat_compile.cost.operations import OpCount, digital_ops
from pinat_compile.graph.graph import Graph, Node
from pinat_compile.graph.matrix import Matrix
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.graph.sizes import Dims, ShapeOf
from pinat_compile.hardware.schema import Target

_PRODUCTS = frozenset({"Conv", "ConvInteger", "ConvTranspose", "Einsum", "Gemm", "MatMul", "MatMulInteger"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One node: products on arrays (``mvms``) and digital operations, per sample.

    ``ops`` of an array node: the affine behind it, and the bytes of its buffers: the whole input vector of every
    product (nothing is kept from one window to the next), the outputs once. ``macs``, ``mvms``: None where they do not
    apply. ``counted`` is false where a shape was not known: then nothing is.
    """

    node: Node
    ops: OpCount = OpCount()
    matrix: str | None = None
    macs: int | None = None
    mvms: int | None = None
    counted: bool = True


def works(graph: Graph, target: Target, shape_of: ShapeOf) -> Iterator[Work]:
    """The work of every node, of regions too (a body counts once), outer before inner."""
    for _, node in graph.walk():
        if isinstance(node.op, ArrayMvm):
            yield array_work(node, graph.matrices[node.op.matrix], target, shape_of)
        else:
            yield digital_work(node, target, shape_of)


def array_work(node: Node, matrix: Matrix, target: Target, shape_of: ShapeOf) -> Work:
    """Affine: a multiplication and an addition per output. The bias scheme also sums the input code of every row once
    and subtracts it from every output. A matrix driven from its columns (``transpose``) is not counted yet."""
    assert isinstance(node.op, ArrayMvm)
    taken, given = shape_of(node.inputs[0]), shape_of(node.outputs[0])
    if taken is None or given is None or node.op.transpose:
        return Work(node=node, matrix=matrix.name, counted=False)
    mvms = mvms_of(node.op, given)
    adds = muls = mvms * matrix.outputs
    if matrix.cells is not None and matrix.cells.scheme == "bias":
        adds += mvms * (matrix.inputs + matrix.outputs)
    moved = (mvms * matrix.inputs + math.prod(given)) * bytes_per_value(target)
    return Work(
        node=node, ops=OpCount(adds, muls, moved), matrix=matrix.name, macs=mvms * matrix.weights, mvms=mvms
    )


def digital_work(node: Node, target: Target, shape_of: ShapeOf) -> Work:
    """A digital operator: what it adds, multiplies and moves."""
    inputs = [shape_of(name) for name in node.inputs if name]
    outputs = [shape_of(name) for name in node.outputs if name]
    known = [shape for shape in (*inputs, *outputs) if shape is not None]
    if len(known) < len(inputs) + len(outputs):
        return Work(node=node, counted=False)
    ops = digital_ops(node.op, known[: len(inputs)], known[len(inputs) :], bytes_per_value=bytes_per_value(target))
    return Work(node=node, ops=ops, macs=int(ops.muls) if node.op.type_name() in _PRODUCTS else None)


def mvms_of(op: ArrayMvm, output: Dims) -> int:
    """Matrix-vector products per sample: the positions of the window, or the vectors that the last axis holds."""
    return math.prod(output[2:]) if op.has_window else math.prod(output[:-1])


def bytes_per_value(target: Target) -> float:
    """Bytes of an activation between layers: the width of an input code, or float32 where inputs are not quantised."""
    return 4.0 if target.dac.bits is None else math.ceil(target.dac.bits / 8)
