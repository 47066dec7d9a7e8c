"""What converters can tell apart: the codes of DAC and ADC, and the largest sum that a column can carry."""

from __future__ import annotations

from dataclasses import dataclass

from pinat_compile.graph.matrix import Cells, Cut
from pinat_compile.hardware.schema import AdcSection, DacSection, Target
from pinat_compile.physics.converters import signed_limit


def input_limit(dac: DacSection) -> int:
    """The largest input code; 1 where inputs are not quantised."""
    return 1 if dac.bits is None else signed_limit(dac.bits)


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one matrix's conversions on a target; ``rows_on`` of a tile's rows are converted at a time."""

    cells: Cells
    cut: Cut
    dac: DacSection
    adc: AdcSection
    rows_on: int | None = None

    @classmethod
    def of(cls, cells: Cells, cut: Cut, target: Target) -> Limits:
        return cls(cells, cut, target.dac, target.adc, target.array.rows_on)

    @property
    def unsigned(self) -> bool:
        """Whether no sum is negative: single devices driven by bits, each step converted on its own."""
        return self.cells.scheme == "bias" and not self.dac.converted_at_once

    @property
    def codes(self) -> tuple[int, int]:
        """Smallest and largest ADC code: from zero where no sum is negative, else symmetric."""
        assert self.adc.bits is not None
        if self.unsigned:
            return 0, (1 << self.adc.bits) - 1
        return -signed_limit(self.adc.bits), signed_limit(self.adc.bits)

    @property
    def largest_sum(self) -> int:
        """The largest magnitude of one conversion with ideal devices, in integer units.

        All rows driven fully and all cells at their top; at most half of a tile's where columns may be stored as
        complement and driven by bits. A reference column takes half of its range from the top slice.
        """
        tile = max(self.cut.tile_rows)
        rows = tile if self.rows_on is None else min(self.rows_on, tile)
        if self.dac.converted_at_once:
            return rows * input_limit(self.dac) * self._largest_cell
        per_row = self.dac.largest_input * self._largest_cell
        return min(rows * per_row, tile * per_row // 2) if self.cells.flip else rows * per_row

    @property
    def _largest_cell(self) -> int:
        """The largest magnitude that a column reads of one weight and slice, in steps of the slice."""
        if self.cells.scheme != "offset":
            return self.cells.cell_max
        tops = [(1 << bits) - 1 for bits in self.cells.slice_bits[:-1]]  # the top slice alone is balanced
        middle = self.cells.middle // self.cells.slice_weights[-1]
        return max([*tops, middle])

    @property
    def counted(self) -> bool:
        """Whether sums are whole numbers of units; not where weights are continuous, nor where inputs are."""
        return self.cells.rounded and self.dac.bits is not None

    @property
    def finest_range(self) -> int:
        """The smallest full scale that makes sense: one unit per code; 0 where sums are not whole numbers of units."""
        return self.codes[1] if self.counted else 0

    @property
    def full_range(self) -> int:
        """The full scale that loses least without looking at data: all that sums need, but never below the finest."""
        return max(self.finest_range, self.largest_sum)

    @property
    def lossless(self) -> bool:
        """Whether one unit per code is enough for every sum (a full range is then exact)."""
        return self.counted and self.largest_sum <= self.codes[1]
