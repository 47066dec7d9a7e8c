"""The energy of a matrix's tiles on optics: lasers, heaters, modulators, detectors, converters.

What draws power does so while its array works, input steps of ``timing.step_ns`` each; but heaters hold their phases
between products too, all the time from one sample to the next: `holding_cost`.
"""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from pinat_compile.cost.converter import conversion_pj
from pinat_compile.cost.tiles import PJ, SUM_BYTES, Floats, TileCosts, driver_pj
from pinat_compile.cost.timing import steps_of
from pinat_compile.cost.value import Cost
from pinat_compile.errors import OptionError
from pinat_compile.graph.matrix import Matrix
from pinat_compile.hardware.schema import EnergySection, Target
from pinat_compile.physics.optics import svd_mesh


def photonic_tile_costs(
    target: Target, matrix: Matrix, *, mvms: float, parameters: Tensor, reads: int = 1
) -> TileCosts:
    """The energy of ``matrix`` for ``mvms`` matrix-vector products per inference, tile by tile.

    ``parameters`` [row_tile, col_tile, count]: what its parts are set to. Every array works whole: its laser, its
    modulators and its detectors are those of all rows and columns, used or not; converters are those of the tile.
    """
    if matrix.cut is None:
        raise OptionError(f"matrix {matrix.name!r} has no plan yet: it has no cut")
    cut, energy = matrix.cut, target.energy or EnergySection()
    shape = (cut.blocks * cut.row_tiles, cut.col_tiles, 1)
    rows = np.tile(np.array(cut.tile_rows, dtype=np.float64), cut.blocks)[:, None, None]
    cols = np.array(cut.tile_cols, dtype=np.float64)[None, :, None]
    steps = reads * mvms * steps_of(target, matrix)
    seconds = None if target.timing is None else steps * target.timing.step_ns * 1e-9

    def events(picojoules: float | None, count: Floats | float) -> Floats | None:
        return None if picojoules is None else np.broadcast_to(np.asarray(count * picojoules * PJ), shape).copy()

    def powered(watts: float | None) -> Floats | None:
        return None if watts is None or seconds is None else np.full(shape, watts * seconds)

    first = np.zeros((cut.blocks, cut.row_tiles, cut.col_tiles, 1))
    first[:, 0] = mvms
    sums = steps * cols - first.reshape(shape) * cols
    return TileCosts(
        array=None,
        dac=events(driver_pj(target), steps * rows),
        adc=events(conversion_pj(target), steps * cols),
        sample_hold=None,
        shift_add=events(energy.shift_add_pj, sums),
        registers=events(energy.register_pj_per_byte, steps * (rows * (target.dac.bits or 0) / 8 + cols * SUM_BYTES)),
        write=_write(target, parameters),
        laser=powered(laser_w(target)),
        modulator=_modulator(target, shape, steps, seconds),
        detector=powered(_detectors_w(target)),
    )


def laser_w(target: Target) -> float:
    """Wall-plug power of the light of one array: inputs, and the reference of every detector."""
    assert target.laser is not None and target.detector is not None
    optical_mw = target.laser.power_mw + (target.detector.local_oscillator_mw or 0.0) * target.array.cols
    return optical_mw * 1e-3 / target.laser.wall_plug_efficiency


def heaters_w(target: Target, parameters: Tensor) -> Floats | None:
    """Power that the heaters of each tile draw: [row_tile, col_tile, 1]; None where the target does not say."""
    if target.rings is not None:
        if target.rings.tuning_mw is None:
            return None
        count = target.array.rows * target.array.cols
        return np.full((*parameters.shape[:2], 1), target.rings.tuning_mw * 1e-3 * count)
    if target.mesh is None or target.heaters is None or target.heaters.p_pi_mw is None:
        return None
    modes = max(target.array.rows, target.array.cols)
    turned = svd_mesh.heated_rad(parameters.double(), modes).sum(dim=-1, keepdim=True) / math.pi
    return np.asarray((turned * target.heaters.p_pi_mw * 1e-3).numpy(), np.float64)


def _detectors_w(target: Target) -> float | None:
    """Amplifiers and photodiodes of all outputs of an array."""
    assert target.detector is not None
    if target.detector.amplifier_mw is None:
        return None
    outputs = target.array.cols // (2 if target.weights.scheme == "differential" else 1)
    return target.detector.amplifier_mw * 1e-3 * outputs


def _modulator(target: Target, shape: tuple[int, int, int], steps: float, seconds: float | None) -> Floats | None:
    """Writing of every input step, and bias."""
    assert target.modulator is not None
    each, static, rows = target.modulator.fj_per_symbol, target.modulator.static_mw, target.array.rows
    if each is None and (static is None or seconds is None):
        return None
    joules = steps * rows * (each or 0.0) * 1e-15 + (seconds or 0.0) * rows * (static or 0.0) * 1e-3
    return np.full(shape, joules)


def _write(target: Target, parameters: Tensor) -> Floats | None:
    """Setting every part once: cells by their pulses, heaters by their power until they have settled."""
    if target.transmission is not None:
        if target.transmission.write_pj is None:
            return None
        return np.full((*parameters.shape[:2], 1), parameters.shape[2] * target.transmission.write_pj * PJ)
    watts = heaters_w(target, parameters)
    if watts is None or target.heaters is None or target.heaters.settle_us is None:
        return None
    return watts * (target.heaters.settle_us * 1e-6)


def holding_cost(
    target: Target, matrix: Matrix, parameters: Tensor, interval_ns: float | None, standing: float = 1.0
) -> Cost:
    """What all heaters of a matrix, and of its copies, draw from one sample to the next.

    ``standing``: the share of the network's arrays that are there at a time, where the board does not hold all.
    """
    watts = heaters_w(target, parameters)
    if watts is None or interval_ns is None:
        return Cost()
    return Cost(heaters=float(watts.sum()) * matrix.replicas * standing * interval_ns * 1e-9)
