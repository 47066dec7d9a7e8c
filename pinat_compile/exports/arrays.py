"""Physical arrays as a programmer or a circuit meets them: every device at its row and column.

Row 0 is next to the sense amplifiers, column 0 next to the word lines' drivers. The devices of one weight stand side by
side, the least significant slice first and in each slice plus before minus; reference columns stand behind the weights
of their tile; cells that hold nothing stand at g_min.
The code goes by array, not by matrix: several regions may share one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch

from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.regions import Region, regions_of
from pinat_compile.errors import OptionError
from pinat_compile.graph import Array, Matrix
from pinat_compile.physics import crossbar
from pinat_compile.physics.tiling import tensor_of
from pinat_compile.simulator.arrays import ArrayMatrix
from pinat_compile.simulator.conditions import Conditions


@dataclass(frozen=True, slots=True)
class Placed:
    """A region with the columns that are stored as complement: ``flipped`` [slice, cols], ``None`` where none can be.
    """

    region: Region
    flipped: Array | None


@dataclass(frozen=True, slots=True)
class PhysicalArray:
    """Array ``number``: conductances ``g_us`` [rows, cols] in µS , ``used`` where weights and references are."""

    number: int
    g_us: Array
    used: Array
    placed: tuple[Placed, ...]


def target_conditions(compiled: Compiled) -> Conditions:
    """Those of target conductances: no chip."""
    return Conditions(chip=None, time_s=compiled.default_time_s)


def matrices_with_layers(compiled: Compiled) -> dict[str, str]:
    """The matrices that stand on arrays, and the first layer that multiplies by each."""
    found = {}
    for name in compiled.graph.matrices:
        users = compiled.graph.users(name)
        if users:
            found[name] = users[0].name
    return found


def all_regions(compiled: Compiled) -> list[Region]:
    """Every region of the network; OptionError where nothing stands on arrays."""
    names = matrices_with_layers(compiled)
    if not names:
        raise OptionError(f"{compiled.name}: no layer is analog, there are no arrays", hint="see inspect DIR")
    return [region for name in names for region in regions_of(compiled.graph.matrices[name])]


def physical_arrays(
    compiled: Compiled, conditions: Conditions | None = None, *, only: int | None = None
) -> Iterator[PhysicalArray]:
    """Every array, each once all its regions are known: its targets, or what the chip of ``conditions`` holds.

    ``only``: the number of the one array that is wanted.
    """
    when = target_conditions(compiled) if conditions is None else conditions
    wanted = [region for region in all_regions(compiled) if only in (None, region.array)]
    missing = Counter(region.array for region in wanted)
    open_arrays: dict[int, PhysicalArray] = {}
    for name in dict.fromkeys(region.matrix for region in wanted):
        matrix = compiled.graph.matrices[name]
        held = _held(compiled, matrix, when)
        for region in (region for region in wanted if region.matrix == name):
            array = open_arrays.pop(region.array, None) or _empty(compiled, region.array)
            array = _with_region(array, region, matrix, held)
            missing[region.array] -= 1
            if missing[region.array]:
                open_arrays[region.array] = array
            else:
                yield array


@dataclass(frozen=True, slots=True)
class _Held:
    """Conductances of a matrix in µS [row_tile, col_tile, slice, rows, cols, device]; of its ``reference`` columns the
    same with one column and device; columns stored as complement [row_tile, col_tile, slice, cols]."""

    g_us: Array
    reference: Array | None
    flipped: Array | None


def _held(compiled: Compiled, matrix: Matrix, when: Conditions) -> _Held:
    tensors: Mapping[str, Array] = compiled.graph.tensors
    with torch.no_grad():
        state = ArrayMatrix(matrix, compiled.target).state(lambda name: tensor_of(tensors[name]), when)
        reference = None if state.reference is None else _conductances(state.reference, when)
        flipped = None if state.flipped is None else state.flipped.numpy()
        return _Held(_conductances(state, when), reference, flipped)


def _conductances(state: crossbar.State, when: Conditions) -> Array:
    if when.chip is None:
        return crossbar.targets_us(state).float().numpy()
    held = crossbar.conductances_us(
        state, time_s=when.time_s, temperature_k=when.temperature_k, severity=when.severity
    )
    return held.float().numpy()


def _empty(compiled: Compiled, number: int) -> PhysicalArray:
    shape = compiled.target.array.rows, compiled.target.array.cols
    g_min = np.full(shape, compiled.target.device.cell.g_min_us, np.float32)
    return PhysicalArray(number, g_min, np.zeros(shape, bool), ())


def _with_region(array: PhysicalArray, region: Region, matrix: Matrix, held: _Held) -> PhysicalArray:
    assert matrix.cells is not None
    rows, cols = region.shape
    at, columns = region.device_rows(), region.device_columns(matrix.cells)
    for part, device in product(range(matrix.cells.slices), range(matrix.cells.devices)):
        tile = held.g_us[region.row_tile, region.col_tile, part, :rows, :cols, device]
        _put(array, np.ix_(at, columns[:, part, device]), tile)
    if held.reference is not None:
        tile = held.reference[region.row_tile, region.col_tile, :, :rows, 0, 0]  # [slice, rows]
        _put(array, np.ix_(at, region.reference_columns(matrix.cells)), tile.T)
    turned = None if held.flipped is None else held.flipped[region.row_tile, region.col_tile, :, :cols]
    return PhysicalArray(array.number, array.g_us, array.used, (*array.placed, Placed(region, turned)))


def _put(array: PhysicalArray, place: Any, g_us: Array) -> None:
    array.g_us[place] = g_us
    array.used[place] = True
