"""A programmed matrix driven from its columns and read at its rows: the same devices, converters of its own.

    forward    rows driven by DACs, columns read by ADCs:   y = W v
    backward   columns driven by DACs, rows read by ADCs:   x = W' u        (`mirrored`, `program_transposed`)

A differential pair is two columns: backward both are driven, one with the opposite sign.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from pinat_compile.errors import OptionError
from pinat_compile.graph.matrix import Cut, Matrix, Ranges
from pinat_compile.hardware.schema import Device, Target
from pinat_compile.physics.crossbar import State
from pinat_compile.physics.devices import Draws
from pinat_compile.physics.wires import Wires
from pinat_compile.simulator.arrays import ArrayMatrix
from pinat_compile.simulator.conditions import Conditions
from pinat_compile.simulator.planned import PlannedMatrix, Values
from pinat_compile.simulator.programming import Programmed, Programming


def mirrored(matrix: Matrix, ranges: Ranges) -> Matrix:
    """The plan of ``matrix`` as its columns see it: the same cells, rows and columns exchanged.

    ``ranges`` names weight scale [rows], DAC range and ADC range [col_tiles, row_tiles, ...] of that direction. The
    name is another one, so that the row ADCs have errors of their own.
    """
    assert matrix.cut is not None
    return replace(
        matrix,
        name=f"{matrix.name}.transposed",
        rows=matrix.cols,
        cols=matrix.rows,
        cut=Cut(1, matrix.cut.col_cuts, matrix.cut.row_cuts),
        ranges=ranges,
    )


def program_transposed(
    matrix: Matrix, target: Target, forward: Programmed, values: Values, conditions: Conditions
) -> Programmed:
    """What a read from the columns multiplies by, on the devices that ``forward`` was programmed with.

    ``matrix`` is the `mirrored` plan; ``forward`` the same matrix under the same ``conditions``, from
    `ArrayMatrix.program`. OptionError where the array's physics differs between the directions and is not modelled.
    """
    check_two_way(target, matrix)
    planned = ArrayMatrix(matrix, target)
    ideal = conditions.chip is None
    state = State(
        planned.cells, Device(target.device.cell) if ideal else target.device, forward.weights.new_empty(0), Draws(),
        tiling=planned.tiling, chip=None if conditions.chip is None else planned.key(conditions.chip),
    )  # fmt: skip
    return _Transposed(planned, conditions, state, forward).result(values, None)


def check_two_way(target: Target, matrix: Matrix) -> None:
    """OptionError where a matrix on ``target`` cannot be read in both directions."""
    refused = {
        "optics": target.optical,
        "wires": not target.optical and Wires.of(target) is not None,
        "non-linear devices": target.nonlinearity is not None,
        "thermal and shot noise of the columns": target.circuit_noise is not None,
        "rows driven in groups": target.array.rows_on is not None,
        f"weights on {target.weights.scheme!r} cells": target.weights.scheme != "differential",
        "matrices of several groups": matrix.groups != 1,
    }
    for what, found in refused.items():
        if found:
            raise OptionError(
                f"target {target.name!r}: reading an array from its columns is not modelled with {what}",
                hint="reram_128x128, pcm_256x256, or switch that section off",
            )


@dataclass(frozen=True)
class _Transposed(Programming):
    """Programming that takes its cells from a matrix that is programmed already."""

    forward: Programmed

    def _weights(self) -> Tensor:
        return _turned(self.forward.weights, self.planned)

    def _cell_variance(self) -> Tensor | float:
        variance = self.forward.fresh.cells
        return variance if isinstance(variance, float) else _turned(variance.expand(self._shape), self.planned)

    @property
    def _shape(self) -> torch.Size:
        return self.forward.weights.shape

    def _is_exact(self, found: Programmed) -> bool:
        """Sums are formed tile by tile always."""
        return False


def _turned(tiles: Tensor, planned: PlannedMatrix) -> Tensor:
    """[row_tile, 1, slice, rows, cols] of the forward direction, cut and padded for the other one."""
    sizes = planned.cut.tile_cols  # of the forward row tiles
    tops = [tile[0, :, :size] for tile, size in zip(tiles, sizes, strict=True)]
    whole = torch.cat(tops, dim=1)  # [slice, rows, cols]
    cuts, high = planned.cut.row_cuts, max(planned.cut.tile_rows)
    parts = [whole[..., a:b].mT for a, b in pairwise(cuts)]
    return torch.stack([functional.pad(part, (0, 0, 0, high - part.shape[1])) for part in parts]).unsqueeze(1)
