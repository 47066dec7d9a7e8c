"""Decide what the converters' full scales stand for: the second half of range management."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pinat_compile.errors import OptionError
from pinat_compile.frontend.calibration import Calibration, spread
from pinat_compile.graph import Graph, Matrix
from pinat_compile.hardware.schema import Target
from pinat_compile.passes.base import MatrixPass
from pinat_compile.physics import converters, crossbar
from pinat_compile.physics.limits import Limits, input_limit
from pinat_compile.physics.optics.technology import technology_of
from pinat_compile.physics.tiling import Tiling, blocks_from_weight, columns_per_block, tensor_of

Floats = npt.NDArray[np.float32]

SAMPLE = 1024
"""Input vectors of a matrix that are multiplied to find its ADC ranges."""


@dataclass(frozen=True)
class RangeConverters(MatrixPass):
    """Give every matrix the input at its DAC's full scale, and the column sum at the full scale of each tile's ADC.

        dac_range = percentile of |x|               adc_range = share * percentile of |column sums|

    A tighter range spends the codes where the values are and clips a few; which percentiles pay is measured, and stands
    in the target's ``mapping``.

    1. No ``dac.bits`` or ``adc.bits``: no range.
    2. ``adc.range = "full"``: one unit per code, or as much as the largest possible sum needs (always that much where
       sums are no whole numbers). No data are looked at.
    3. ``adc.range = "calibrated"``: from the ideal column sums of the calibration's sample, per tile, slice of a tile
       or column of a slice, as ``adc.range_per`` says, over everything that is converted there: input steps, and rows
       driven one group after the other. Never finer than one unit per code where sums are whole numbers.
    4. Where sums are all zero: as in 2.
    5. ``dac.encoding = "two_pass"``: one pass is enough where no input of the sample is negative.
    """

    name: ClassVar[str] = "range-converters"
    target: Target
    calibration: Calibration

    def plan(self, graph: Graph, name: str) -> None:
        matrix = graph.matrices[name]
        assert matrix.ranges is not None and matrix.cut is not None and matrix.cells is not None
        ranges = matrix.ranges
        if self.target.dac.bits is not None:
            magnitude = percentile(np.abs(self._vectors(matrix)), self.target.mapping.dac_percentile)
            full = graph.fresh(f"{name}.dac_range")
            graph.tensors[full] = np.array(magnitude if magnitude > 0 else 1.0, np.float32)
            ranges = replace(ranges, dac_range=full)
        if self.target.dac.encoding == "two_pass":  # 5
            ranges = replace(ranges, one_pass=not bool((self._vectors(matrix) < 0).any()))
        if self.target.adc.bits is not None:
            full = graph.fresh(f"{name}.adc_range")
            graph.tensors[full] = self._adc_ranges(graph, replace(matrix, ranges=ranges))
            ranges = replace(ranges, adc_range=full)
        graph.matrices[name] = matrix.with_plan(ranges=ranges)

    def _vectors(self, matrix: Matrix) -> Floats:
        found = self.calibration.matrices.get(matrix.name)
        if found is None:
            raise OptionError(f"matrix {matrix.name!r}: no calibration statistics", hint="compile from the ONNX file")
        return found.vectors

    def _adc_ranges(self, graph: Graph, matrix: Matrix) -> Floats:
        """[row_tile, col_tile, slice], with one slice for all per tile, or with columns behind per column"""
        assert matrix.cut is not None and matrix.cells is not None
        limits = Limits.of(matrix.cells, matrix.cut, self.target)
        tiling, per = Tiling(matrix.cut), self.target.adc.range_per
        slices = 1 if per == "tile" else matrix.cells.slices
        columns = (max(matrix.cut.tile_cols),) if per == "column" else ()
        result = np.full((*tiling.counts, slices, *columns), float(limits.full_range), np.float32)
        if self.target.adc.range == "full":  # 2
            return result
        for index, tiles, sums in self._column_sums(graph, matrix, spread(self._vectors(matrix), SAMPLE)):
            for col_tile, per_slice in enumerate(sums, tiles.start):  # [slice, vectors, cols]
                used = per_slice[..., : matrix.cut.tile_cols[col_tile]].abs().numpy()
                for s in range(slices):
                    shared = used if per == "tile" else used[s]
                    for place, found in _by_column(shared) if columns else [((), shared)]:
                        reached = self.target.mapping.adc_share * percentile(found, self.target.mapping.adc_percentile)
                        if reached > 0:  # else 4
                            result[(index, col_tile, s, *place)] = max(reached, limits.finest_range)  # 3
        return result

    def _column_sums(self, graph: Graph, matrix: Matrix, vectors: Floats) -> Iterator[tuple[int, slice, Tensor]]:
        """For a row tile and some column tiles the ideal column sums, one conversion below the other.

        [col_tile, slice, vectors, cols]
        """
        assert matrix.cut is not None and matrix.cells is not None and matrix.ranges is not None
        stacked = torch.cat(self._driven(graph, matrix, tensor_of(vectors)))  # [vectors, inputs]
        blocks, rows, _ = matrix.block_shape
        by_tile = Tiling(matrix.cut).split_rows(stacked.T.reshape(blocks, rows, -1))  # [row_tile, tile_rows, vectors]
        together = self.target.array.rows_on or by_tile.shape[1]
        for index, tiles, held in self._ideal(graph, matrix):
            size = matrix.cut.tile_rows[index % matrix.cut.row_tiles]
            groups = [slice(start, min(start + together, size)) for start in range(0, size, together)]
            sums = [torch.einsum("rn,qsrc->qsnc", by_tile[index, rows], held[:, :, rows]) for rows in groups]
            yield index, tiles, sums[0] if len(sums) == 1 else torch.cat(sums, dim=2)

    def _ideal(self, graph: Graph, matrix: Matrix) -> Iterator[tuple[int, slice, Tensor]]:
        """What ideal parts multiply by in a row tile and some column tiles: [col_tile, slice, rows, cols]."""
        assert matrix.cut is not None and matrix.cells is not None and matrix.ranges is not None
        if matrix.ranges.parameters is not None:
            technology, shape = technology_of(self.target), Tiling(matrix.cut).tile_shape
            for index, parameters in enumerate(tensor_of(graph.tensors[matrix.ranges.parameters])):
                held = technology.read(parameters.unsqueeze(0), shape, None).weights[0]
                yield index, slice(0, len(held)), held.unsqueeze(1)
            return
        weights = blocks_from_weight(tensor_of(graph.tensors[matrix.weight]), matrix)
        scale = columns_per_block(tensor_of(graph.tensors[matrix.ranges.weight_scale]), matrix)
        for index, tiles, state in crossbar.ideal_pieces(
            weights, scale, matrix.cells, self.target.device, matrix.cut
        ):
            yield index, tiles, crossbar.effective(state)[0]

    def _driven(self, graph: Graph, matrix: Matrix, vectors: Tensor) -> list[Tensor]:
        """What is driven into one conversion, in input steps: [vectors, inputs] each."""
        dac = self.target.dac
        if dac.bits is None or matrix.ranges is None or matrix.ranges.dac_range is None:
            return [vectors]
        limit = input_limit(dac)
        step = tensor_of(graph.tensors[matrix.ranges.dac_range]) / limit
        codes = converters.quantise(vectors, step, -limit, limit)
        if dac.converted_at_once:
            return [codes]
        return [digits for _, digits in converters.driven_steps(codes, dac, one_pass=matrix.ranges.one_pass)]


def _by_column(sums: Floats) -> list[tuple[tuple[int], Floats]]:
    """[vectors, cols] as ((column,), its sums)."""
    return [((column,), sums[:, column]) for column in range(sums.shape[1])]


def percentile(magnitudes: Floats, percent: float) -> float:
    """The value that ``percent`` of the magnitudes do not exceed; 0 for none at all.

    ``np.percentile(…, method="higher")``, without what that does around it: a large network asks for it per tile.
    """
    if magnitudes.size == 0:
        return 0.0
    rank = math.ceil((magnitudes.size - 1) * (percent / 100.0))
    return float(np.partition(magnitudes, rank, axis=None)[rank])
