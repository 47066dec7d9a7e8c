"""Decide what one weight step stands for: the first half of range management."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pinat_compile.graph import Array, Graph, Matrix, Ranges
from pinat_compile.hardware.schema import MappingSection
from pinat_compile.passes.base import MatrixPass


@dataclass(frozen=True)
class ScaleWeights(MatrixPass):
    """Give every output of a matrix the weight that one integer step stands for; the digital affine absorbs it.

        scale = min(max|w|, clip_rms * rms(w)) / weight_max

    A few large weights would otherwise leave most conductances near zero, where noise is relatively largest; those
    beyond the clip are cut off.

    1. ``per_column``: maximum and rms are of one output's weights.
    2. Else: of the whole matrix.
    3. No ``clip_rms``: the largest weight stands at the largest step, nothing is cut off.
    4. Weights that are all zero: one step stands for 1 / weight_max.
    """

    name: ClassVar[str] = "scale-weights"
    mapping: MappingSection

    def plan(self, graph: Graph, name: str) -> None:
        matrix = graph.matrices[name]
        assert matrix.cells is not None
        weights = outputs_of(graph.tensors[matrix.weight], matrix)
        if not self.mapping.per_column:  # 2
            weights = np.broadcast_to(weights.reshape(1, -1), (matrix.outputs, weights.size))
        full = np.abs(weights).max(axis=1)
        if self.mapping.clip_rms is not None:  # else 3
            rms = np.sqrt(np.mean(np.square(weights, dtype=np.float64), axis=1))
            full = np.minimum(full, self.mapping.clip_rms * rms)
        full = np.where(full > 0, full, 1.0)  # 4
        tensor = graph.fresh(f"{name}.weight_scale")
        graph.tensors[tensor] = (full / matrix.cells.weight_max).astype(np.float32)
        graph.matrices[name] = matrix.with_plan(ranges=Ranges(weight_scale=tensor))


def outputs_of(weight: Array, matrix: Matrix) -> Array:
    """The weights of each output as a row: [outputs, rows]."""
    return weight.T if matrix.view == "in_out" else weight.reshape(matrix.outputs, matrix.rows)
