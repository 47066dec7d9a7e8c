"""A photodiode and its amplifier: the noise of a photocurrent, and the bits that are left of it.

sigma² = 2 q (I + I_dark) df + 4 k T df F / R + RIN I² df, in A²: shot noise, thermal noise of the load, relative
intensity noise of the laser (Ferreira de Lima et al., arXiv 1907.07325; Al-Qadasi et al., APL Photonics 7, 020902).
"""

from __future__ import annotations

import math

from pinat_compile.hardware.optics import DetectorSection

CHARGE_C = 1.602176634e-19
BOLTZMANN_J_PER_K = 1.380649e-23


def shot_per_ampere(diode: DetectorSection) -> float:
    """2 q df: the variance that a photocurrent adds, in A² per A."""
    return 2.0 * CHARGE_C * diode.bandwidth_hz


def dark_and_thermal_a2(diode: DetectorSection, temperature_k: float = 300.0, diodes: int = 1) -> float:
    """The variance without light, of ``diodes`` photodiodes on one amplifier, in A²."""
    dark = shot_per_ampere(diode) * diode.dark_current_na * 1e-9 * diodes
    thermal = 4.0 * BOLTZMANN_J_PER_K * temperature_k * diode.bandwidth_hz * diode.noise_factor
    return dark + thermal / diode.load_ohm


def relative_intensity(diode: DetectorSection) -> float:
    """RIN df: the variance of a laser's power relative to its square."""
    if diode.rin_db_per_hz is None:
        return 0.0
    return math.pow(10.0, diode.rin_db_per_hz / 10.0) * diode.bandwidth_hz


def noise_a2(
    diode: DetectorSection, current_a: float, temperature_k: float = 300.0, bias_a: float | None = None
) -> float:
    """The variance of a photocurrent, in A². ``bias_a``: reference light, whose shot noise counts instead."""
    shot = shot_per_ampere(diode) * (current_a if bias_a is None else bias_a)
    diodes = 1 if bias_a is None else 2
    dark = dark_and_thermal_a2(diode, temperature_k, diodes)
    return shot + dark + relative_intensity(diode) * current_a**2


def effective_bits(
    diode: DetectorSection, full_scale_a: float, temperature_k: float = 300.0, bias_a: float | None = None
) -> float:
    """(10 log10(I² / sigma²) - 1.76) / 6.02 at full scale I; the rms of a sine in the place of I costs 9 dB more."""
    ratio = full_scale_a**2 / noise_a2(diode, full_scale_a, temperature_k, bias_a)
    return (10.0 * math.log10(ratio) - 1.76) / 6.02


def current_for_bits(
    diode: DetectorSection, bits: float, temperature_k: float = 300.0, bias_a: float | None = None
) -> float:
    """The full-scale photocurrent (A) that leaves so many effective bits; infinite where the laser's RIN forbids them.

    The root of I² (1 - k RIN df) - k 2 q df I - k sigma²(0) = 0 with k = 10^((6.02 bits + 1.76) / 10).
    """
    k = math.pow(10.0, (6.02 * bits + 1.76) / 10.0)
    square = 1.0 - k * relative_intensity(diode)
    if square <= 0.0:
        return math.inf
    if bias_a is not None:
        return math.sqrt(k * noise_a2(diode, 0.0, temperature_k, bias_a) / square)
    shot, still = k * shot_per_ampere(diode), k * noise_a2(diode, 0.0, temperature_k)
    return (shot + math.sqrt(shot**2 + 4.0 * square * still)) / (2.0 * square)
