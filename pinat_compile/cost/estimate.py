"""The cost of a mapped network, layer by layer: arrays by their tiles, digital operators by what they do."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from torch import Tensor

from pinat_compile.cost.operations import Dims, OpCount, digital_ops
from pinat_compile.cost.tiles import PJ, TileCosts, tile_costs
from pinat_compile.cost.value import Cost
from pinat_compile.errors import OptionError
from pinat_compile.graph.graph import Graph, Node
from pinat_compile.graph.matrix import Matrix
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.hardware.schema import EnergySection, Target

ShapeOf = Callable[[str], Dims | None]
"""The shape of a value for one sample (dynamic sizes bound, batch 1), or None where it is not known."""


@dataclass(frozen=True, slots=True)
class Programmed:
    """What the energy of one matrix depends on besides its plan.

    ``conductance_us`` [row_tile, col_tile, slice, rows, cols, device]; ``drive`` [blocks, rows of a block], the
    `mean_square_drive` of its inputs; ``reference_us`` [row_tile, col_tile, slice, rows, 1, device], reference columns.
    """

    conductance_us: Tensor
    drive: Tensor
    reference_us: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCost:
    """One node. ``macs`` and ``mvms`` per sample, None where they do not apply; ``tiles`` of its matrix where analog.

    ``cost`` is empty (all None) where ``counted`` is false: a shape was not known.
    """

    name: str
    op: str
    where: Literal["analog", "digital"]
    why: str
    cost: Cost
    ops: OpCount
    matrix: str | None = None
    macs: int | None = None
    mvms: int | None = None
    tiles: TileCosts | None = None
    counted: bool = True


@dataclass(frozen=True, slots=True)
class NetworkCost:
    """All layers, their sum, and the energy keys that the target leaves out (their components are not in the sum)."""

    layers: tuple[LayerCost, ...]
    uncounted: tuple[str, ...] = field(default=())

    @property
    def total(self) -> Cost:
        return sum((layer.cost for layer in self.layers), Cost())

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the matrix products, analog and digital, per sample."""
        return sum(layer.macs for layer in self.layers if layer.macs is not None)


def estimate_network(
    graph: Graph, target: Target, shape_of: ShapeOf, programmed: Mapping[str, Programmed], reads: int = 1
) -> NetworkCost:
    """The cost of one sample through the mapped ``graph``; ``programmed`` by matrix name.

    ``reads``: each product on arrays is read so often, and averaged.
    A matrix that several nodes use is written once: its first user bears the writing.
    """
    written: set[str] = set()
    layers = []
    for _, node in graph.walk():
        if isinstance(node.op, ArrayMvm):
            matrix = graph.matrices[node.op.matrix]
            if matrix.name not in programmed:
                raise OptionError(f"node {node.name!r}: no conductances and inputs of matrix {matrix.name!r} are given")
            first = matrix.name not in written
            layer = estimate_mvm(node, matrix, target, shape_of, programmed[matrix.name], write=first, reads=reads)
            written.add(matrix.name)
        else:
            layer = estimate_digital(node, target, shape_of)
        layers.append(layer)
    return NetworkCost(tuple(layers), uncounted_keys(target))


def uncounted_keys(target: Target) -> tuple[str, ...]:
    """Keys of the energy section that the target leaves out."""
    energy = target.energy or EnergySection()
    return tuple(f"energy.{item.name}" for item in fields(energy) if getattr(energy, item.name) is None)


def bytes_per_value(target: Target) -> float:
    """Bytes of an activation between layers: the width of an input code, or float32 where inputs are not quantised."""
    return 4.0 if target.dac.bits is None else math.ceil(target.dac.bits / 8)


def mvms_of(op: ArrayMvm, output: Dims) -> int:
    """Matrix-vector products per sample: the positions of the window, or the vectors that the last axis holds."""
    return math.prod(output[2:]) if op.has_window else math.prod(output[:-1])


def estimate_mvm(
    node: Node,
    matrix: Matrix,
    target: Target,
    shape_of: ShapeOf,
    programmed: Programmed,
    *,
    write: bool = True,
    reads: int = 1,
) -> LayerCost:
    """An array layer: its tiles, the digital affine, the values read and written. ``write``: it bears the writing.

    Affine: a multiplication and an addition per output. The bias scheme also sums the input code of every row once
    and subtracts it from every output. A matrix driven from its columns (``transpose``) is not counted yet.
    """
    assert isinstance(node.op, ArrayMvm)
    taken, given = shape_of(node.inputs[0]), shape_of(node.outputs[0])
    if taken is None or given is None or node.op.transpose:
        return _layer(node, "analog", Cost(), OpCount(), matrix=matrix.name, counted=False)
    mvms = mvms_of(node.op, given)
    tiles = tile_costs(
        target, matrix, mvms=mvms, reads=reads,
        conductance_us=programmed.conductance_us, drive=programmed.drive, reference_us=programmed.reference_us,
    )
    adds = muls = mvms * matrix.outputs
    if matrix.cells is not None and matrix.cells.scheme == "bias":
        adds += mvms * (matrix.inputs + matrix.outputs)
    ops = OpCount(adds, muls, (math.prod(taken) + math.prod(given)) * bytes_per_value(target))
    own = tiles.total if write else replace(tiles.total, write=None)
    return _layer(
        node,
        "analog",
        own + digital_cost(target, ops),
        ops,
        matrix=matrix.name,
        macs=mvms * matrix.weights,
        mvms=mvms,
        tiles=tiles,
    )


def estimate_digital(node: Node, target: Target, shape_of: ShapeOf) -> LayerCost:
    """A digital operator: what it adds, multiplies and moves."""
    inputs = [shape_of(name) for name in node.inputs if name]
    outputs = [shape_of(name) for name in node.outputs if name]
    known = [shape for shape in (*inputs, *outputs) if shape is not None]
    if len(known) < len(inputs) + len(outputs):
        return _layer(node, "digital", Cost(), OpCount(), counted=False)
    ops = digital_ops(node.op, known[: len(inputs)], known[len(inputs) :], bytes_per_value=bytes_per_value(target))
    macs = int(ops.muls) if node.op.type_name() in _PRODUCTS else None
    return _layer(node, "digital", digital_cost(target, ops), ops, macs=macs)


_PRODUCTS = frozenset({"Conv", "ConvInteger", "ConvTranspose", "Einsum", "Gemm", "MatMul", "MatMulInteger"})


def digital_cost(target: Target, ops: OpCount) -> Cost:
    """Additions and multiplications as ``digital``, bytes as ``buffer``; None where the target has no constant."""
    energy = target.energy or EnergySection()
    digital = None
    if energy.digital_add_pj is not None and energy.digital_mul_pj is not None:
        digital = PJ * (ops.adds * energy.digital_add_pj + ops.muls * energy.digital_mul_pj)
    buffer = None if energy.buffer_pj_per_byte is None else PJ * ops.bytes * energy.buffer_pj_per_byte
    return Cost(digital=digital, buffer=buffer)


def _layer(node: Node, where: Literal["analog", "digital"], cost: Cost, ops: OpCount, **known: Any) -> LayerCost:
    why = node.placement.why if node.placement is not None else ""
    return LayerCost(name=node.name, op=node.op.type_name(), where=where, why=why, cost=cost, ops=ops, **known)
