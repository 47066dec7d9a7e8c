"""What each node of a mapped network does for one sample, counted; nothing here depends on a constant of the target."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pinat_compile.cost.operations import OpCount, digital_ops
from pinat_compile.graph.graph import Graph, Node
from pinat_compile.graph.matrix import Matrix
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.graph.ops.control import Loop, Scan
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

    def times(self, count: int) -> Work:
        """The same, ``count`` times over."""
        ops = OpCount(self.ops.adds * count, self.ops.muls * count, self.ops.bytes * count)
        macs, mvms = (None if number is None else number * count for number in (self.macs, self.mvms))
        return self if count == 1 else replace(self, ops=ops, macs=macs, mvms=mvms)


def works(graph: Graph, target: Target, shape_of: ShapeOf, times: int = 1) -> Iterator[Work]:
    """The work of every node, outer before inner; what stands in a loop as often as that runs, in a branch once."""
    for node in graph.nodes:
        if isinstance(node.op, ArrayMvm):
            yield array_work(node, graph.matrices[node.op.matrix], target, shape_of).times(times)
        else:
            yield digital_work(node, target, shape_of).times(times)
        for region in node.regions:
            yield from works(region, target, shape_of, times * iterations(graph, node, shape_of))


def iterations(scope: Graph, node: Node, shape_of: ShapeOf) -> int:
    """How often a loop runs for one sample; 1 where that is found out at run time, and for branches."""
    if isinstance(node.op, Scan):
        shape = shape_of(node.inputs[-node.op.num_scan_inputs])
        return 1 if shape is None else shape[(node.op.scan_input_axes or (0,))[0]]
    if isinstance(node.op, Loop) and node.inputs and scope.is_constant(node.inputs[0]):
        return int(scope.tensors[node.inputs[0]].reshape(-1)[0])
    return 1


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
