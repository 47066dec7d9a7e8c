"""Decide what one weight step stands for: the first half of range management."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pinat_compile.frontend.calibration import Calibration
from pinat_compile.graph import Array, Cells, Graph, Matrix, Ranges
from pinat_compile.hardware.schema import Target
from pinat_compile.passes.base import MatrixPass
from pinat_compile.physics import crossbar

Floats = npt.NDArray[np.float64]

CANDIDATES = np.linspace(0.3, 1.0, 15)
"""Clips that are tried, as shares of the largest weight."""
ROWS = 2048
"""Inputs of a matrix that are looked at when clips are compared; a larger one is sampled evenly."""


@dataclass(frozen=True)
class ScaleWeights(MatrixPass):
    """Give every output of a matrix the weight that one integer step stands for; the digital affine absorbs it.

        scale = clip / weight_max,   clip <= max|w|

    A few large weights would otherwise leave most conductances near zero, where noise is relatively largest; those
    beyond the clip are cut off. How much to cut is a trade between rounding and noise, and what is cut.

    1. ``clip = "none"``: the largest weight stands at the largest step.
    2. ``clip = "rms"``: at most clip_rms times the rms of the weights.
    3. ``clip = "expected_error"``: the clip for which the error of the output is expected to be least,
       sum over rows of E[x²] ((w - w_held)² + scale² var(level)), with var the devices' variance at t0 in squared
       steps and E[x²] from the calibration's sample.
    4. Not ``per_column``: one clip for the whole matrix.
    5. Weights that are all zero: one step stands for 1 / weight_max.
    """

    name: ClassVar[str] = "scale-weights"
    target: Target
    calibration: Calibration

    def plan(self, graph: Graph, name: str) -> None:
        matrix = graph.matrices[name]
        assert matrix.cells is not None
        mapping = self.target.mapping
        weights = _weights_by_output(graph.tensors[matrix.weight], matrix).astype(np.float64)
        clip = np.abs(weights).max(axis=1)  # 1
        if not mapping.per_column:  # 4
            clip = np.full_like(clip, clip.max())
        if mapping.clip == "rms" and mapping.clip_rms is not None:  # 2
            square = np.mean(np.square(weights), axis=1)
            square = square if mapping.per_column else np.full_like(square, square.mean())
            clip = np.minimum(clip, mapping.clip_rms * np.sqrt(square))
        elif mapping.clip == "expected_error":  # 3
            clip = self._least_error(weights, clip, matrix)
        clip = np.where(clip > 0, clip, 1.0)  # 5
        tensor = graph.fresh(f"{name}.weight_scale")
        graph.tensors[tensor] = (clip / matrix.cells.weight_max).astype(np.float32)
        graph.matrices[name] = matrix.with_plan(ranges=Ranges(weight_scale=tensor))

    def _least_error(self, weights: Floats, largest: Floats, matrix: Matrix) -> Floats:
        """The best of `CANDIDATES` for each output [outputs]."""
        cells = matrix.cells
        assert cells is not None
        power = _input_power(self.calibration, matrix)  # [outputs, rows]
        rows = np.unique(np.linspace(0, matrix.rows - 1, min(matrix.rows, ROWS)).astype(np.int64))
        weights, power = weights[:, rows], power[:, rows]
        levels, variance = crossbar.level_variance(cells, self.target.device)
        errors = np.stack([
            _expected_error(weights, power, share * largest / cells.weight_max, cells, levels, variance)
            for share in CANDIDATES
        ])  # [candidate, outputs]
        if not self.target.mapping.per_column:  # 4
            errors = np.broadcast_to(errors.sum(axis=1, keepdims=True), errors.shape)
        return np.asarray(CANDIDATES[errors.argmin(axis=0)] * largest, np.float64)


def _expected_error(
    weights: Floats, power: Floats, scale: Floats, cells: Cells, levels: Floats, variance: Floats
) -> Floats:
    """Mean square error of each output [outputs] if one step stands for ``scale`` [outputs]."""
    step = np.where(scale > 0, scale, 1.0)[:, None]
    held = np.clip(weights / step, -cells.weight_max, cells.weight_max)
    held = np.rint(held) if cells.rounded else held
    noise = np.interp(np.abs(held), levels, variance)
    error = np.square(weights - held * step) + np.square(step) * noise
    return np.asarray((power * error).sum(axis=1), np.float64)


def _input_power(calibration: Calibration, matrix: Matrix) -> Floats:
    """Mean square of the inputs that each output sees: [outputs, rows]."""
    vectors = calibration.matrices[matrix.name].vectors
    power = np.mean(np.square(vectors, dtype=np.float64), axis=0).reshape(matrix.groups, 1, matrix.rows)
    return np.broadcast_to(power, (matrix.groups, matrix.cols, matrix.rows)).reshape(matrix.outputs, matrix.rows)


def _weights_by_output(weight: Array, matrix: Matrix) -> Array:
    """The weights of each output as a row: [outputs, rows]."""
    return weight.T if matrix.view == "in_out" else weight.reshape(matrix.outputs, matrix.rows)
