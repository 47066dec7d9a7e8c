"""Decide what the converters' full scales stand for: the second half of range management."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from pinat_compile.errors import OptionError
from pinat_compile.frontend.calibration import Calibration, spread
from pinat_compile.graph import Graph, Matrix
from pinat_compile.hardware.schema import Target
from pinat_compile.passes.base import MatrixPass
from pinat_compile.physics import converters, crossbar
from pinat_compile.physics.limits import Limits, input_limit
from pinat_compile.physics.tiling import Tiling, blocks_from_weight, columns_per_block, tensor_of

SAMPLE = 1024
"""Input vectors of a matrix that are multiplied to find its ADC ranges."""


@dataclass(frozen=True)
class RangeConverters(MatrixPass):
    """Give every matrix the input at its DAC's full scale, and the column sum at the full scale of each tile's ADC.

        dac_range = percentile of |x|               adc_range = share * percentile of |column sums of the tile|

    A tighter range spends the codes where the values are and clips a few; which percentiles pay is measured, and stands
    in the target's ``mapping``.

    1. No ``dac.bits`` or ``adc.bits``: no range.
    2. ``adc.range = "full"``: one unit per code, or as much as the largest possible sum needs (always that much where
       sums are no whole numbers). No data are looked at.
    3. ``adc.range = "calibrated"``: from the ideal column sums of the calibration's sample, per tile and slice; never
       finer than one unit per code where sums are whole numbers.
    4. A tile whose sums are all zero: as in 2.
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
        if self.target.adc.bits is not None:
            full = graph.fresh(f"{name}.adc_range")
            graph.tensors[full] = self._adc_ranges(graph, replace(matrix, ranges=ranges))
            ranges = replace(ranges, adc_range=full)
        graph.matrices[name] = matrix.with_plan(ranges=ranges)

    def _vectors(self, matrix: Matrix) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        found = self.calibration.matrices.get(matrix.name)
        if found is None:
            raise OptionError(f"matrix {matrix.name!r}: no calibration statistics", hint="compile from the ONNX file")
        return found.vectors

    def _adc_ranges(self, graph: Graph, matrix: Matrix) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        """[row_tile, col_tile, slice]"""
        assert matrix.cut is not None and matrix.cells is not None
        limits = Limits.of(matrix.cells, matrix.cut, self.target)
        tiling = Tiling(matrix.cut)
        result = np.full((*tiling.counts, matrix.cells.slices), float(limits.full_range), np.float32)
        if self.target.adc.range == "full":  # 2
            return result
        mapping = self.target.mapping
        for index, sums in self._column_sums(graph, matrix, spread(self._vectors(matrix), SAMPLE)):
            for col_tile, per_slice in enumerate(sums):  # [slice, vectors, cols]
                used = per_slice[..., : matrix.cut.tile_cols[col_tile]].abs().numpy()
                for s, column in enumerate(used):
                    reached = mapping.adc_share * percentile(column, mapping.adc_percentile)
                    if reached > 0:  # else 4
                        result[index, col_tile, s] = max(reached, limits.finest_range)  # 3
        return result

    def _column_sums(
        self, graph: Graph, matrix: Matrix, vectors: np.ndarray[tuple[int, int], np.dtype[np.float32]]
    ) -> Iterator[tuple[int, Tensor]]:
        """For each row tile its ideal column sums [col_tile, slice, vectors, cols], input bits one below the other."""
        assert matrix.cut is not None and matrix.cells is not None and matrix.ranges is not None
        tiling = Tiling(matrix.cut)
        weight = tensor_of(graph.tensors[matrix.weight])
        scale = columns_per_block(tensor_of(graph.tensors[matrix.ranges.weight_scale]), matrix)
        steps = crossbar.parameters_from_weights(blocks_from_weight(weight, matrix), scale, matrix.cells)
        held = crossbar.effective(crossbar.program(steps, matrix.cells, self.target.device, tiling, None))
        codes = tensor_of(vectors)
        if matrix.ranges.dac_range is not None:
            limit = input_limit(self.target.dac)
            step = tensor_of(graph.tensors[matrix.ranges.dac_range]) / limit
            codes = converters.quantise(codes, step, -limit, limit)
        drives = [codes]
        if self.target.dac.encoding == "bit_serial" and self.target.dac.bits is not None:
            drives = [plane for _, plane in converters.bit_planes(codes, self.target.dac.bits)]
        stacked = torch.cat(drives)  # [vectors, inputs]
        blocks, rows, _ = matrix.block_shape
        by_tile = tiling.split_rows(stacked.T.reshape(blocks, rows, -1))  # [row_tile, tile_rows, vectors]
        for index in range(tiling.counts[0]):
            yield index, torch.einsum("rn,qsrc->qsnc", by_tile[index], held[index])


def percentile(magnitudes: np.ndarray[tuple[int, ...], np.dtype[np.float32]], percent: float) -> float:
    """The value that ``percent`` of the magnitudes do not exceed; 0 for none at all."""
    if magnitudes.size == 0:
        return 0.0
    return float(np.percentile(magnitudes, percent, method="higher"))
