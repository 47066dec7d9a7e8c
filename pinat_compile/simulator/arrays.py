"""A matrix on its arrays: programmed once per chip, then multiplied: DAC, cells, noise, ADC, partial sums.

All sums are in integer units (input steps times weight steps) until the last line of a product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pinat_compile.graph.matrix import Cells, Cut, Matrix, Ranges
from pinat_compile.hardware.schema import Device, Target
from pinat_compile.physics import converters, crossbar, randomness
from pinat_compile.physics.limits import Limits, input_limit
from pinat_compile.physics.placement import Placement
from pinat_compile.physics.randomness import Key
from pinat_compile.physics.tiling import Tiling, blocks_from_weight, columns_per_block
from pinat_compile.physics.wires import Wires
from pinat_compile.simulator.conditions import Conditions
from pinat_compile.simulator.noise import Noise
from pinat_compile.simulator.operands import Operand

EXACT_FLOAT32 = 1 << 24
"""Below this bound every integer is a float32."""

Values = Callable[[str], Tensor]
"""A tensor of the graph by name: its present value, perhaps a parameter being trained."""


@dataclass(frozen=True, slots=True)
class Programmed:
    """One matrix on one chip under one set of conditions, ready to be multiplied.

    ``weights`` [tile, block, slice, rows, cols] in steps of the slice; ``read_std``, or ``read_variance`` of the same
    shape in squared steps, of one read; ``excess``, what squares and cubes of the inputs are multiplied by where
    devices do not obey Ohm's law. Of each column [tile, block, slice, cols]: ``flipped``; ``to_codes`` and
    ``code_offset``, which turn a sum into ADC codes; ``from_codes``, what a code stands for (``None``: no ADC).
    Where nothing can deviate from integer arithmetic ``whole`` [1, block, 1, rows, cols] serves in their place.
    """

    weights: Tensor
    to_codes: Tensor | None = None
    code_offset: Tensor | None = None
    from_codes: Tensor | None = None
    read_std: float = 0.0
    read_variance: Tensor | None = None
    excess: tuple[Tensor, Tensor] | None = None
    flipped: Tensor | None = None
    whole: Tensor | None = None


@dataclass(frozen=True, slots=True)
class ArrayMatrix:
    """What a mapped matrix and a target say of a multiplication; holds no numbers of its own."""

    matrix: Matrix
    target: Target

    @property
    def cells(self) -> Cells:
        assert self.matrix.cells is not None
        return self.matrix.cells

    @property
    def cut(self) -> Cut:
        assert self.matrix.cut is not None
        return self.matrix.cut

    @property
    def ranges(self) -> Ranges:
        assert self.matrix.ranges is not None
        return self.matrix.ranges

    @property
    def limits(self) -> Limits:
        return Limits.of(self.cells, self.cut, self.target)

    @property
    def input_limit(self) -> int:
        return input_limit(self.target.dac)

    @property
    def tiling(self) -> Tiling:
        return Tiling(self.cut, self.matrix.groups)

    # --- programming ---

    def steps(self, values: Values) -> Tensor:
        """The weights in weight steps, clipped, not rounded: [blocks, rows, cols]."""
        blocks = blocks_from_weight(values(self.matrix.weight), self.matrix)
        scale = columns_per_block(values(self.ranges.weight_scale), self.matrix)
        return crossbar.parameters_from_weights(blocks, scale, self.cells)

    def state(self, values: Values, conditions: Conditions, placement: Placement | None = None) -> crossbar.State:
        """The cells programmed on the chip of ``conditions`` (ideal ones where the chip is ``None``)."""
        device = self.target.device if conditions.chip is not None else Device(self.target.cell)
        chip = None if conditions.chip is None else Key(("chip", conditions.chip, self.matrix.name))
        wires = None if conditions.chip is None else Wires.of(self.target)
        return crossbar.program(self.steps(values), self.cells, device, self.tiling, chip, wires, placement)

    def program(
        self,
        values: Values,
        conditions: Conditions,
        placement: Placement | None = None,
        drift_gain: Tensor | None = None,
    ) -> Programmed:
        """Program the matrix on the chip of ``conditions`` (an ideal one where the chip is ``None``).

        ``drift_gain`` [row_tile, col_tile, slice] multiplies what the sums of a tile stand for.
        """
        state = self.state(values, conditions, placement)
        when = {"time_s": conditions.time_s, "temperature_k": conditions.temperature_k, "severity": conditions.severity}
        held = crossbar.effective(state, **when)
        variance = crossbar.read_variance(state, **when)
        fixed = isinstance(variance, float)
        excess = crossbar.excess(state, self._input_v, **when)
        gain, offset = self._column_errors(state, conditions.severity)
        gain = self._drifted(state, gain, conditions)
        adc_range = None if self.ranges.adc_range is None else values(self.ranges.adc_range)
        from_codes = to_codes = code_offset = None
        if adc_range is not None:
            high = self.limits.codes[1]
            from_codes = self._per_block(self.tiling.columns(adc_range)) / high
            to_codes = 1.0 / from_codes if gain is None else gain / from_codes
            code_offset = None if offset is None else offset * high
        elif gain is not None:
            to_codes = gain
        if drift_gain is not None:
            undrifted = self._per_block(self.tiling.columns(drift_gain.to(held.device)))
            if from_codes is not None:
                from_codes = from_codes * undrifted
            else:
                to_codes = undrifted if to_codes is None else to_codes * undrifted
        flipped = None if state.flipped is None else self._per_block(self.tiling.join_columns(state.flipped))
        ideal = state.ideal and gain is None and drift_gain is None
        whole = self._whole(state, held) if ideal and self._lossless(adc_range) else None
        return Programmed(
            weights=self._tiles(held),
            to_codes=to_codes,
            code_offset=code_offset,
            from_codes=from_codes,
            read_std=float(variance) ** 0.5 if fixed else 0.0,
            read_variance=None if fixed else self._tiles(variance),  # type: ignore[arg-type]
            excess=None if excess is None else (self._tiles(excess[0]), self._tiles(excess[1])),
            flipped=flipped,
            whole=whole,
        )

    def _tiles(self, x: Tensor) -> Tensor:
        """[row_tile, col_tile, slice, rows, cols] → [row_tile, block, slice, rows, cols]."""
        return self._per_block(self.tiling.rows(x))

    @property
    def _input_v(self) -> float:
        """Volts of one input step; 0 where the target does not say."""
        if self.target.nonlinearity is None:
            return 0.0
        steps = 1 if self.target.dac.encoding == "bit_serial" else self.input_limit
        return self.target.nonlinearity.full_scale_v / steps

    def _per_block(self, x: Tensor) -> Tensor:
        """[block * row_tile, ...] → [row_tile, block, ...]."""
        return x.reshape(self.cut.blocks, self.cut.row_tiles, *x.shape[1:]).transpose(0, 1)

    def _column_errors(self, state: crossbar.State, severity: float) -> tuple[Tensor | None, Tensor | None]:
        """Gain (1 + relative error) and offset (share of full scale) of each column's sensing, fixed for the chip."""
        column, chip = self.target.column, state.chip
        if chip is None or column is None:
            return None, None
        shape = (self.tiling.counts[0], self.cells.slices, self.cut.col_cuts[-1])
        gain = 1.0 + severity * column.gain_sigma * randomness.normal(chip.at("column_gain"), shape)
        offset = severity * column.offset_sigma * randomness.normal(chip.at("column_offset"), shape)
        return self._sensed(state, gain), self._sensed(state, offset, signed=True)

    def _drifted(self, state: crossbar.State, gain: Tensor | None, conditions: Conditions) -> Tensor | None:
        """The gains [row_tile, block, slice, cols] as they are now; amplifiers drift whether or not they had errors."""
        drift, severity = conditions.gain_drift, conditions.severity
        if state.chip is None or conditions.chip is None or drift is None:
            return gain
        shape = (self.tiling.counts[0], self.cells.slices, self.cut.col_cuts[-1])
        common = 2.0 * float(randomness.uniform(Key(("chip", conditions.chip)).at("gain_drift"), (1,))) - 1.0
        own = randomness.normal(state.chip.at("gain_drift"), shape)
        factor = (1.0 + severity * drift.common * common) * (1.0 + severity * drift.per_column * own)
        sensed = self._sensed(state, factor.clamp(min=0.0))
        return sensed if gain is None else gain * sensed

    def _sensed(self, state: crossbar.State, per_column: Tensor, *, signed: bool = False) -> Tensor:
        """Values of physical columns [row_tile, slice, cols] for the weights' columns [tile, block, slice, cols].

        ``signed``: what is added to a sum, whose sign turns where a column is swapped.
        """
        moved = per_column.to(state.levels.device)
        if state.placement is not None:
            tiles = self.tiling.split_columns(moved)
            moved = self.tiling.join_columns(state.placement.unplace_columns(tiles, signed=signed))
        return self._per_block(moved)

    def _whole(self, state: crossbar.State, net: Tensor) -> Tensor:
        """The integer matrix [1, block, 1, rows, cols] that the slices ``net`` of an ideal chip add up to."""
        if state.flipped is not None:
            net = torch.where(state.flipped[:, :, :, None, :], state.cells.cell_max - net, net)
        weights = torch.tensor(self.cells.slice_weights, dtype=net.dtype, device=net.device)
        total = (net * weights.view(1, 1, -1, 1, 1)).sum(dim=2, keepdim=True)
        rows = self._per_block(self.tiling.rows(total))  # [row_tile, block, 1, rows, cols]
        parts = [rows[i, :, :, :size] for i, size in enumerate(self.cut.tile_rows)]
        whole = torch.cat(parts, dim=2)  # [block, 1, rows, cols]
        if self.cells.scheme == "bias":
            whole = whole - float(self.cells.weight_max + 1)
        return whole.unsqueeze(0)

    def _lossless(self, adc_range: Tensor | None) -> bool:
        """Whether an ideal column sum passes the ADC unchanged: steps of one unit, and codes enough for every sum."""
        if adc_range is None:
            return True
        return self.limits.lossless and bool((adc_range.detach() == self.limits.codes[1]).all())

    # --- multiplying ---

    def multiply(self, x: Operand, values: Values, programmed: Programmed, noise: Noise | None, node: str) -> Tensor:
        """W v for all vectors of ``x``: [batch, *positions, outputs], in the units of the network."""
        step = self._input_step(values)
        codes = x if step is None else x.map(lambda v: self._encode(v, step))
        if programmed.whole is not None:
            sums = self._exact(codes, programmed.whole)
        else:
            sums = self._through_arrays(codes, programmed, noise, node)
        scale = values(self.ranges.weight_scale)
        return sums.flatten(-2).to(scale.dtype) * (scale if step is None else scale * step)

    def _input_step(self, values: Values) -> Tensor | None:
        """What one input code stands for; ``None`` where inputs are not quantised."""
        if self.target.dac.bits is None:
            return None
        assert self.ranges.dac_range is not None
        return values(self.ranges.dac_range) / self.input_limit

    def _encode(self, x: Tensor, step: Tensor) -> Tensor:
        return converters.quantise(x, step, -self.input_limit, self.input_limit)

    def _exact(self, codes: Operand, whole: Tensor) -> Tensor:
        """One product; in float64 where float32 could not hold the integers."""
        wide = self._wide
        joined = codes.rejoined().map(Tensor.double) if wide else codes.rejoined()
        return joined.product(whole.double() if wide else whole, slice(0, 1))[0].squeeze(-2)

    @property
    def _wide(self) -> bool:
        """Whether sums over all rows are integers that float32 could not hold."""
        bound = self.cut.row_cuts[-1] * self.input_limit * (self.cells.weight_max + 1)
        return self.target.dac.bits is not None and self.cells.rounded and bound >= EXACT_FLOAT32

    def _through_arrays(self, codes: Operand, programmed: Programmed, noise: Noise | None, node: str) -> Tensor:
        """Every input step, slice and row tile on its own, each sum through its ADC, then shifted and added."""
        slice_weights = self.cells.slice_weights
        shift = torch.tensor(slice_weights, dtype=torch.float32, device=codes.x.device).view(-1, 1)  # [slice, 1]
        wide = len(slice_weights) > 1 or self.target.dac.encoding == "bit_serial" or self._wide
        total: Tensor | None = None
        for step_index, (step_weight, drive) in enumerate(self._drives(codes)):
            squared = drive.map(torch.square) if _is_noisy(programmed, noise) else None
            for tiles in drive.chunks(programmed.weights[0].shape[2] * shift.shape[0]):
                sums = drive.product(programmed.weights, tiles)  # [tile, batch, *positions, block, slice, cols]
                if programmed.excess is not None:
                    square, cube = programmed.excess
                    sums = sums + drive.map(torch.square).product(square, tiles)
                    sums = sums + drive.map(lambda v: v**3).product(cube, tiles)
                if squared is not None and noise is not None:
                    noisy = self._read_noise(squared, programmed, tiles, noise, (node, step_index), sums)
                    sums = sums.add_(noisy) if _is_free(sums) else sums + noisy
                codes_out = self._convert(sums, programmed, tiles)
                part = self._add_up(codes_out, drive, programmed, tiles, shift * step_weight, wide)
                total = part if total is None else total + part
        assert total is not None
        return total  # [batch, *positions, block, cols]

    def _drives(self, codes: Operand) -> list[tuple[int, Operand]]:
        """The input steps as (weight, vectors of one step)."""
        if self.target.dac.encoding == "amplitude":
            return [(1, codes)]
        assert self.target.dac.bits is not None
        planes = converters.bit_planes(codes.x, self.target.dac.bits)
        return [(weight, codes.map(lambda _, plane=plane: plane)) for weight, plane in planes]  # type: ignore[misc]

    def _read_noise(
        self,
        squared: Operand,
        programmed: Programmed,
        tiles: slice,
        noise: Noise,
        role: tuple[str | int, ...],
        like: Tensor,
    ) -> Tensor:
        """Independent noise of the cells adds up to a Gaussian of variance sum(x² sigma²) per column."""
        if programmed.read_variance is not None:
            std = _root(squared.product(programmed.read_variance, tiles))
        else:
            tile, block, _, rows, _ = programmed.weights.shape
            ones = torch.ones(tile, block, 1, rows, 1, dtype=like.dtype, device=like.device)
            std = _root(squared.product(ones, tiles)) * programmed.read_std
        return noise.normal(role, tiles.start, like) * std

    def _convert(self, sums: Tensor, programmed: Programmed, tiles: slice) -> Tensor:
        """Sensing errors and the ADC: codes; without an ADC, sums."""
        if programmed.to_codes is not None:
            scale = _columns(programmed.to_codes, tiles, sums)
            sums = sums.mul_(scale) if _is_free(sums) else sums * scale
        if programmed.code_offset is not None:
            offset = _columns(programmed.code_offset, tiles, sums)
            sums = sums.add_(offset) if _is_free(sums) else sums + offset
        if programmed.from_codes is None:
            return sums
        return converters.round_clip(sums, *self.limits.codes, own=True)

    def _add_up(
        self, codes: Tensor, drive: Operand, programmed: Programmed, tiles: slice, weight: Tensor, wide: bool
    ) -> Tensor:
        """Shift and add the slices and tiles of one input step: [batch, *positions, block, cols] in integer units."""
        if self.cells.scheme == "bias":
            sums = codes if programmed.from_codes is None else codes * _columns(programmed.from_codes, tiles, codes)
            codes = self._undo_encoding(sums, drive, programmed, tiles)
        elif programmed.from_codes is not None:
            weight = _columns(programmed.from_codes, tiles, codes) * weight
        weighted = (codes.double() if wide else codes) * weight
        return weighted[0].squeeze(-2) if weighted.shape[0] == weighted.shape[-2] == 1 else weighted.sum(dim=(0, -2))

    def _undo_encoding(self, sums: Tensor, drive: Operand, programmed: Programmed, tiles: slice) -> Tensor:
        """Complemented columns and the bias of the weights, both known multiples of the sum of the inputs."""
        if self.cells.scheme != "bias":
            return sums
        tile, block, _, rows, _ = programmed.weights.shape
        ones = torch.ones(tile, block, 1, rows, 1, dtype=sums.dtype, device=sums.device)
        inputs = drive.product(ones, tiles)  # [tile, batch, *positions, block, 1, 1]
        if programmed.flipped is not None:
            top = float(self.cells.cell_max)
            sums = torch.where(_columns(programmed.flipped, tiles, sums), top * inputs - sums, sums)
        # the bias, 2**(bits - 1), as a share of the top slice: the slices are then shifted and added alike
        correction = torch.zeros(self.cells.slices, 1, dtype=sums.dtype, device=sums.device)
        correction[-1] = (self.cells.weight_max + 1) / self.cells.slice_weights[-1]
        return sums - correction * inputs


def _is_free(x: Tensor) -> bool:
    """Whether nobody will ask for the gradient of ``x``, so that it may be overwritten."""
    return not (torch.is_grad_enabled() and x.requires_grad)


def _root(variance: Tensor) -> Tensor:
    """The square root, with gradient 0 instead of infinity where nothing drives a column."""
    return variance.clamp(min=1e-20).sqrt()


def _is_noisy(programmed: Programmed, noise: Noise | None) -> bool:
    return noise is not None and (programmed.read_std > 0.0 or programmed.read_variance is not None)


def _columns(per_column: Tensor, tiles: slice, like: Tensor) -> Tensor:
    """[tile, block, slice, cols] of ``tiles``, with axes for batch and positions."""
    part = per_column[tiles]
    return part.reshape(part.shape[0], *(1,) * (like.ndim - 4), *part.shape[1:])


def exact_product(matrix: Matrix, x: Operand, values: Mapping[str, Tensor] | Values) -> Tensor:
    """W v in floating point, as a digital unit computes it: [batch, *positions, outputs]."""
    fetch = values if callable(values) else values.__getitem__
    blocks = blocks_from_weight(fetch(matrix.weight), matrix)
    product = x.rejoined().product(blocks.unsqueeze(0).unsqueeze(2), slice(0, 1))
    return product[0].squeeze(-2).flatten(-2)
