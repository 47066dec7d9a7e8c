"""The link budget: how much light an array of some size needs, and the largest size that its laser can feed.

P_laser = N P_rx(bits) 10^(IL / 10) / eta, P_rx = I / R: full scale on each of N outputs behind the losses of one path
(Al-Qadasi et al., APL Photonics 7, 020902, 2022). Powers are optical, in W, unless they say wall plug.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pinat_compile.hardware.optics import LaserSection
from pinat_compile.hardware.schema import Target
from pinat_compile.physics.optics.detector import current_for_bits, effective_bits


@dataclass(frozen=True, slots=True)
class LinkBudget:
    """One array of ``rows`` inputs and ``cols`` outputs: loss of a path in dB without the split among outputs, the
    photocurrent of full scale and the effective bits with the laser's power, and the power that the wanted bits need.
    """

    rows: int
    cols: int
    loss_db: float
    full_scale_a: float
    bits: float
    needed_w: float
    available_w: float

    @property
    def feasible(self) -> bool:
        return self.needed_w <= self.available_w


def laser_w(outputs: int, received_w: float, loss_db: float) -> float:
    """The optical power of a laser whose light reaches each of ``outputs`` detectors with ``received_w``."""
    return outputs * received_w * math.pow(10.0, loss_db / 10.0)


def budget(target: Target, rows: int | None = None, cols: int | None = None) -> LinkBudget:
    """The link budget of an array of ``target``, or of one of another size.

    Where there is reference light, full scale is i = 2 R sqrt(P_LO P_rx) and the reference makes the shot noise.
    """
    laser, diode = _laser(target), target.detector
    assert diode is not None
    inputs, outputs = rows or target.array.rows, cols or target.array.cols
    loss_db = path_loss_db(target, inputs)
    available = laser.power_mw * 1e-3
    received = available / laser_w(outputs, 1.0, loss_db)
    reference = diode.local_oscillator_mw
    bias_a = None if reference is None else diode.responsivity_a_per_w * reference * 1e-3
    needed_a = current_for_bits(diode, laser.bits, bias_a=bias_a)
    if bias_a is None:
        full_a, needed_w = received * diode.responsivity_a_per_w, needed_a / diode.responsivity_a_per_w
    else:
        beat = 2.0 * math.sqrt(bias_a * diode.responsivity_a_per_w)  # A per square root of received W
        full_a, needed_w = beat * math.sqrt(received), (needed_a / beat) ** 2
    return LinkBudget(
        rows=inputs,
        cols=outputs,
        loss_db=loss_db,
        full_scale_a=full_a,
        bits=effective_bits(diode, full_a, bias_a=bias_a),
        needed_w=laser_w(outputs, needed_w, loss_db),
        available_w=available,
    )


def path_loss_db(target: Target, inputs: int) -> float:
    """Loss from the laser to a detector, in dB, of an array of ``inputs`` inputs, without the split among outputs.

    mesh: coupler, modulator, and 2 N + 1 interferometers. rings: coupler, modulator, one ring on resonance and N - 1
    that light passes by. transmission: coupler, modulator, the crossing of every row, the cell at its clearest.
    """
    modulator = target.modulator
    assert modulator is not None
    common = modulator.loss_db + modulator.coupler_db
    if target.mesh is not None:
        return common + (2 * inputs + 1) * target.mesh.loss_db
    if target.rings is not None:
        return common + target.rings.drop_loss_db + (inputs - 1) * target.rings.pass_loss_db
    assert target.transmission is not None
    clearest = -10.0 * math.log10(target.transmission.t_max)
    return common + clearest + (inputs - 1) * target.transmission.crossing_loss_db


def largest_size(target: Target) -> int:
    """The largest square array that the laser can feed with the wanted bits; 0 where there is none."""
    size = 0
    while size < 4096 and budget(target, size + 1, size + 1).feasible:
        size += 1
    return size


def _laser(target: Target) -> LaserSection:
    assert target.laser is not None
    return target.laser
