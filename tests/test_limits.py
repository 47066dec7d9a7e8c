"""What converters can tell apart: units are whole numbers only where weights and inputs are."""

import pytest

from pinat_compile.graph.matrix import Cells, Cut
from pinat_compile.hardware.schema import AdcSection, DacSection
from pinat_compile.physics.limits import Limits

CUT = Cut(1, (0, 4), (0, 8))
INTEGER = Cells("differential", weight_max=7, cell_max=7, slice_bits=(3,))
CONTINUOUS = Cells("differential", weight_max=1, cell_max=1, slice_bits=(1,), rounded=False)


@pytest.mark.parametrize(
    ("cells", "dac_bits", "adc_bits", "full_range", "finest", "lossless"),
    [
        (INTEGER, 4, 8, 4 * 7 * 7, 127, False),  # 4 rows, inputs to 7, levels to 7: 196 units, 127 codes
        (INTEGER, 4, 10, 511, 511, True),  # codes enough: one unit each, none finer
        (CONTINUOUS, 4, 10, 4 * 7, 0, False),  # sums to 28, whatever the codes: they divide a unit
        (CONTINUOUS, 4, 4, 4 * 7, 0, False),
        (INTEGER, None, 16, 4 * 7, 0, False),  # inputs of any value
    ],
)
def test_full_range(
    cells: Cells, dac_bits: int | None, adc_bits: int, full_range: int, finest: int, lossless: bool
) -> None:
    limits = Limits(cells, CUT, DacSection(bits=dac_bits), AdcSection(bits=adc_bits))
    assert (limits.full_range, limits.finest_range, limits.lossless) == (full_range, finest, lossless)
