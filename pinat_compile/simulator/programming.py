"""A matrix on one chip: programmed, and everything known that a multiplication will need."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from pinat_compile.physics import converters, crossbar, periphery, randomness
from pinat_compile.physics.placement import Placement
from pinat_compile.physics.randomness import Key
from pinat_compile.simulator.conditions import Conditions
from pinat_compile.simulator.planned import PlannedMatrix, Values


@dataclass(frozen=True, slots=True)
class Fresh:
    """What is drawn anew in every read, by variance in squared steps; ``None`` where there is nothing of it.

    ``cells``: of each weight's own devices, per squared input [read, block, slice, rows, cols], or one number for all.
    ``reference``: of the devices of reference columns, which all columns of a tile feel alike, per squared input [read,
    block, slice, rows, col_tiles], or one number. ``shot``: per input [read, block, slice, rows, cols]. ``columns``:
    whatever the inputs [read, block, slice, cols]. ``sums``: per squared sum, a number. ``input_std``: standard
    deviation of the inputs, in input steps.
    """

    cells: Tensor | float = 0.0
    reference: Tensor | float = 0.0
    shot: Tensor | None = None
    columns: Tensor | None = None
    sums: float = 0.0
    input_std: float = 0.0

    @property
    def of_columns(self) -> bool:
        """Whether columns have noise of their own."""
        others = self.shot is not None or self.columns is not None or self.sums > 0.0
        return isinstance(self.cells, Tensor) or self.cells > 0.0 or others

    @property
    def of_reference(self) -> bool:
        return isinstance(self.reference, Tensor) or self.reference > 0.0


@dataclass(frozen=True, slots=True)
class Programmed:
    """One matrix on one chip under one set of conditions, ready to be multiplied.

    ``weights`` [read, block, slice, rows, cols] in steps of the slice; ``fresh``, the noise of one read; ``excess``,
    what squares and cubes of the inputs are multiplied by where devices do not obey Ohm's law, or squares alone where
    modulators are not straight. Of each column [read, block, slice, cols]: ``flipped``; ``to_codes`` and
    ``code_offset``, which turn a sum into ADC codes; ``from_codes``, what a code stands for (``None``: no ADC);
    ``converter``, the curve of its ADC. ``ladder``: the curve of the inputs. ``curved``: whether there is an amplifier
    that is not straight. ``counted``: whether ideal devices make all sums whole numbers. Where nothing can deviate from
    integer arithmetic ``whole`` [1, block, 1, rows, cols] serves in their place. ``kept``: what multiplications lay out
    once for all; not passed on to a changed copy.
    """

    weights: Tensor
    to_codes: Tensor | None = None
    code_offset: Tensor | None = None
    from_codes: Tensor | None = None
    fresh: Fresh = Fresh()
    excess: tuple[Tensor, Tensor | None] | None = None
    flipped: Tensor | None = None
    converter: periphery.Curve | None = None
    ladder: periphery.Curve | None = None
    curved: bool = False
    counted: bool = False
    whole: Tensor | None = None
    kept: dict[Any, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def straight(self) -> bool:
        """Whether a column is read by nothing but its gain, its offset, Gaussian noise of its own and a plain ADC."""
        plain = self.excess is None and self.converter is None and self.ladder is None and self.flipped is None
        fresh = self.fresh
        quiet = fresh.input_std == 0.0 and not fresh.of_reference
        return plain and quiet and not self.curved and self.from_codes is not None


def program(
    planned: PlannedMatrix,
    values: Values,
    conditions: Conditions,
    placement: Placement | None = None,
    drift_gain: Tensor | None = None,
) -> Programmed:
    """Program a matrix on the chip of ``conditions`` (an ideal one where the chip is ``None``).

    ``drift_gain`` [row_tile, col_tile, slice] multiplies what the sums of a tile stand for.
    """
    stocked = planned.stocked(values, conditions) if placement is None and drift_gain is None else None
    if stocked is not None:
        state = planned.bare_state(conditions, stocked[0])
        return _FromStock(planned, conditions, state, stocked).result(values, None)
    return Programming(planned, conditions, planned.state(values, conditions, placement)).result(values, drift_gain)


@dataclass(frozen=True)
class Programming:
    planned: PlannedMatrix
    conditions: Conditions
    state: crossbar.State

    def result(self, values: Values, drift_gain: Tensor | None) -> Programmed:
        planned, state = self.planned, self.state
        weights = self._weights()
        excess = crossbar.excess(state, self._input_v, **self._when)
        gain, offset = self._column_errors()
        adc_range = None if planned.ranges.adc_range is None else values(planned.ranges.adc_range)
        found = Programmed(
            weights=weights,
            to_codes=gain,
            fresh=self._fresh(),
            excess=None if excess is None else (planned.by_read(excess[0]), planned.by_read(excess[1])),
            flipped=None if state.flipped is None else self._columns(state.flipped),
            converter=self._converter(),
            ladder=self._ladder(weights),
            curved=state.chip is not None and planned.target.amplifier is not None,
            counted=state.ideal,
        )
        if adc_range is not None:
            found = self._converted(found, self._columns(self._per_column(adc_range)), offset)
        if drift_gain is not None:
            found = self._undrifted(found, self._columns(planned.tiling.columns(drift_gain.to(weights.device))))
        exact = gain is None and drift_gain is None and self._is_exact(found) and self._lossless(adc_range)
        return replace(found, whole=self._whole(crossbar.effective(state, **self._when))) if exact else found

    def _weights(self) -> Tensor:
        """What a read multiplies by: [read, block, slice, rows, cols] in steps of the slice."""
        return self.planned.by_read(crossbar.effective(self.state, **self._when))

    def _cell_variance(self) -> Tensor | float:
        """The variance of one read of it, likewise, or one number for all."""
        variance = crossbar.read_variance(self.state, **self._when)
        return variance if isinstance(variance, float) else self.planned.by_read(variance)

    @property
    def _when(self) -> dict[str, float]:
        now = self.conditions
        return {"time_s": now.time_s, "temperature_k": now.temperature_k, "severity": now.severity}

    @property
    def _input_v(self) -> float:
        """Volts of one input step, where devices do not obey Ohm's law; else 0."""
        section, dac = self.planned.target.nonlinearity, self.planned.target.dac
        return 0.0 if section is None else section.full_scale_v / dac.largest_input

    # --- the ADC ---

    def _converted(self, found: Programmed, full_scale: Tensor, offset: Tensor | None) -> Programmed:
        """With an ADC: what turns sums into codes, and codes into sums."""
        high = self.planned.limits.codes[1]
        per_code = full_scale / high
        noise = self.planned.target.adc.noise_lsb
        fresh = found.fresh
        if noise is not None and self.state.chip is not None and self.conditions.severity > 0.0:
            added = (self.conditions.severity * noise * per_code).square() / self._step_power
            fresh = replace(fresh, columns=added if fresh.columns is None else fresh.columns + added)
        return replace(
            found,
            from_codes=per_code,
            to_codes=1.0 / per_code if found.to_codes is None else found.to_codes / per_code,
            code_offset=None if offset is None else offset * high,
            fresh=fresh,
        )

    @property
    def _step_power(self) -> float:
        """How the noise of one input step adds up in a conversion: the sum of the squared weights of its steps.

        What is drawn once per conversion is shared among its steps accordingly: independent, it adds up to itself.
        """
        dac = self.planned.target.dac
        if dac.encoding != "bit_serial" or not dac.converted_at_once or dac.bits is None:
            return 1.0
        return float(sum(weight**2 for weight in converters.step_weights(dac.bits, dac.step_bits)))

    def _undrifted(self, found: Programmed, gain: Tensor) -> Programmed:
        """Drift compensation multiplies what is known digitally: codes, or sums where there is no ADC."""
        if found.from_codes is not None:
            return replace(found, from_codes=found.from_codes * gain)
        return replace(found, to_codes=gain if found.to_codes is None else found.to_codes * gain)

    def _per_column(self, adc_range: Tensor) -> Tensor:
        """Full scales per tile, slice or column → per column [row_tile, slice, cols]."""
        if adc_range.ndim == 4:
            return self.planned.tiling.join_columns(adc_range)
        return self.planned.tiling.columns(adc_range.expand(-1, -1, self.planned.cells.slices))

    def _columns(self, per_column: Tensor) -> Tensor:
        """[row_tile, slice, cols], or [row_tile, col_tile, slice, tile_cols] → [read, block, slice, cols]."""
        joined = per_column if per_column.ndim == 3 else self.planned.tiling.join_columns(per_column)
        return self.planned.columns_by_read(joined)

    # --- what is fixed for a chip ---

    @property
    def _column_shape(self) -> tuple[int, int, int]:
        """(row_tile, slice, cols)"""
        planned = self.planned
        return planned.tiling.counts[0], planned.cells.slices, planned.cut.col_cuts[-1]

    def _column_errors(self) -> tuple[Tensor | None, Tensor | None]:
        """Gain (1 + relative error) and offset (share of full scale) of each column's sensing, fixed for the chip."""
        column, chip, severity = self.planned.target.column, self.state.chip, self.conditions.severity
        if chip is None or column is None:
            return self._drifted(None), None
        gain = 1.0 + severity * column.gain_sigma * randomness.normal(chip.at("column_gain"), self._column_shape)
        offset = severity * column.offset_sigma * randomness.normal(chip.at("column_offset"), self._column_shape)
        return self._drifted(self._sensed(gain)), self._sensed(offset, signed=True)

    def _drifted(self, gain: Tensor | None) -> Tensor | None:
        """The gains [read, block, slice, cols] as they are now; amplifiers drift whether or not they had errors."""
        drift, severity, chip = self.conditions.gain_drift, self.conditions.severity, self.state.chip
        if chip is None or self.conditions.chip is None or drift is None:
            return gain
        common = 2.0 * float(randomness.uniform(Key(("chip", self.conditions.chip)).at("gain_drift"), (1,))) - 1.0
        own = randomness.normal(chip.at("gain_drift"), self._column_shape)
        factor = (1.0 + severity * drift.common * common) * (1.0 + severity * drift.per_column * own)
        sensed = self._sensed(factor.clamp(min=0.0))
        return sensed if gain is None else gain * sensed

    def _sensed(self, per_column: Tensor, *, signed: bool = False) -> Tensor:
        """Values of physical columns [row_tile, slice, cols] for the weights' columns [read, block, slice, cols].

        ``signed``: what is added to a sum, whose sign turns where a column is swapped.
        """
        moved, tiling = per_column.to(self.state.levels.device), self.planned.tiling
        if self.state.placement is not None:
            tiles = tiling.split_columns(moved)
            moved = tiling.join_columns(self.state.placement.unplace_columns(tiles, signed=signed))
        return self.planned.columns_by_read(moved)

    def _converter(self) -> periphery.Curve | None:
        """The curves of the columns' ADCs, each [read, block, slice, cols] in codes."""
        inl, chip = self.planned.target.adc.inl_lsb, self.state.chip
        if inl is None or chip is None:
            return None
        bow, s = (
            self._sensed(self.conditions.severity * inl * randomness.normal(chip.at("adc", role), self._column_shape))
            for role in ("bow", "s")
        )
        return bow, s

    def _ladder(self, like: Tensor) -> periphery.Curve | None:
        """The curve of the drivers' voltages, in input steps; the same for all arrays of the matrix."""
        dac, chip = self.planned.target.dac, self.state.chip
        if dac.inl_lsb is None or chip is None or dac.largest_input < 2:
            return None
        draws = randomness.normal(chip.at("dac"), (2,)).to(like.device) * (self.conditions.severity * dac.inl_lsb)
        return draws[0], draws[1]

    # --- what is fresh in every read ---

    def _fresh(self) -> Fresh:
        target, state, severity = self.planned.target, self.state, self.conditions.severity
        reference = 0.0 if state.reference is None else crossbar.read_variance(state.reference, **self._when)
        shot, thermal = self._circuit_noise()
        std = target.dac.noise_sigma if state.chip is not None else None
        return Fresh(
            cells=self._cell_variance(),
            reference=reference if isinstance(reference, float) else self._reference_by_read(reference),
            shot=shot,
            columns=thermal,
            input_std=0.0 if std is None else severity * std * target.dac.largest_input,
        )

    def _circuit_noise(self) -> tuple[Tensor | None, Tensor | None]:
        """Variances of shot noise per input, and of thermal noise per column; severity multiplies the deviations."""
        circuit, state, severity = self.planned.target.circuit_noise, self.state, self.conditions.severity
        if circuit is None or state.chip is None or severity == 0.0:
            return None, None
        volts = circuit.full_scale_v / self.planned.target.dac.largest_input
        unit = periphery.step_a(crossbar.step_us(state), volts)
        conducting = self.planned.by_read(crossbar.conducting_us(state, **self._when) * self._used_rows)
        shot = severity**2 * periphery.shot_variance(conducting, circuit, volts, unit) if circuit.shot else None
        kelvin = self.conditions.temperature_k
        thermal = periphery.thermal_variance(conducting.sum(dim=3), circuit, kelvin, unit) if circuit.thermal else None
        return shot, None if thermal is None else severity**2 * thermal

    @property
    def _used_rows(self) -> Tensor:
        """1 for the rows of a tile, 0 for the padding: [row_tile, 1, 1, rows, 1]."""
        tiling = self.planned.tiling
        ones = torch.ones(tiling.cut.blocks, tiling.cut.row_cuts[-1], device=self.state.levels.device)
        return tiling.split_rows(ones)[:, None, None, :, None]

    def _reference_by_read(self, variance: Tensor) -> Tensor:
        """[row_tile, col_tile, slice, rows, 1] → [read, block, slice, rows, col_tile]."""
        planned = self.planned
        cut = replace(planned.cut, col_cuts=tuple(range(planned.cut.col_tiles + 1)))
        one_column = replace(planned.matrix, cut=cut)
        return PlannedMatrix(one_column, planned.target).by_read(variance)

    # --- where everything is exact ---

    def _is_exact(self, found: Programmed) -> bool:
        fresh = found.fresh
        noisy = fresh.of_columns or fresh.of_reference or fresh.input_std > 0.0
        curved = found.curved or found.ladder is not None or found.converter is not None
        return self.state.ideal and not noisy and not curved

    def _lossless(self, adc_range: Tensor | None) -> bool:
        """Whether an ideal column sum passes the ADC unchanged: steps of one unit, and codes enough for every sum."""
        if adc_range is None:
            return True
        limits = self.planned.limits
        return limits.lossless and bool((adc_range.detach() == limits.codes[1]).all())

    def _whole(self, net: Tensor) -> Tensor:
        """The integer matrix [1, block, 1, rows, cols] that the slices ``net`` of an ideal chip add up to."""
        planned, cells = self.planned, self.planned.cells
        if self.state.flipped is not None:
            net = torch.where(self.state.flipped[:, :, :, None, :], cells.cell_max - net, net)
        weights = torch.tensor(cells.slice_weights, dtype=net.dtype, device=net.device)
        total = (net * weights.view(1, 1, -1, 1, 1)).sum(dim=2, keepdim=True)
        reads = planned.by_read(total)  # [read, block, 1, rows, cols]
        parts = [reads[i, :, :, :size] for i, size in enumerate(planned.reads.tile_rows)]
        whole = torch.cat(parts, dim=2)  # [block, 1, rows, cols]
        return (whole - float(cells.middle) if cells.scheme == "bias" else whole).unsqueeze(0)


@dataclass(frozen=True)
class _FromStock(Programming):
    """A virtual chip for training: its weights and their variance came from stock, its columns are made like any."""

    stocked: tuple[Tensor, Tensor | float]

    def _weights(self) -> Tensor:
        return self.stocked[0]

    def _cell_variance(self) -> Tensor | float:
        return self.stocked[1]
