"""The netlist of the array that holds one tile: its devices and wires, driven as by one input vector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from pinat_compile import __version__
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.regions import Region
from pinat_compile.errors import OptionError
from pinat_compile.exports.arrays import all_regions, matrices_with_layers, physical_arrays
from pinat_compile.exports.places import write
from pinat_compile.exports.spice import netlist
from pinat_compile.hardware.schema import Target
from pinat_compile.physics import converters, devices
from pinat_compile.physics.limits import input_limit
from pinat_compile.physics.tiling import tensor_of
from pinat_compile.physics.wires import SIEMENS
from pinat_compile.simulator.conditions import Conditions, seconds

Floats = npt.NDArray[np.float64]


def write_netlist(
    compiled: Compiled,
    path: str | Path,
    tile: str,
    *,
    chip: int | None = None,
    time: str | float | None = None,
    vector: Floats | None = None,
) -> Path:
    """Write the netlist of the array that holds ``tile`` (an id of ``tiles.jsonl``) to ``path``; returns it as a Path.

    Devices stand at their targets, or as ``chip`` holds them ``time`` after programming. The tile's word lines are
    driven by ``vector`` [inputs of the matrix] (default: of the calibration sample the one that drives the tile
    hardest), the others by 0 V. Of inputs that come in steps, and of rows that are read in groups, the step and the
    group that drive the tile hardest; pulses stand at their voltage. The currents of the tile's bit lines are printed.
    Where wires have no resistance, devices that hold no weight are left out.

    Raises OptionError where there is no such tile, for a vector of another length, and an unwritable file.
    """
    text = tile_netlist(compiled, tile, chip=chip, time=time, vector=vector)
    return write(Path(path), text.encode("utf-8"), "SPICE netlist")


def tile_netlist(
    compiled: Compiled,
    tile: str,
    *,
    chip: int | None = None,
    time: str | float | None = None,
    vector: Floats | None = None,
) -> str:
    """The text that `write_netlist` writes."""
    when = compiled.default_time_s if time is None else seconds(time)
    region, part = _tile(compiled, tile)
    cells = compiled.graph.matrices[region.matrix].cells
    assert cells is not None
    array = next(physical_arrays(compiled, Conditions(chip=chip, time_s=when), only=region.array))
    wires = compiled.target.wires
    row_ohm, col_ohm = (0.0, 0.0) if wires is None else (wires.row_ohm, wires.col_ohm)
    connected = array.used if row_ohm == col_ohm == 0.0 else np.ones_like(array.used)
    g_us = np.where(connected, array.g_us, 0.0).astype(np.float64)
    excess = devices.excess_currents(compiled.target.device, torch.from_numpy(g_us))
    square, cube = (None, None) if excess is None else (x.numpy() * SIEMENS for x in excess)
    voltage = np.zeros(len(g_us))
    voltage[region.device_rows()], said = _drive(compiled, region, vector)
    held = "target conductances" if chip is None else f"conductances of chip {chip}, {when:g} s after programming"
    where = f"array {array.number} with tile {tile} of {compiled.name} on {compiled.target.name}"
    return netlist(
        f"pinat-compile {__version__}: {where}",
        g_us * SIEMENS,
        voltage,
        row_ohm,
        col_ohm,
        square=square,
        cube=cube,
        comments=[*_description(compiled, region, part, held), said],
        printed=[*region.device_columns(cells)[:, part].reshape(-1), *region.reference_columns(cells)[part : part + 1]],
    )


def _tile(compiled: Compiled, tile: str) -> tuple[Region, int]:
    """The region and the slice that a tile's id names."""
    found = []
    for region in all_regions(compiled):
        cells = compiled.graph.matrices[region.matrix].cells
        assert cells is not None
        for part in range(cells.slices):
            if region.tile_id(part) == tile:
                return region, part
            found.append(region.tile_id(part))
    more = f", … ({len(found)} in tiles.jsonl)" if len(found) > 3 else ""
    raise OptionError(f"tile {tile!r}: the network has no such tile", hint=f"for example {', '.join(found[:3])}{more}")


def _description(compiled: Compiled, region: Region, part: int, held: str) -> list[str]:
    cells = compiled.graph.matrices[region.matrix].cells
    assert cells is not None
    layer = matrices_with_layers(compiled)[region.matrix]
    rows, columns = region.device_rows(), region.device_columns(cells)
    device = "its plus device, then its minus device" if cells.devices == 2 else "one device"
    if cells.reference_columns:
        device += f", the reference on bit line {region.reference_columns(cells)[part]}"
    return [
        "Units: ohm, volt, ampere. Rd: devices (Bd: what is not linear of them), Rw, Rb: wire segments.",
        f"Devices: {held}.",
        f"Layer {layer}: inputs {region.rows[0]} to {region.rows[1] - 1} of the matrix on word lines "
        f"{rows[0]} to {rows[-1]},",
        f"output {region.cols[0]} + k on bit line {columns[0, part, 0]} + {cells.cells_per_weight} k: {device}. "
        f"Slice {part}, worth {cells.slice_weights[part]}.",
        "Word lines are driven before column 0 (Vw), bit lines sensed next to row 0: i(Vs) is what is sensed.",
    ]


def _drive(compiled: Compiled, region: Region, vector: Floats | None) -> tuple[Floats, str]:
    """Volts on the tile's word lines, and where they come from in words."""
    target = compiled.target
    matrix = compiled.graph.matrices[region.matrix]
    if vector is None:
        vectors = compiled.calibration.matrices[region.matrix].vectors
        origin = "the calibration vector that drives the tile most"
    else:
        vectors, origin = np.asarray(vector, np.float32).reshape(1, -1), "a given vector"
    if vectors.shape[1] != matrix.inputs:
        what = f"vector of {vectors.shape[1]} numbers: matrix {matrix.name!r} has {matrix.inputs} inputs"
        raise OptionError(what, hint="give all inputs of the matrix, not only the tile's")
    scale = None if matrix.ranges is None or matrix.ranges.dac_range is None else matrix.ranges.dac_range
    steps = _steps(target, vectors, None if scale is None else compiled.graph.tensors[scale])
    share, step = _strongest(steps[:, :, slice(*region.rows)], target.array.rows_on)
    full_v, source = _full_scale(target)
    which = f", input step {step}" if len(steps) > 1 else ""
    return full_v * share, f"Inputs: {origin}{which}; the largest input is {full_v:g} V ({source})."


def _strongest(steps: Floats, rows_on: int | None) -> tuple[Floats, int]:
    """Of steps [step, vector, row] the vector and the group of rows that are read together that drive hardest, the
    other rows at 0; and which step it is."""
    rows = steps.shape[2]
    groups = range(0, rows, rows_on or rows)
    power = np.stack([np.abs(steps[:, :, start : start + (rows_on or rows)]).sum(axis=2) for start in groups])
    group, step, vector = (int(i) for i in np.unravel_index(power.argmax(), power.shape))
    chosen = np.arange(rows) // (rows_on or rows) == group
    return np.where(chosen, steps[step, vector], 0.0), step


def _steps(target: Target, vectors: npt.NDArray[np.float32], dac_range: npt.NDArray[np.float32] | None) -> Floats:
    """What drives word lines, as shares of the largest voltage: [step, vector, input]."""
    x, dac = tensor_of(vectors), target.dac
    if dac_range is None:
        return (x / x.abs().max().clamp(min=torch.finfo(x.dtype).tiny)).double().numpy()[None]
    limit = input_limit(dac)
    codes = converters.quantise(x, tensor_of(dac_range) / limit, -limit, limit).double()
    if dac.encoding == "pulse_width":
        return codes.sign().numpy()[None]
    if dac.encoding == "amplitude" or dac.bits is None:
        return (codes / limit).numpy()[None]
    digits = [digit for _, digit in converters.input_steps(codes, dac.bits, dac.step_bits)]
    return (torch.stack(digits) / dac.largest_input).numpy()


def _full_scale(target: Target) -> tuple[float, str]:
    """Volts of the largest input, and where that number stands."""
    if target.nonlinearity is not None:
        return target.nonlinearity.full_scale_v, "nonlinearity.full_scale_v"
    if target.circuit_noise is not None:
        return target.circuit_noise.full_scale_v, "circuit_noise.full_scale_v"
    if target.energy is not None and target.energy.read_voltage_v is not None:
        return target.energy.read_voltage_v, "energy.read_voltage_v"
    return 1.0, "assumed: the target names no read voltage"
