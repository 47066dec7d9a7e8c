"""Read noise: what is fresh in every read, and what of accumulated 1/f noise a chip keeps for a while."""

from __future__ import annotations

import math

from torch import Tensor

from pinat_compile.hardware.device import Device, ReadNoiseSection
from pinat_compile.physics.devices.curves import SMALLEST_X, curve, polynomial, saturating


def read_variance_us2(
    device: Device,
    g_us: Tensor,
    *,
    time_s: float | None = None,
    severity: float = 1.0,
    programmed_us: Tensor | None = None,
) -> Tensor | float:
    """Variance in µS² of one read of devices that stand at ``g_us``, ``time_s`` after programming: what is fresh in it.

    A float where it does not depend on the state, else [*g]. ``programmed_us``: the conductances before they drifted
    (default ``g_us``), on which the relative noise Q of phase-change devices depends. Telegraph noise contributes
    p (1 - p) (amplitude g)². The slow part of 1/f noise, which a chip keeps, is not in it.
    """
    time_s = device.t0_s if time_s is None else time_s
    variance: Tensor | float = 0.0
    if device.read_noise is not None:
        share, _ = accumulated(device.read_noise, time_s)
        if share > 0.0:
            sigma = read_sigma_us(device, g_us, programmed_us)
            variance = share * (severity * sigma) ** 2
    if device.telegraph is not None:
        p = device.telegraph.probability
        variance = variance + p * (1.0 - p) * (severity * device.telegraph.amplitude * g_us) ** 2
    return variance


def read_sigma_us(device: Device, g_us: Tensor, programmed_us: Tensor | None = None) -> Tensor | float:
    """Standard deviation in µS of a read, but for the factor of time that accumulated 1/f noise has.

    power: Q = min(q_max, q0 x^-e), doped-GST PCM (Nandakumar et al., ICECS 2019). curve: HERMES PCM (Le Gallo et al.
    2023). log10: CMO/HfOx ReRAM (Lombardo et al., DRC 2024). exponential: SONOS (Agrawal et al., IEDM 2022, Fig. 11b).
    """
    section = device.read_noise
    g_max = device.cell.g_max_us
    if section is None:
        return 0.0
    if section.sigma_fraction is not None:
        return section.sigma_fraction * g_max
    if section.coefficients is not None and section.reference_g_max_us is not None:
        scale = g_max / section.reference_g_max_us
        if section.model == "exponential":
            return saturating(section.coefficients, g_us / scale) * scale
        return polynomial(section.coefficients, (g_us / g_max).clamp(0.0, 1.0)).clamp(min=0.0) * scale
    if section.log10_us is not None and section.reference_g_max_us is not None:
        scale = g_max / section.reference_g_max_us
        return section.log10_us * scale * (g_us / scale).clamp(min=1.0).log10()
    x = (g_us if programmed_us is None else programmed_us) / g_max
    if section.q0 is not None and section.exponent is not None and section.q_max is not None:
        return g_us * (section.q0 * x.clamp(min=SMALLEST_X) ** -section.exponent).clamp(max=section.q_max)
    return g_us * curve(section.curve("q"), x.clamp(min=0.0))


def accumulated(section: ReadNoiseSection, time_s: float) -> tuple[float, float]:
    """What multiplies the variance of a read at ``time_s``: (the part fresh in every read, the part that is kept).

    White noise: (1, 0). Accumulated 1/f noise: together ln((t + t_read) / (2 t_read)), 0 until t = t_read. A
    fluctuation of period T adds equally per ln T; what is slower than ``split_s`` hardly moves while a chip is
    evaluated. So the fresh part is that of min(t, split_s), and the kept part is the rest.
    """
    if section.t_read_ns is None:
        return 1.0, 0.0
    t_read = section.t_read_ns * 1e-9

    def until(time: float) -> float:
        return math.log((time + t_read) / (2.0 * t_read)) if time > t_read else 0.0

    total = until(time_s)
    fresh = total if section.split_s is None else until(min(time_s, section.split_s))
    return fresh, total - fresh


def slow_sigma_us(
    device: Device, g_us: Tensor, programmed_us: Tensor, time_s: float, severity: float
) -> Tensor | float:
    """Standard deviation in µS of the part of 1/f noise that a chip keeps at ``time_s``."""
    if device.read_noise is None:
        return 0.0
    _, share = accumulated(device.read_noise, time_s)
    return 0.0 if share == 0.0 else severity * math.sqrt(share) * read_sigma_us(device, g_us, programmed_us)


def has_slow_noise(device: Device, time_s: float) -> bool:
    """Whether a chip keeps a part of its 1/f noise at ``time_s``, and needs draws for it."""
    return device.read_noise is not None and accumulated(device.read_noise, time_s)[1] > 0.0
