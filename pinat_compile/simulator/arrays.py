"""A matrix on its arrays, multiplied: DAC, cells, noise, amplifier, ADC, partial sums.

All sums are in integer units (input steps times weight steps) until the last line of a product.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from pinat_compile.graph.matrix import Matrix
from pinat_compile.physics import converters, periphery
from pinat_compile.physics.placement import Placement
from pinat_compile.physics.tiling import blocks_from_weight
from pinat_compile.simulator import few_passes
from pinat_compile.simulator.conditions import Conditions
from pinat_compile.simulator.images import tile_products
from pinat_compile.simulator.noise import Noise, Role
from pinat_compile.simulator.operands import Operand
from pinat_compile.simulator.optical import program_optics
from pinat_compile.simulator.planned import EXACT_FLOAT32 as EXACT_FLOAT32
from pinat_compile.simulator.planned import PlannedMatrix, Values
from pinat_compile.simulator.programming import Programmed as Programmed
from pinat_compile.simulator.programming import program
from pinat_compile.simulator.tiles import TileProducts


@dataclass
class InputStep:
    """One input step: what its result is multiplied by, what drives the rows, and the powers of that."""

    index: int
    weight: int
    drive: Operand
    _powers: dict[int, Operand] = field(default_factory=dict)

    @cached_property
    def magnitude(self) -> Operand:
        return self.drive.map(torch.abs)

    def power(self, exponent: int) -> Operand:
        if exponent not in self._powers:
            self._powers[exponent] = self.drive.map(lambda x: x.square() if exponent == 2 else x**exponent)
        return self._powers[exponent]


@dataclass(frozen=True, slots=True)
class ArrayMatrix(PlannedMatrix):
    """Multiplies a planned matrix once it is programmed."""

    def program(
        self,
        values: Values,
        conditions: Conditions,
        placement: Placement | None = None,
        drift_gain: Tensor | None = None,
    ) -> Programmed:
        """See `pinat_compile.simulator.programming.program`."""
        if self.target.optical:
            return program_optics(self, values, conditions)
        return program(self, values, conditions, placement, drift_gain)

    def multiply(
        self, x: Operand, values: Values, programmed: Programmed, noise: Noise | None, node: str
    ) -> Tensor:
        """W v for all vectors of ``x``, read once: [batch, *positions, outputs], in the units of the network."""
        return self.multiply_codes(self.encoded(x, values), values, programmed, noise, node)

    def multiply_codes(
        self, codes: Operand, values: Values, programmed: Programmed, noise: Noise | None, node: str, reads: int = 1,
        *, gain: Tensor | None = None, bias: Tensor | None = None,
    ) -> Tensor:
        """W v * gain + bias for all vectors v: [batch, *positions, outputs], in the units of the network.

        ``codes``: the vectors as `encoded`. ``reads``: each product is read so often, and the codes are averaged.
        ``gain`` and ``bias`` [outputs] or [].
        """
        step = self._input_step(values)
        scale = values(self.ranges.weight_scale)
        unit = scale if step is None else scale * step  # of a sum, for each output
        unit = unit if gain is None else unit * gain
        products = self._streamlined(codes, programmed, reads)
        if products is not None:
            return self._in_few_passes(products, codes, programmed, noise, node, unit, bias)
        if programmed.whole is not None:
            sums = self._exact(codes, programmed.whole)
        else:
            sums = self._through_arrays(codes, programmed, noise, node, reads)
        found = sums.flatten(-2).to(scale.dtype) * unit
        return found if bias is None else found + bias

    def encoded(self, x: Operand, values: Values) -> Operand:
        """What the DACs make of ``x``, in input steps; ``x`` itself where inputs are not quantised."""
        step = self._input_step(values)
        return x if step is None else x.map(lambda v: converters.quantise(v, step, -self.input_limit, self.input_limit))

    def _input_step(self, values: Values) -> Tensor | None:
        """What one input code stands for; ``None`` where inputs are not quantised."""
        if self.target.dac.bits is None:
            return None
        assert self.ranges.dac_range is not None
        return values(self.ranges.dac_range) / self.input_limit

    def _exact(self, codes: Operand, whole: Tensor) -> Tensor:
        """One product; in float64 where float32 could not hold the integers."""
        joined = codes.rejoined().map(Tensor.double) if self.wide else codes.rejoined()
        return joined.product(whole.double() if self.wide else whole, slice(0, 1))[0].squeeze(-2)

    # --- in few passes ---

    def _streamlined(self, codes: Operand, programmed: Programmed, reads: int) -> TileProducts | None:
        """How tiles are laid out where `few_passes` can read them; ``None``: array by array.

        Sums that are whole numbers are left to the definition, which rounds none of them before the ADC does; but in
        training they need not be exact.
        """
        exact = programmed.whole is not None or programmed.counted and not torch.is_grad_enabled()
        one_by_one = self.target.dac.encoding != "bit_serial" or not self.target.dac.converted_at_once
        rounds = self.target.adc.rounding == "nearest" and self.cells.scheme != "bias"
        plain = codes.x.dtype == programmed.weights.dtype == torch.float32
        fits = programmed.straight and one_by_one and rounds and plain and reads == 1 and not exact
        return tile_products(codes) if fits else None

    def _in_few_passes(
        self,
        products: TileProducts,
        codes: Operand,
        programmed: Programmed,
        noise: Noise | None,
        node: str,
        unit: Tensor,
        bias: Tensor | None,
    ) -> Tensor:
        """[batch, *positions, outputs], in the units of the network; ``unit`` [outputs] is that of a sum."""
        _, blocks, _, _, cols = programmed.weights.shape
        shifts = torch.tensor(self.cells.slice_weights, dtype=torch.float32, device=unit.device)
        factor = shifts.view(-1, 1) * unit.expand(blocks * cols).view(blocks, 1, cols)  # [block, slice, cols]
        start = None if bias is None else bias.expand(blocks * cols)
        limit, total = self.limits.codes[1], None
        for step in self._input_steps(codes, programmed):
            read_by = products if step.drive is codes else tile_products(step.drive)
            assert read_by is not None
            weighted = factor if step.weight == 1 else factor * step.weight
            total = few_passes.read(
                read_by, step.drive.x, programmed, noise, (node, step.index), limit, weighted, start, total
            )
        assert total is not None
        return codes.shaped(total)

    # --- array by array ---

    def _through_arrays(
        self, codes: Operand, programmed: Programmed, noise: Noise | None, node: str, reads: int = 1
    ) -> Tensor:
        """Every conversion on its own, then shifted and added: [batch, *positions, block, cols].

        A conversion is of a slice and of rows that are driven together; of one input step, or of all of them where they
        accumulate on the column.
        """
        steps = self._input_steps(codes, programmed)
        together = self.target.dac.converted_at_once
        conversions = [(1, codes, steps)] if together else [(step.weight, step.drive, [step]) for step in steps]
        slices, cols = programmed.weights.shape[2], programmed.weights.shape[4]
        total: Tensor | None = None
        for weight, digital, parts in conversions:
            for tiles in codes.chunks(slices * cols):
                found = self._averaged(parts, programmed, tiles, noise, node, reads)
                part = self._add_up(found, digital, programmed, tiles, weight)
                total = part if total is None else total + part
        assert total is not None
        return total

    def _input_steps(self, codes: Operand, programmed: Programmed) -> list[InputStep]:
        """What drives the rows, one step after the other."""
        dac = self.target.dac
        digits = converters.driven_steps(codes.x, dac, one_pass=self.ranges.one_pass)
        if dac.encoding in ("amplitude", "pulse_width"):
            return [InputStep(0, 1, self._driven(codes, programmed))]
        drives = [codes.map(lambda _, plane=plane: plane) for _, plane in digits]  # type: ignore[misc]
        return [
            InputStep(index, weight, self._driven(drive, programmed))
            for index, ((weight, _), drive) in enumerate(zip(digits, drives, strict=True))
        ]

    def _driven(self, codes: Operand, programmed: Programmed) -> Operand:
        """The inputs as the drivers put them out."""
        if programmed.ladder is None:
            return codes
        curve, largest = programmed.ladder, self.target.dac.largest_input
        return codes.map(lambda x: periphery.through_ladder(x, largest, curve))

    def _averaged(
        self,
        steps: Sequence[InputStep],
        programmed: Programmed,
        tiles: slice,
        noise: Noise | None,
        node: str,
        reads: int,
    ) -> Tensor:
        """The mean over reads of what the ADC gives for the weighted sum of ``steps``; without an ADC, of the sums."""
        clean = [self._sums(step, programmed, tiles) for step in steps]
        total: Tensor | None = None
        for read in range(reads):
            column: Tensor | None = None
            for step, sums in zip(steps, clean, strict=True):
                role: Role = (node, step.index) if read == 0 else (node, step.index, "read", read)
                noisy = self._noisy(sums, step, programmed, tiles, noise, role, own=reads == 1)
                weighted = noisy * step.weight if len(steps) > 1 else noisy
                column = weighted if column is None else column + weighted
            assert column is not None
            role = (node, steps[0].index, "rounding", read)
            codes = self._convert(column, programmed, tiles, noise, role, own=reads == 1 or column is not clean[0])
            total = codes if total is None else total + codes
        assert total is not None
        return total if reads == 1 else total / reads

    def _sums(self, step: InputStep, programmed: Programmed, tiles: slice) -> Tensor:
        """What the columns carry without noise: [tile, batch, *positions, block, slice, cols]."""
        sums = step.drive.product(programmed.weights, tiles)
        if programmed.excess is None:
            return sums
        square, cube = programmed.excess
        if self.target.dac.encoding == "pulse_width":  # the voltage is always full, of the input's sign
            assert cube is not None
            full = float(self.target.dac.largest_input)
            sums = sums + step.magnitude.product(square, tiles) * full
            return sums + step.drive.product(cube, tiles) * full**2
        sums = sums + step.power(2).product(square, tiles)
        return sums if cube is None else sums + step.power(3).product(cube, tiles)

    # --- noise ---

    def _noisy(
        self,
        sums: Tensor,
        step: InputStep,
        programmed: Programmed,
        tiles: slice,
        noise: Noise | None,
        role: Role,
        *,
        own: bool,
    ) -> Tensor:
        """The sums of one read, with everything that is fresh in it; ``own``: they may be overwritten."""
        if noise is None:
            return sums
        fresh = programmed.fresh
        if fresh.of_columns:
            drawn = noise.normal(role, tiles.start, sums) * self._column_std(step, programmed, tiles, sums)
            sums = sums.add_(drawn) if own and _is_free(sums) else sums + drawn
        if fresh.of_reference:
            sums = sums - self._reference_noise(step, programmed, tiles, noise, (*role, "reference"), sums)
        if fresh.input_std > 0.0:
            sums = sums + self._input_noise(programmed, tiles, noise, (*role, "input"), sums)
        return sums

    def _column_std(self, step: InputStep, programmed: Programmed, tiles: slice, like: Tensor) -> Tensor:
        """Independent noise adds up to a Gaussian of variance sum(x² sigma²) per column, and what the circuit adds.

        [tile, batch, *positions, block, slice, cols], or less where columns do not differ.
        """
        fresh = programmed.fresh
        if isinstance(fresh.cells, float) and fresh.shot is None and fresh.columns is None and fresh.sums == 0.0:
            return _root(self._power(step, programmed, tiles, like)) * math.sqrt(fresh.cells)
        parts: list[Tensor] = []
        if isinstance(fresh.cells, Tensor):
            parts.append(step.power(2).product(fresh.cells, tiles))
        elif fresh.cells > 0.0:
            parts.append(self._power(step, programmed, tiles, like) * fresh.cells)
        if fresh.shot is not None:
            parts.append(step.magnitude.product(fresh.shot, tiles))
        if fresh.columns is not None:
            parts.append(_columns(fresh.columns, tiles, like))
        if fresh.sums > 0.0:
            parts.append(like.detach().square() * fresh.sums)
        variance = parts[0]
        for part in parts[1:]:
            variance = variance + part
        return _root(variance)

    def _power(self, step: InputStep, programmed: Programmed, tiles: slice, like: Tensor) -> Tensor:
        """sum(x²) over the driven rows: [tile, batch, *positions, block, 1, 1]."""
        return step.power(2).product(_row_of_ones(programmed.weights, like), tiles)

    def _reference_noise(
        self, step: InputStep, programmed: Programmed, tiles: slice, noise: Noise, role: Role, like: Tensor
    ) -> Tensor:
        """The noise of the reference columns, one draw for all columns of a tile: shaped like ``like``."""
        variance, sizes = programmed.fresh.reference, torch.tensor(self.cut.tile_cols, device=like.device)
        if isinstance(variance, Tensor):
            std = _root(step.power(2).product(variance, tiles))
        else:
            std = _root(self._power(step, programmed, tiles, like)) * math.sqrt(variance)
        std = std.expand(*like.shape[:-1], self.cut.col_tiles)
        return (noise.normal(role, tiles.start, std) * std).repeat_interleave(sizes, dim=-1)

    def _input_noise(self, programmed: Programmed, tiles: slice, noise: Noise, role: Role, like: Tensor) -> Tensor:
        """What noise of the drivers makes of the sums: each array has drivers of its own, shared by its columns."""
        weights = programmed.weights[tiles]  # [tile, block, slice, rows, cols]
        shape = (*like.shape[:-2], weights.shape[3])  # [tile, batch, *positions, block, rows]
        parts = []
        for index, (first, last) in enumerate(zip(self.cut.col_cuts, self.cut.col_cuts[1:], strict=False)):
            drawn = noise.normal((*role, index), tiles.start, like.new_empty(()).expand(shape))
            flat = drawn.reshape(shape[0], -1, *shape[-2:])  # [tile, vectors, block, rows]
            parts.append(torch.einsum("tnbr,tbsrc->tnbsc", flat, weights[..., first:last]))
        return torch.cat(parts, dim=-1).reshape(like.shape) * programmed.fresh.input_std

    # --- conversion ---

    def _convert(
        self,
        sums: Tensor,
        programmed: Programmed,
        tiles: slice,
        noise: Noise | None = None,
        role: Role = (),
        *,
        own: bool = True,
    ) -> Tensor:
        """Sensing errors, amplifier and ADC: codes; without an ADC, sums. ``own``: sums may be overwritten."""
        if programmed.to_codes is not None:
            scale = _columns(programmed.to_codes, tiles, sums)
            sums = sums.mul_(scale) if own and _is_free(sums) else sums * scale
        if programmed.code_offset is not None:
            offset = _columns(programmed.code_offset, tiles, sums)
            sums = sums.add_(offset) if _is_free(sums) else sums + offset
        if programmed.from_codes is None:
            return sums
        limits = self.limits.codes
        if programmed.curved and self.target.amplifier is not None:
            sums = periphery.amplified(sums / limits[1], self.target.amplifier) * limits[1]
        if programmed.converter is not None:
            bow, s = (_columns(height, tiles, sums) for height in programmed.converter)
            sums = periphery.through_converter(sums, limits, (bow, s))
        if noise is not None and self.target.adc.rounding == "stochastic":
            return converters.round_up_or_down(sums, noise.uniform(role, tiles.start, sums), *limits)
        return converters.round_clip(sums, *limits, own=own)

    def _add_up(self, codes: Tensor, digital: Operand, programmed: Programmed, tiles: slice, weight: int) -> Tensor:
        """Shift and add the slices and tiles of one conversion: [batch, *positions, block, cols] in integer units."""
        slices = self.cells.slice_weights
        factor = torch.tensor(slices, dtype=torch.float32, device=codes.device).view(-1, 1) * weight  # [slice, 1]
        if self.cells.scheme == "bias":
            sums = codes if programmed.from_codes is None else codes * _columns(programmed.from_codes, tiles, codes)
            codes = self._undo_encoding(sums, digital, programmed, tiles)
        elif programmed.from_codes is not None:
            factor = _columns(programmed.from_codes, tiles, codes) * factor
        wide = len(slices) > 1 or self.target.dac.steps > 1 or self.wide
        weighted = (codes.double() if wide else codes) * factor
        return weighted[0].squeeze(-2) if weighted.shape[0] == weighted.shape[-2] == 1 else weighted.sum(dim=(0, -2))

    def _undo_encoding(self, sums: Tensor, digital: Operand, programmed: Programmed, tiles: slice) -> Tensor:
        """Complemented columns and the bias of the weights, both known multiples of the sum of the inputs."""
        ones = _row_of_ones(programmed.weights, sums)
        inputs = digital.product(ones, tiles)  # [tile, batch, *positions, block, 1, 1]
        if programmed.flipped is not None:
            top = float(self.cells.cell_max)
            sums = torch.where(_columns(programmed.flipped, tiles, sums), top * inputs - sums, sums)
        # the bias, 2**(bits - 1), as a share of the top slice: the slices are then shifted and added alike
        correction = torch.zeros(self.cells.slices, 1, dtype=sums.dtype, device=sums.device)
        correction[-1] = self.cells.middle / self.cells.slice_weights[-1]
        return sums - correction * inputs


def _is_free(x: Tensor) -> bool:
    """Whether nobody will ask for the gradient of ``x``, so that it may be overwritten."""
    return not (torch.is_grad_enabled() and x.requires_grad)


def _root(variance: Tensor) -> Tensor:
    """The square root, with gradient 0 instead of infinity where nothing drives a column."""
    return variance.clamp(min=1e-20).sqrt()


def _row_of_ones(weights: Tensor, like: Tensor) -> Tensor:
    """What sums the rows of every read: [read, block, 1, rows, 1]."""
    read, block, _, rows, _ = weights.shape
    return torch.ones(read, block, 1, rows, 1, dtype=like.dtype, device=like.device)


def _columns(per_column: Tensor, tiles: slice, like: Tensor) -> Tensor:
    """[read, block, slice, cols] of ``tiles``, with axes for batch and positions."""
    part = per_column[tiles]
    return part.reshape(part.shape[0], *(1,) * (like.ndim - 4), *part.shape[1:])


def exact_product(matrix: Matrix, x: Operand, values: Mapping[str, Tensor] | Values) -> Tensor:
    """W v in floating point, as a digital unit computes it: [batch, *positions, outputs]."""
    fetch = values if callable(values) else values.__getitem__
    blocks = blocks_from_weight(fetch(matrix.weight), matrix)
    product = x.rejoined().product(blocks.unsqueeze(0).unsqueeze(2), slice(0, 1))
    return product[0].squeeze(-2).flatten(-2)
