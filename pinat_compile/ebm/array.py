"""One array that multiplies in both directions: visible units on its rows, hidden units on its columns."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pinat_compile.errors import OptionError
from pinat_compile.graph.graph import Graph, Store
from pinat_compile.graph.matrix import Cells, Matrix, Ranges
from pinat_compile.hardware.schema import Target
from pinat_compile.passes.cut_into_tiles import CutIntoTiles
from pinat_compile.passes.slice_weights import cells_of
from pinat_compile.physics import crossbar
from pinat_compile.simulator.arrays import ArrayMatrix
from pinat_compile.simulator.conditions import Conditions
from pinat_compile.simulator.noise import Noise
from pinat_compile.simulator.operands import Vectors
from pinat_compile.simulator.programming import Programmed
from pinat_compile.simulator.transposed import check_two_way, mirrored, program_transposed

NAME = "coupling"


@dataclass(frozen=True, slots=True)
class Direction:
    """Full scales of one direction, in the units of the model: of an input, and of a column's sum in one tile."""

    input_range: float = 1.0
    sum_range: float = 1.0


@dataclass(frozen=True, slots=True)
class Held:
    """A matrix on one chip under one set of conditions: what each direction of reading multiplies by."""

    forward: Programmed
    backward: Programmed

    def of(self, transpose: bool) -> Programmed:
        return self.backward if transpose else self.forward


@dataclass(frozen=True, slots=True)
class Columns:
    """What the converters of one direction see for a batch of inputs, in codes, before they round.

    ``mean`` [batch, tile, outputs] without fresh noise, ``deviation`` of it likewise; ``unit`` [tile, outputs] what a
    code stands for; ``limit`` the largest code, ``None`` without a converter (then a unit is a number of the model).
    """

    mean: Tensor
    deviation: Tensor
    unit: Tensor
    limit: int | None


class TwoWayArray:
    """The plan of a matrix [rows, cols] that is programmed once, and read along its rows or along its columns.

    ``largest_weight`` stands at the top level of a cell, in every column alike (a scale per column would not be one
    along the rows). ``forward`` and ``backward``: full scales of the two directions. OptionError for a target whose
    arrays are not modelled in both directions, or that cuts a weight into several slices.
    """

    def __init__(
        self, rows: int, cols: int, target: Target, largest_weight: float, *, forward: Direction, backward: Direction
    ) -> None:
        if not largest_weight > 0.0:
            raise OptionError(f"largest_weight = {largest_weight}: must be above 0", hint="max |W|, or a clip below it")
        self.target = target
        self.cells = cells_of(target)
        if self.cells.slices != 1:
            what = f"target {target.name!r} cuts a weight into {self.cells.slices} slices"
            raise OptionError(f"{what}: a two-way array holds one", hint="weights.bits = cell.bits + 1")
        self.largest_weight = largest_weight
        self.directions = (forward, backward)
        plan = _plan(rows, cols, target, self.cells)
        check_two_way(target, plan)
        self._ways = (ArrayMatrix(plan, target), ArrayMatrix(mirrored(plan, _ranges(target, "backward")), target))
        self._settings = {**self._ranges("forward", 0), **self._ranges("backward", 1)}

    @property
    def step(self) -> float:
        """What one weight step stands for."""
        return self.largest_weight / self.cells.weight_max

    def program(self, weights: Tensor, conditions: Conditions) -> Held:
        """Program ``weights`` [rows, cols] on the chip of ``conditions``; ideal devices where its chip is ``None``."""
        values = {**self._settings, "weight": weights.float()}
        forward = self._ways[0].program(values.__getitem__, conditions)
        backward = program_transposed(self._ways[1].matrix, self.target, forward, values.__getitem__, conditions)
        return Held(forward, backward)

    def read(self, x: Tensor, held: Held, noise: Noise | None, *, transpose: bool = False) -> Tensor:
        """W' x for ``x`` [batch, rows], or W x for [batch, cols] where ``transpose``: [batch, cols or rows].

        Through DAC, devices with fresh read noise, ADC and the sum of the tiles; ``noise=None`` draws nothing.
        """
        way = self._ways[transpose]
        drive = Vectors(x.float(), 1, way.reads.row_cuts)
        return way.multiply(drive, self._settings.__getitem__, held.of(transpose), noise, way.matrix.name)

    def columns(self, x: Tensor, held: Held, *, transpose: bool = False) -> Columns:
        """What the converters of that direction see."""
        way, found = self._ways[transpose], held.of(transpose)
        codes = Vectors(self._codes(x.float(), transpose), 1, way.reads.row_cuts)
        every = slice(0, way.cut.row_tiles)
        sums, variance = codes.product(found.weights, every), self._variance(codes, found, every)
        scale = torch.ones(()) if found.to_codes is None else found.to_codes[:, None, 0]  # [tile, 1, 1, cols]
        offset = 0.0 if found.code_offset is None else found.code_offset[:, None, 0]
        limit = None if found.from_codes is None else way.limits.codes[1]
        one = self._unit(transpose)
        tiles_by_cols = found.weights.shape[::4]
        unit = torch.full(tiles_by_cols, one) if found.from_codes is None else found.from_codes[:, 0, 0] * one
        mean = sums[..., 0, :] * scale + offset
        return Columns(_by_batch(mean), _by_batch(variance.sqrt() * scale), unit, limit)

    def with_neuron_noise(self, held: Held, deviation: float | Tensor, *, transpose: bool) -> Held:
        """The same chip with Gaussian noise of that ``deviation`` added to every output of a direction, before its ADC.

        In the units of the model, a number or one for each output; where several tiles make an output, each brings its
        share. This is the noise source at a neuron's input that NeuRRAM has (Wan et al. 2022) and whose size is set.
        """
        found, way = held.of(transpose), self._ways[transpose]
        tiles, _, slices, _, cols = found.weights.shape
        steps = torch.as_tensor(deviation, dtype=torch.float32) / self._unit(transpose)
        variance = (steps.square() / tiles).expand(cols).expand(tiles, 1, slices, cols)
        columns = variance if found.fresh.columns is None else found.fresh.columns + variance
        noisy = replace(found, fresh=replace(found.fresh, columns=columns), whole=None)
        assert way.cut.row_tiles == tiles
        return replace(held, backward=noisy) if transpose else replace(held, forward=noisy)

    # --- for the cost model ---

    def matrix_of(self, transpose: bool) -> Matrix:
        """The plan of a direction."""
        return self._ways[transpose].matrix

    def conductances_us(self, weights: Tensor) -> Tensor:
        """As programmed: [row_tile, col_tile, slice, rows, cols, device] in µS for ``weights`` [rows, cols]."""
        values = {**self._settings, "weight": weights.float()}
        return crossbar.targets_us(self._ways[0].state(values.__getitem__, Conditions(chip=None, time_s=0.0)))

    def input_codes(self, x: Tensor, *, transpose: bool) -> Tensor:
        """``x`` as the DACs of a direction put it out, in codes; as it is where inputs are not quantised."""
        return self._codes(x.float(), transpose)

    # --- units ---

    def _unit(self, transpose: bool) -> float:
        """What one integer unit of a sum stands for: a weight step times an input step."""
        return self.step * self._input_step(transpose)

    def _input_step(self, transpose: bool) -> float:
        if self.target.dac.bits is None:
            return 1.0
        return self.directions[transpose].input_range / self._ways[transpose].input_limit

    def _codes(self, x: Tensor, transpose: bool) -> Tensor:
        if self.target.dac.bits is None:
            return x
        most = self._ways[transpose].input_limit
        return (x / self._input_step(transpose)).round().clamp(-most, most)

    def _variance(self, codes: Vectors, found: Programmed, tiles: slice) -> Tensor:
        """Of what is fresh in one read, in squared units: [tile, batch, 1, cols]."""
        power = codes.map(torch.square)
        cells = found.fresh.cells
        per_cell = cells if isinstance(cells, Tensor) else torch.full_like(found.weights, cells)
        total = power.product(per_cell, tiles)[..., 0, :]
        return total if found.fresh.columns is None else total + found.fresh.columns[:, None, :, 0]

    def _ranges(self, prefix: str, transpose: int) -> dict[str, Tensor]:
        way, wanted = self._ways[transpose], self.directions[transpose]
        found = {f"{prefix}.scale": torch.full((way.matrix.cols,), self.step)}
        if self.target.dac.bits is not None:
            found[f"{prefix}.dac"] = torch.tensor(wanted.input_range)
        if self.target.adc.bits is not None:
            full = max(wanted.sum_range / self._unit(bool(transpose)), float(way.limits.finest_range))
            found[f"{prefix}.adc"] = torch.full((way.cut.row_tiles, way.cut.col_tiles, 1), full)
        return found


def _plan(rows: int, cols: int, target: Target, cells: Cells) -> Matrix:
    """Cells, cut and names of ranges, by the compiler's own passes."""
    bare = Matrix(NAME, "weight", "in_out", rows, cols, cells=cells)
    graph = Graph(NAME, [], [], store=Store({}, {NAME: bare}))
    cut = CutIntoTiles(target.array).run(graph).matrices[NAME]
    return cut.with_plan(ranges=_ranges(target, "forward"))


def _ranges(target: Target, way: str) -> Ranges:
    """Names of a direction's scales and ranges."""
    dac = None if target.dac.bits is None else f"{way}.dac"
    adc = None if target.adc.bits is None else f"{way}.adc"
    return Ranges(f"{way}.scale", dac, adc)


def _by_batch(per_tile: Tensor) -> Tensor:
    """[tile, batch, 1, cols] → [batch, tile, cols]."""
    return per_tile[:, :, 0].transpose(0, 1)
