"""The energy of a matrix's tiles, from what they really do: conductances, inputs, conversions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pinat_compile.cost.converter import conversion_pj
from pinat_compile.cost.timing import steps_of
from pinat_compile.cost.value import Cost
from pinat_compile.errors import OptionError
from pinat_compile.graph.matrix import Cells, Cut, Matrix
from pinat_compile.hardware.schema import DacSection, EnergySection, Target
from pinat_compile.physics.converters import input_steps
from pinat_compile.physics.devices import write_energy_pj
from pinat_compile.physics.limits import input_limit

Floats = npt.NDArray[np.float64]

PJ = 1e-12
TILE_COMPONENTS = (
    "array", "laser", "modulator", "detector", "dac", "adc", "sample_hold", "shift_add", "registers",
)  # fmt: skip
"""The components that belong to a tile; the digital affine and the buffers belong to its layer."""

SUM_BYTES = 2
"""Of a sum in an output register."""


@dataclass(frozen=True, slots=True)
class TileCosts:
    """Joules per inference of every tile of one matrix, and of writing it: [row_tile, col_tile, slice] each, or None.

    The slices of a tile stand side by side on one array and share its drivers: each bears an equal part of the DAC.
    """

    array: Floats | None
    dac: Floats | None
    adc: Floats | None
    sample_hold: Floats | None
    shift_add: Floats | None
    registers: Floats | None
    write: Floats | None
    laser: Floats | None = None
    modulator: Floats | None = None
    detector: Floats | None = None

    @property
    def energy_j(self) -> Floats | None:
        """All components of the inference: [row_tile, col_tile, slice]."""
        counted = [value for name in TILE_COMPONENTS if (value := getattr(self, name)) is not None]
        return np.sum(counted, axis=0, dtype=np.float64) if counted else None

    @property
    def total(self) -> Cost:
        """The sum over all tiles."""
        sums = {name: getattr(self, name) for name in (*TILE_COMPONENTS, "write")}
        return Cost(**{name: None if value is None else float(value.sum()) for name, value in sums.items()})


def mean_square_drive(codes: Tensor, dac: DacSection) -> Tensor:
    """Mean over samples of (V / V_read)² t / t_read, over input steps: [samples, *rows] codes → [*rows], float64.

    amplitude: (code / largest code)²; codes are x / dac_range where inputs are not quantised. pulse_width: |code| /
    largest code, the voltage being full for that share of the pulse. bit_serial: the digits of the two's complement,
    each relative to the largest digit; for 1-bit steps the mean number of ones.
    """
    if dac.bits is None or dac.encoding != "bit_serial":
        share = codes.double() / input_limit(dac)
        return (share.abs() if dac.encoding == "pulse_width" else share.square()).mean(dim=0)
    squares = torch.zeros(codes.shape[1:], dtype=torch.int64, device=codes.device)
    for _, digits in input_steps(codes.round().to(torch.int32), dac.bits, dac.step_bits):
        squares += (digits if dac.step_bits == 1 else digits.square()).sum(dim=0)
    return squares.double() / (dac.largest_input**2 * len(codes))


def tile_costs(
    target: Target,
    matrix: Matrix,
    *,
    mvms: float,
    conductance_us: Iterable[Tensor],
    drive: Tensor,
    reference_us: Iterable[Tensor] | None = None,
    reads: int = 1,
) -> TileCosts:
    """The energy of ``matrix`` for ``mvms`` matrix-vector products per inference, tile by tile.

    ``conductance_us`` [col_tile, slice, rows, cols, device] as programmed, piece by piece: some or all column tiles of
    a row tile, row tile first; what stands behind a tile's rows and columns is padding and not counted. ``drive``
    [blocks, rows of a block]: `mean_square_drive` of each row. ``reference_us`` likewise [col_tile, slice, rows, 1,
    device]: reference columns, where there are.
    ``reads``: how often each product is read to be averaged; the first read of an output's sum starts it, all others
    are added.
    """
    cells, cut, energy = _planned(matrix, target)
    shape = (cut.blocks * cut.row_tiles, cut.col_tiles, cells.slices)
    rows = np.tile(np.array(cut.tile_rows, dtype=np.float64), cut.blocks)[:, None, None]  # [row_tile, 1, 1]
    cols = np.array(cut.tile_cols, dtype=np.float64)[None, :, None]  # [1, col_tile, 1]
    dac = target.dac
    groups = 1.0 if target.array.rows_on is None else np.ceil(rows / target.array.rows_on)  # driven one after the other
    times = reads * groups * (1 if dac.converted_at_once else steps_of(target, matrix))
    conversions = np.broadcast_to(cols * times, shape)
    sums = conversions - _first_of_output(cut, cells) * cols

    def events(picojoules: float | None, count: Floats) -> Floats | None:
        return None if picojoules is None else np.ascontiguousarray(np.broadcast_to(count * picojoules * PJ, shape))

    array, written = device_energies_j(target, cut, conductance_us, drive, reads * mvms)
    write = written if writes_pulses(target) else events(energy.write_pj, rows * cols * cells.devices)
    if reference_us is not None:
        columns = replace(cut, col_cuts=tuple(range(cut.col_tiles + 1)))
        more, written = device_energies_j(target, columns, reference_us, drive, reads * mvms)
        array = _plus(array, more)
        write = _plus(write, written if writes_pulses(target) else events(energy.write_pj, rows))
    driven = reads * mvms * rows * pulses(target, matrix) / cells.slices
    into = reads * mvms * rows * (dac.bits or 0) / 8 / cells.slices  # bytes of input codes
    return TileCosts(
        array=array,
        dac=events(driver_pj(target), driven),
        adc=events(conversion_pj(target), mvms * conversions),
        sample_hold=events(energy.sample_hold_pj if target.adc.bits is not None else None, mvms * conversions),
        shift_add=events(energy.shift_add_pj, mvms * sums),
        registers=events(energy.register_pj_per_byte, into + mvms * conversions * SUM_BYTES / cells.slices),
        write=write,
    )


def driver_pj(target: Target) -> float | None:
    """Energy of driving a row once at the target's ``dac.bits``; None without a driver or a constant."""
    energy, bits = target.energy, target.dac.bits
    if energy is None or energy.dac_pj is None or bits is None:
        return None
    return energy.dac_pj * 2.0 ** (0 if energy.dac_at_bits is None else bits - energy.dac_at_bits)


def pulses(target: Target, matrix: Matrix) -> int:
    """What drives a row per product: input steps, each as often as ``energy.dac_per`` says."""
    dac = target.dac
    if target.energy is None or target.energy.dac_per == "step" or dac.bits is None:
        return steps_of(target, matrix)
    return max(dac.bits - 1, 1)


def _plus(one: Floats | None, other: Floats | None) -> Floats | None:
    return None if one is None or other is None else one + other


def writes_pulses(target: Target) -> bool:
    """Whether writing costs what each device's pulses take; else a constant per device."""
    return target.write_verify is not None and target.write_verify.pulse_pj is not None


def device_energies_j(
    target: Target, cut: Cut, conductance_us: Iterable[Tensor], drive: Tensor, mvms: float
) -> tuple[Floats | None, Floats | None]:
    """Joules of reading and of writing each tile's devices [row_tile, col_tile, slice]; ``None``: not counted.

    Reading: mvms · V_read² · t · Σ drive · G. Writing: the expected pulses.
    """
    energy, writes = target.energy or EnergySection(), writes_pulses(target)
    volts, pulse_ns = energy.read_voltage_v, energy.read_pulse_ns
    if (volts is None or pulse_ns is None) and not writes:
        return None, None  # nobody asks for the conductances
    shape = (cut.blocks * cut.row_tiles, cut.col_tiles, -1)
    driven, written = [], []
    for g, share, cols in _pieces(conductance_us, drive, cut):
        driven.append(_summed(g, len(share), cols) @ share.double())
        if writes:
            pulses_pj = write_energy_pj(target.device, g)
            assert pulses_pj is not None
            written.append(_summed(pulses_pj, len(share), cols).sum(dim=2))
    read = None
    if volts is not None and pulse_ns is not None:
        read = _joined(driven).reshape(shape) * (mvms * volts**2 * pulse_ns * 1e-15)
    return read, _joined(written).reshape(shape) * PJ if writes else None


def _pieces(
    conductance_us: Iterable[Tensor], drive: Tensor, cut: Cut
) -> Iterator[tuple[Tensor, Tensor, Sequence[int]]]:
    """Each piece with the drive of its rows and the columns of its tiles; OptionError where they are not the cut's."""
    shares = [part[a:b] for part in drive for a, b in pairwise(cut.row_cuts)]
    found = 0
    for g in conductance_us:
        row, col = divmod(found, cut.col_tiles)
        found += len(g)
        if row < len(shares):
            yield g, shares[row], cut.tile_cols[col : col + len(g)]
    if found != cut.blocks * cut.row_tiles * cut.col_tiles or tuple(drive.shape) != (cut.blocks, cut.row_cuts[-1]):
        raise OptionError(f"conductances of {found} tiles and drive {tuple(drive.shape)} do not fit the cut {cut}")


def _summed(per_device: Tensor, rows: int, cols: Sequence[int]) -> Tensor:
    """Over the devices of each row, without padding: [col_tile, slice, rows], float64."""
    used = per_device[:, :, :rows]
    if min(cols) == per_device.shape[3]:
        return used.sum(dim=(3, 4)).double()
    return torch.stack([tile[:, :, :size].sum(dim=(2, 3)) for tile, size in zip(used, cols, strict=True)]).double()


def _joined(pieces: Sequence[Tensor]) -> Floats:
    return np.asarray(torch.cat(list(pieces)).cpu().numpy(), dtype=np.float64)


def _planned(matrix: Matrix, target: Target) -> tuple[Cells, Cut, EnergySection]:
    if matrix.cells is None or matrix.cut is None:
        raise OptionError(f"matrix {matrix.name!r} has no plan yet: it has no cells or no cut")
    return matrix.cells, matrix.cut, target.energy or EnergySection()


def _first_of_output(cut: Cut, cells: Cells) -> Floats:
    """1 at the tiles whose first conversion starts an output's sum, so that nothing is added yet; else 0."""
    first = np.zeros((cut.blocks, cut.row_tiles, cut.col_tiles, cells.slices))
    first[:, 0, :, 0] = 1.0
    return first.reshape(cut.blocks * cut.row_tiles, cut.col_tiles, cells.slices)
