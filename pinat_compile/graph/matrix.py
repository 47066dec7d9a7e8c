"""A weight matrix and its plan: how it is cut into cells and tiles, scaled and ranged.

A matrix is an entity of its own: several operations may multiply by it, and it is then programmed once. Passes fill the
plan in, field by field; what follows from weights and plan (levels, conductances) is computed, never stored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

from pinat_compile.graph.ops.base import Ints

View = Literal["out_in", "in_out"]
"""How a weight tensor is laid out: ``out_in`` [outputs, inputs / groups, *kernel] or ``in_out`` [inputs, outputs]."""

Scheme = Literal["differential", "bias", "offset", "signed"]


@dataclass(frozen=True, slots=True)
class Cells:
    """How one weight becomes cells.

    differential: sign and magnitude; the magnitude's bits are cut into slices, each a pair of devices (plus, minus);
    ``two_sided``: both move from the middle of the range, else one of them stands at level 0.
    bias: the weight plus 2**(bits - 1), cut into slices of one device each (Shafiee et al., ISCA 2016, section V-A).
    offset: the same, beside a reference column per slice that holds 2**(bits - 1) and is subtracted from every other.
    signed: one part, an interferometer or a ring, that holds a weight with its sign.

    ``weight_max`` is the largest weight in steps, ``slice_bits`` the bits of each slice, least significant first;
    ``flip`` stores the complement in columns whose cells sum to more than half, which saves one ADC bit (ISAAC).
    ``cell_max`` is the level that stands at g_max. ``rounded`` is false where conductances are continuous.
    """

    scheme: Scheme
    weight_max: int
    cell_max: int
    slice_bits: Ints
    flip: bool = False
    rounded: bool = True
    two_sided: bool = False

    @property
    def slices(self) -> int:
        return len(self.slice_bits)

    @property
    def devices(self) -> int:
        """Devices per weight and slice."""
        return 2 if self.scheme == "differential" else 1

    @property
    def cells_per_weight(self) -> int:
        return self.slices * self.devices

    @property
    def reference_columns(self) -> int:
        """Columns of an array that hold no weight."""
        return self.slices if self.scheme == "offset" else 0

    @property
    def middle(self) -> int:
        """What offset binary adds to a weight, in steps; 0 for pairs, and where weights have a sign."""
        return 0 if self.scheme in ("differential", "signed") else self.weight_max + 1

    @property
    def slice_weights(self) -> Ints:
        """The integer weight of each slice: 1, 2**bits[0], …"""
        shifts = [0]
        for bits in self.slice_bits[:-1]:
            shifts.append(shifts[-1] + bits)
        return tuple(1 << shift for shift in shifts)


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a matrix is cut into tiles.

    ``blocks`` blocks of ``groups / blocks`` groups each lie on arrays of their own; inside a block the groups stand
    block-diagonally. ``row_cuts`` and ``col_cuts`` are the boundaries inside one block, first 0, last its size.
    """

    blocks: int
    row_cuts: Ints
    col_cuts: Ints

    @property
    def row_tiles(self) -> int:
        """Row tiles per block."""
        return len(self.row_cuts) - 1

    @property
    def col_tiles(self) -> int:
        return len(self.col_cuts) - 1

    @property
    def tile_rows(self) -> Ints:
        return tuple(b - a for a, b in pairwise(self.row_cuts))

    @property
    def tile_cols(self) -> Ints:
        return tuple(b - a for a, b in pairwise(self.col_cuts))

    def reads(self, rows_on: int | None) -> Cut:
        """Cut further, into rows that are driven together: at most ``rows_on`` of a tile (``None``: all)."""
        if rows_on is None:
            return self
        cuts = [cut for a, b in pairwise(self.row_cuts) for cut in range(a, b, rows_on)]
        return replace(self, row_cuts=(*cuts, self.row_cuts[-1]))


@dataclass(frozen=True, slots=True)
class Ranges:
    """Names of the tensors that hold the scales and ranges of a matrix (float32; trained values may replace them).

    ``parameters`` [blocks * row_tiles, col_tiles, count]: what is set on a chip where that is not the weights (phases,
    detunings, transmissions). ``one_pass``: inputs that would take a second pass for their sign never have one.

    ``weight_scale`` [outputs]: weight per integer step. ``dac_range`` []: the input at the DAC's full scale.
    ``adc_range``: the ADC's full scale in integer units, input steps times weight steps, per slice of a tile [blocks *
    row_tiles, col_tiles, slices], per tile [blocks * row_tiles, col_tiles, 1], or per column [blocks * row_tiles,
    col_tiles, slices, cols of the widest tile].
    """

    weight_scale: str
    dac_range: str | None = None
    adc_range: str | None = None
    parameters: str | None = None
    one_pass: bool = False


@dataclass(frozen=True, slots=True)
class Packed:
    """Where the tiles of a matrix stand when arrays are shared: number of the array, first row, first column, tile by
    tile (row tile first) and copy by copy."""

    arrays: Ints
    rows: Ints
    cols: Ints


@dataclass(frozen=True, slots=True)
class Matrix:
    """``cols`` outputs of ``rows`` inputs, per group; ``weight`` names its tensor. ``None``: not decided yet.

    ``first_array`` is the number of the first physical array that it owns. ``copy_of`` names the matrix that it repeats
    when a shared weight is programmed more than once. ``replicas``: so many times its tiles stand on arrays, each copy
    taking its share of the products. ``capacity``: where the network is larger than the board, the arrays there are;
    number n stands on array n modulo that, which is written anew in every inference.
    """

    name: str
    weight: str
    view: View
    rows: int
    cols: int
    groups: int = 1
    copy_of: str | None = None
    cells: Cells | None = None
    cut: Cut | None = None
    ranges: Ranges | None = None
    first_array: int | None = None
    replicas: int = 1
    capacity: int | None = None
    packed: Packed | None = None

    def with_plan(self, **parts: Any) -> Matrix:
        return replace(self, **parts)

    @property
    def outputs(self) -> int:
        return self.groups * self.cols

    @property
    def inputs(self) -> int:
        return self.groups * self.rows

    @property
    def block_shape(self) -> tuple[int, int, int]:
        """(blocks, rows of a block, columns of a block), where a block holds groups / blocks groups."""
        blocks = self.groups if self.cut is None else self.cut.blocks
        per_block = self.groups // blocks
        return blocks, per_block * self.rows, per_block * self.cols

    @property
    def tiles(self) -> int:
        """Tiles of one copy: each stands on one array, its slices side by side."""
        if self.cut is None:
            return 0
        return self.cut.blocks * self.cut.row_tiles * self.cut.col_tiles

    @property
    def arrays(self) -> int:
        """Physical arrays that hold a tile of it, copies included (packed ones hold others' too)."""
        return self.tiles * self.replicas

    @property
    def primary(self) -> str:
        """The tensor of what is set on a chip and trained: the parameters of optics, else the weights."""
        return self.weight if self.ranges is None or self.ranges.parameters is None else self.ranges.parameters

    @property
    def plan_names(self) -> tuple[str, ...]:
        """The tensors of its plan."""
        if self.ranges is None:
            return ()
        own = (self.ranges.weight_scale, self.ranges.parameters, *self.range_names)
        return tuple(name for name in own if name is not None)

    @property
    def range_names(self) -> tuple[str, ...]:
        """The tensors of its converters' ranges."""
        if self.ranges is None:
            return ()
        return tuple(name for name in (self.ranges.dac_range, self.ranges.adc_range) if name is not None)

    @property
    def weights(self) -> int:
        return math.prod((self.groups, self.rows, self.cols))
