"""Decide what one weight step stands for: the first half of range management."""

from __future__ import annotations

from collections.abc import Iterator
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
CHUNK = 1 << 16
"""Weights whose errors are computed together: few enough to stay in the processor's cache."""


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
    5. Weights that are all zero: one step stands for 1 / weight_max. Smaller ones than the smallest normal float32:
       the clip is that.
    """

    name: ClassVar[str] = "scale-weights"
    target: Target
    calibration: Calibration

    def plan(self, graph: Graph, name: str) -> None:
        matrix = graph.matrices[name]
        assert matrix.cells is not None
        mapping = self.target.mapping
        weights = _weights_by_output(graph.tensors[matrix.weight], matrix)
        clip = np.maximum(weights.max(axis=1), -weights.min(axis=1)).astype(np.float64)  # 1
        if not mapping.per_column:  # 4
            clip = np.full_like(clip, clip.max())
        if mapping.clip == "rms" and mapping.clip_rms is not None:  # 2
            square = np.einsum("or,or->o", weights, weights, dtype=np.float64) / weights.shape[1]
            square = square if mapping.per_column else np.full_like(square, square.mean())
            clip = np.minimum(clip, mapping.clip_rms * np.sqrt(square))
        elif mapping.clip == "expected_error":  # 3
            clip = self._least_error(weights, clip, matrix)
        clip = np.where(clip > 0, np.maximum(clip, np.finfo(np.float32).tiny), 1.0)  # 5
        tensor = graph.fresh(f"{name}.weight_scale")
        graph.tensors[tensor] = (clip / matrix.cells.weight_max).astype(np.float32)
        graph.matrices[name] = matrix.with_plan(ranges=Ranges(weight_scale=tensor))

    def _least_error(self, weights: Array, largest: Floats, matrix: Matrix) -> Floats:
        """The best of `CANDIDATES` for each output [outputs]."""
        cells = matrix.cells
        assert cells is not None
        power = _input_power(self.calibration, matrix)  # [groups, rows]
        rows = np.unique(np.linspace(0, matrix.rows - 1, min(matrix.rows, ROWS)).astype(np.int64))
        noise = LevelNoise.of(cells, *crossbar.level_variance(cells, self.target.device))
        errors = np.empty((len(CANDIDATES), matrix.outputs))
        for outputs in _chunks(matrix.outputs, max(1, CHUNK // len(rows))):
            part = np.abs(weights[outputs][:, rows], dtype=np.float64)
            heard = power[np.arange(outputs.start, outputs.stop) // matrix.cols][:, rows]
            errors[:, outputs] = expected_errors(part, heard, largest[outputs] / cells.weight_max, cells, noise)
        if not self.target.mapping.per_column:  # 4
            errors = np.broadcast_to(errors.sum(axis=1, keepdims=True), errors.shape)
        return np.asarray(CANDIDATES[errors.argmin(axis=0)] * largest, np.float64)


@dataclass(frozen=True, slots=True)
class LevelNoise:
    """The variance of what a chip holds, looked up by level: ``at[i] + slope[i] * level`` with i = level * per_step.

    Linear between the levels at which it is known; where cells hold whole steps, known (or interpolated) at each.
    """

    at: Floats
    slope: Floats | None = None
    per_step: float = 1.0

    @classmethod
    def of(cls, cells: Cells, levels: Floats, variance: Floats) -> LevelNoise:
        """From the variances at ``levels``, which are equidistant from 0 to the largest."""
        if cells.rounded:
            return cls(np.interp(np.arange(cells.weight_max + 1), levels, variance))
        slope = np.append(np.diff(variance) / np.diff(levels), 0.0)
        return cls(variance - slope * levels, slope, (len(levels) - 1) / cells.weight_max)

    def add_to(self, error: Floats, held: Floats) -> None:
        """Add the variances at the levels ``held`` to ``error``, in place."""
        if self.slope is None:
            error += self.at[held.astype(np.int32)]
            return
        index = (held * self.per_step).astype(np.int32)
        error += self.at[index] + self.slope[index] * held


def expected_errors(magnitude: Floats, power: Floats, step: Floats, cells: Cells, noise: LevelNoise) -> Floats:
    """Mean square errors [candidate, outputs] of clipping at each of `CANDIDATES` of the largest weight.

    ``magnitude`` [outputs, rows] of the weights; ``power`` [outputs, rows] of their inputs; ``step`` [outputs] where
    nothing is clipped.
    """
    errors = np.empty((len(CANDIDATES), len(magnitude)))
    held, error = np.empty_like(magnitude), np.empty_like(magnitude)  # in steps
    for index, share in enumerate(CANDIDATES):
        unit = np.where(step > 0, share * step, 1.0)
        np.divide(magnitude, unit[:, None], out=error)
        np.minimum(np.rint(error, out=held) if cells.rounded else error, cells.weight_max, out=held)
        np.square(np.subtract(error, held, out=error), out=error)
        noise.add_to(error, held)
        errors[index] = np.einsum("or,or->o", power, error) * np.square(unit)
    return errors


def _chunks(total: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, total)) for start in range(0, total, size))


def _input_power(calibration: Calibration, matrix: Matrix) -> Floats:
    """Mean square of the inputs of each group: [groups, rows]."""
    vectors = calibration.matrices[matrix.name].vectors
    return np.asarray(np.mean(np.square(vectors, dtype=np.float64), axis=0).reshape(matrix.groups, matrix.rows))


def _weights_by_output(weight: Array, matrix: Matrix) -> Array:
    """The weights of each output as a row, without a copy: [outputs, rows]."""
    return weight.T if matrix.view == "in_out" else weight.reshape(matrix.outputs, matrix.rows)
