"""One mapped layer with integer weights, made through the passes, for the tests of the array arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from pinat_compile.graph import Graph, Matrix, Node, Ranges, Store
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.hardware.loader import load_target
from pinat_compile.hardware.schema import Target
from pinat_compile.passes.cut_into_tiles import CutIntoTiles
from pinat_compile.passes.slice_weights import SliceWeights
from pinat_compile.physics.limits import Limits, input_limit
from pinat_compile.simulator.arrays import ArrayMatrix, Programmed
from pinat_compile.simulator.conditions import Conditions
from pinat_compile.simulator.module import Simulator
from pinat_compile.simulator.operands import Operand, operand

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Layer:
    """A layer ``m`` of a one-node network; weights and inputs are whole steps where the target quantises them."""

    graph: Graph
    target: Target

    @property
    def matrix(self) -> Matrix:
        return self.graph.matrices["m"]

    @property
    def op(self) -> ArrayMvm:
        op = self.graph.node("m").op
        assert isinstance(op, ArrayMvm)
        return op

    @property
    def arrays(self) -> ArrayMatrix:
        return ArrayMatrix(self.matrix, self.target)

    @property
    def limits(self) -> Limits:
        return self.arrays.limits

    def simulator(self, chip: int | None = None, **conditions: Any) -> Simulator:
        made = Simulator(self.graph, self.target, Conditions(chip=chip, **{"time_s": 1.0, **conditions}))
        made.eval()
        return made

    def vectors(self, x: Tensor) -> Operand:
        return operand(x, self.op, self.arrays.cut.blocks, self.arrays.reads.row_cuts)


def layer(
    target: Target | Sequence[str],
    weight: npt.NDArray[Any],
    *,
    op: ArrayMvm | None = None,
    groups: int = 1,
    dac_range: float | None = None,
    adc_range: float | None = None,
) -> Layer:
    """``weight`` [outputs, inputs / groups, *kernel]; ranges default to one step per code and the full range."""
    if not isinstance(target, Target):
        target = load_target("ideal_128x128", target)
    op = op or ArrayMvm("m")
    cols, rows = weight.shape[0] // groups, math.prod(weight.shape[1:])
    matrix = Matrix("m", "w", "out_in", rows, cols, groups)
    outputs = weight.shape[0]
    tensors = {
        "w": weight.astype(np.float32),
        "gain": np.ones(outputs, np.float32),
        "bias": np.zeros(outputs, np.float32),
        "scale": np.ones(outputs, np.float32),
    }
    graph = Graph("layer", ["x"], ["y"], nodes=[Node("m", op, ("x", "gain", "bias"), ("y",))],
                  store=Store(tensors, {"m": matrix}))
    graph = CutIntoTiles(target.array).run(SliceWeights(target).run(graph))
    planned = graph.matrices["m"]
    assert planned.cut is not None and planned.cells is not None
    ranges = Ranges("scale")
    if target.dac.bits is not None:
        full = float(input_limit(target.dac)) if dac_range is None else dac_range
        graph.tensors["dac"] = np.array(full, np.float32)
        ranges = replace(ranges, dac_range="dac")
    if target.adc.bits is not None:
        limits = Limits.of(planned.cells, planned.cut, target)
        shape = (planned.cut.blocks * planned.cut.row_tiles, planned.cut.col_tiles, planned.cells.slices)
        graph.tensors["adc"] = np.full(shape, limits.full_range if adc_range is None else adc_range, np.float32)
        ranges = replace(ranges, adc_range="adc")
    graph.matrices["m"] = planned.with_plan(ranges=ranges)
    return Layer(graph, target)


def window(kernel: Sequence[int], *, strides: Sequence[int] = (), pads: Sequence[int] = (),
           dilations: Sequence[int] = (), group: int = 1) -> ArrayMvm:
    n = len(kernel)
    return ArrayMvm("m", tuple(kernel), tuple(strides) or (1,) * n, tuple(pads) or (0,) * (2 * n),
                    tuple(dilations) or (1,) * n, group)


def explicit(programmed: Programmed) -> Programmed:
    """The same matrix, to be multiplied slice by slice even where that is not needed."""
    return replace(programmed, whole=None)


# --- the same in NumPy's integers, from the definitions ---


def vectors_of(x: Ints, op: ArrayMvm) -> Ints:
    """[batch, *positions, groups, rows]: what the window covers, in the order (channel, *kernel)."""
    if not op.has_window:
        return x[..., None, :]
    n = len(op.kernel_shape)
    padded = np.pad(x, [(0, 0), (0, 0), *zip(op.pads[:n], op.pads[n:], strict=True)])
    spans = [(k - 1) * d + 1 for k, d in zip(op.kernel_shape, op.dilations, strict=True)]
    counts = [(size - span) // s + 1 for size, span, s in zip(padded.shape[2:], spans, op.strides, strict=True)]
    batch, channels = x.shape[:2]
    out = np.zeros((batch, *counts, op.group, channels // op.group * math.prod(op.kernel_shape)), x.dtype)
    for place in np.ndindex(*counts):
        cut = tuple(
            slice(p * s, p * s + span, d)
            for p, s, span, d in zip(place, op.strides, spans, op.dilations, strict=True)
        )
        out[(slice(None), *place)] = padded[(slice(None), slice(None), *cut)].reshape(batch, op.group, -1)
    return out


def blocks_of(weight: Ints, groups: int, blocks: int) -> Ints:
    """[blocks, rows, cols], the groups of a block on its diagonal."""
    per_group = weight.reshape(groups, weight.shape[0] // groups, -1)
    inner = groups // blocks
    _, cols, rows = per_group.shape
    out = np.zeros((blocks, inner * rows, inner * cols), weight.dtype)
    for g in range(groups):
        i = g % inner
        out[g // inner, i * rows : (i + 1) * rows, i * cols : (i + 1) * cols] = per_group[g].T
    return out
