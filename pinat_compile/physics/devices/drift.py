"""What time and temperature do to a programmed conductance."""

from __future__ import annotations

import math

from torch import Tensor

from pinat_compile.hardware.device import Device
from pinat_compile.physics.devices.curves import curve, interpolated, mixed, segment

BOLTZMANN_EV = 8.617333262e-5
"""eV per kelvin (CODATA)."""
REFERENCE_K = 300.0
"""The temperature at which targets state their conductances."""


def drift_exponent(device: Device, g_target_us: Tensor, xi: Tensor, *, severity: float = 1.0) -> Tensor:
    """nu [*g] of devices programmed to ``g_target_us``, from standard normal draws ``xi``: |mean + severity std xi|.

    A device keeps its nu. Nandakumar et al., ICECS 2019, and Joshi et al., Nature Communications 11, 2473 (2020), for
    doped GST; Le Gallo et al., Nature Electronics 6, 680 (2023), for the HERMES chip.
    """
    assert device.drift is not None
    x = (g_target_us / device.cell.g_max_us).clamp(0.0, 1.0)
    return (curve(device.drift.curve("mean"), x) + severity * curve(device.drift.curve("std"), x) * xi).abs()


def drifted(device: Device, g_us: Tensor, nu: Tensor, time_s: float) -> Tensor:
    """g (t / t0)^-nu; unchanged until t0."""
    assert device.drift is not None
    if time_s <= device.drift.t0_s:
        return g_us
    return g_us * (-math.log(time_s / device.drift.t0_s) * nu).exp()


def mean_shift_us(device: Device, g_us: Tensor, time_s: float) -> Tensor | float:
    """How far relaxation has moved the mean of devices programmed to ``g_us``.

    logarithmic: c ln(t / 1 s) from t0 on (CMO/HfOx ReRAM, Falcone et al. 2025). table: interpolated (SONOS, Agrawal et
    al., IEDM 2022, Fig. 10b).
    """
    section = device.relaxation
    if section is None:
        return 0.0
    scale = device.cell.g_max_us / section.reference_g_max_us
    if section.states_us is not None and section.times_s is not None and section.shifts_us is not None:
        low, high, weight = segment(section.times_s, time_s)
        values = mixed(section.shifts_us[low], section.shifts_us[high], weight)
        return interpolated(section.states_us, values, g_us / scale) * scale
    assert section.t0_s is not None and section.mean_log_us is not None
    return scale * section.mean_log_us * math.log(time_s) if time_s >= section.t0_s else 0.0


def relaxation_sigma_us(device: Device, time_s: float) -> float:
    """The spread that relaxation has added, whatever the conductance; 0 before t0."""
    section = device.relaxation
    if section is None or section.t0_s is None or section.std_us is None or section.std_log_us is None:
        return 0.0
    if time_s < section.t0_s:
        return 0.0
    scale = device.cell.g_max_us / section.reference_g_max_us
    return scale * max(section.std_us + section.std_log_us * math.log(time_s), 0.0)


def activation(device: Device, temperature_k: float) -> float:
    """What the temperature multiplies every conductance by: e^(-(Ea/k) (1/T - 1/300 K))."""
    if device.temperature is None:
        return 1.0
    return math.exp(-device.temperature.activation_ev / BOLTZMANN_EV * (1.0 / temperature_k - 1.0 / REFERENCE_K))
