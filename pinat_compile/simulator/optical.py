"""A matrix on one optical chip: set, and everything known that a multiplication will need."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from pinat_compile.physics.optics.chip import OpticalChip
from pinat_compile.physics.optics.technology import Reading, technology_of
from pinat_compile.physics.tiling import columns_per_block, weight_from_blocks
from pinat_compile.simulator.conditions import Conditions
from pinat_compile.simulator.planned import PlannedMatrix, Values
from pinat_compile.simulator.programming import Fresh, Programmed


def program_optics(planned: PlannedMatrix, values: Values, conditions: Conditions) -> Programmed:
    """Set the parts of a matrix on the chip of ``conditions`` (ideal ones where the chip is ``None``).

    Where inputs are not quantised there is no full scale that noise and offsets could be a share of: both are left out.
    """
    assert planned.ranges.parameters is not None
    parameters = values(planned.ranges.parameters)
    reading = technology_of(planned.target).read(parameters, planned.tiling.tile_shape, _chip(planned, conditions))
    found = Programmed(weights=planned.by_read(reading.weights.unsqueeze(2)))
    offset = None
    if planned.target.dac.bits is not None:
        found, offset = replace(found, fresh=_fresh(planned, reading)), _offset(planned, reading)
        if reading.bend is not None:
            bend = planned.by_read(reading.bend.unsqueeze(2)) / float(planned.target.dac.largest_input)
            found = replace(found, excess=(bend, None))
    if planned.ranges.adc_range is None:
        return replace(found, code_offset=offset)
    return _converted(planned, found, values(planned.ranges.adc_range), offset, conditions)


def _chip(planned: PlannedMatrix, conditions: Conditions) -> OpticalChip | None:
    if conditions.chip is None:
        return None
    return OpticalChip(planned.key(conditions.chip), conditions.severity, conditions.temperature_k)


def _fresh(planned: PlannedMatrix, reading: Reading) -> Fresh:
    """The noise of a read, with inputs and sums in input steps: L to full scale."""
    full = float(planned.target.dac.largest_input)
    return Fresh(
        cells=0.0 if reading.square is None else planned.by_read(reading.square.unsqueeze(2)),
        shot=None if reading.linear is None else planned.by_read(reading.linear.unsqueeze(2)) * full,
        columns=None if reading.constant is None else _per_column(planned, reading.constant) * full**2,
        sums=reading.relative,
    )


def _offset(planned: PlannedMatrix, reading: Reading) -> Tensor | None:
    if reading.offset is None:
        return None
    return _per_column(planned, reading.offset) * float(planned.target.dac.largest_input)


def _per_column(planned: PlannedMatrix, per_tile: Tensor) -> Tensor:
    """[row_tile, col_tile, tile_cols] → [read, block, slice, cols]."""
    return planned.columns_by_read(planned.tiling.join_columns(per_tile.unsqueeze(2)))


def _converted(
    planned: PlannedMatrix, found: Programmed, adc_range: Tensor, offset: Tensor | None, conditions: Conditions
) -> Programmed:
    """With an ADC: what turns sums into codes, and codes into sums."""
    tiling, high = planned.tiling, planned.limits.codes[1]
    joined = tiling.join_columns(adc_range) if adc_range.ndim == 4 else tiling.columns(adc_range)
    per_code = planned.columns_by_read(joined) / high
    fresh, noise = found.fresh, planned.target.adc.noise_lsb
    if noise is not None and conditions.chip is not None:
        added = (conditions.severity * noise * per_code).square()
        fresh = replace(fresh, columns=added if fresh.columns is None else fresh.columns + added)
    return replace(
        found,
        from_codes=per_code,
        to_codes=1.0 / per_code,
        code_offset=None if offset is None else offset / per_code,
        fresh=fresh,
    )


def weight_of_parameters(planned: PlannedMatrix, values: Values) -> Tensor:
    """The weight tensor that ideal parts, set to their present parameters, stand for."""
    assert planned.ranges.parameters is not None
    tiling = planned.tiling
    tiles = technology_of(planned.target).weights_from_parameters(values(planned.ranges.parameters), tiling.tile_shape)
    blocks = tiling.join(tiles) * columns_per_block(values(planned.ranges.weight_scale), planned.matrix)
    return weight_from_blocks(blocks, planned.matrix, tuple(values(planned.matrix.weight).shape))
