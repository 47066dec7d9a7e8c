"""Programming error: how far from its target a device ends up, and what write-verify makes of that."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pinat_compile.errors import OptionError
from pinat_compile.hardware.device import Device, ProgrammingSection, WriteVerifySection
from pinat_compile.physics.devices.curves import mixed, polynomial, saturating, segment

ROOT2 = math.sqrt(2.0)


def programming_sigma_us(device: Device, g_us: Tensor, time_s: float | None = None) -> Tensor:
    """Standard deviation [*g] in µS of the conductance around its target ``g_us``, ``time_s`` after programming.

    polynomial: sigma = (g_max / reference) * sum_k c_k(t) x^k with x = g / g_max held to [0, 1], from below at 0; as in
    Joshi et al., Nature Communications 11, 2473 (2020), Le Gallo et al., Nature Electronics 6, 680 (2023), Wan et al.,
    Nature 608, 504 (2022), Extended Data Fig. 3d, and Milo et al., IRPS 2021. exponential: sigma = A (1 - e^(-g/B)), as
    in Agrawal et al., IEDM 2022. Coefficients are interpolated between the published times and held outside them. Zero
    for a device without programming error. Write-verify is not part of it.
    """
    if device.programming is None:
        return torch.zeros_like(g_us)
    time_s = device.t0_s if time_s is None else time_s
    coefficients = _coefficients(device.programming, time_s)
    scale = device.cell.g_max_us / device.programming.reference_g_max_us
    if device.programming.model == "exponential":
        return saturating(coefficients, g_us / scale) * scale
    x = (g_us / device.cell.g_max_us).clamp(0.0, 1.0)
    return (polynomial(coefficients, x) * scale).clamp(min=0.0)


def _coefficients(programming: ProgrammingSection, time_s: float) -> tuple[float, ...]:
    """The row at ``time_s``. Interpolating a polynomial's coefficients interpolates sigma."""
    if not time_s >= 0.0:
        raise OptionError(f"time_s = {time_s}: a time after programming is 0 or more", hint="try 1.0")
    times, table = programming.times_s, programming.coefficients
    if programming.interpolation == "log":
        if time_s <= times[0]:
            return table[0]
        times, time_s = tuple(math.log(time) for time in times), math.log(time_s)
    low, high, weight = segment(times, time_s)
    return table[low] if weight == 0.0 else mixed(table[low], table[high], weight)


def deviation_us(device: Device, sigma_us: Tensor, xi: Tensor) -> Tensor:
    """The error in µS of devices with standard normal draws ``xi``: sigma xi, after write-verify where there is one.

    Write-verify repeats an attempt of error N(0, sigma²) until it is within the tolerance or the pulses are spent. An
    accepted error is N(0, sigma²) cut off at the tolerance; of the others, a share (1 - p)^n with p = P(accept), the
    last attempt stays, outside it. |xi| is taken to the same quantile of that distribution: more of xi is more error.
    """
    verify = device.write_verify
    if verify is None:
        return sigma_us * xi
    sigma = sigma_us.clamp(min=1e-12)
    inside = _acceptance(verify, sigma)
    accepted = _ever_accepted(verify, inside)
    quantile = torch.erf(xi.abs() / ROOT2)  # uniform in [0, 1)
    within = quantile * inside / accepted
    missed = (1.0 - accepted).clamp(min=1e-12)
    outside = inside + (quantile - accepted) * (1.0 - inside) / missed
    share = torch.where(quantile <= accepted, within, outside).clamp(max=1.0 - 6e-8)
    return sigma * ROOT2 * torch.erfinv(share) * xi.sign()


def _acceptance(verify: WriteVerifySection, sigma_us: Tensor) -> Tensor:
    """Probability that one attempt is within the tolerance."""
    return torch.erf(verify.tolerance_us / (sigma_us * ROOT2)).clamp(min=1e-12)


def _ever_accepted(verify: WriteVerifySection, inside: Tensor) -> Tensor:
    """1 - (1 - p)^n, without the loss of digits where p is small."""
    return -torch.expm1(verify.max_pulses * torch.log1p(-inside.clamp(max=1.0 - 1e-7)))


def expected_pulses(device: Device, g_us: Tensor) -> Tensor:
    """Mean number of attempts [*g] that write-verify needs for devices programmed to ``g_us``; 1 without it.

    (1 - (1 - p)^n) / p, the mean of a geometric distribution that ends at n = ``max_pulses``.
    """
    if device.write_verify is None:
        return torch.ones_like(g_us)
    inside = _acceptance(device.write_verify, programming_sigma_us(device, g_us).clamp(min=1e-12))
    return _ever_accepted(device.write_verify, inside) / inside


def pulse_counts(device: Device, g_us: Tensor, uniform: Tensor) -> Tensor:
    """The number of attempts of each device, from standard uniform draws: 1 to ``max_pulses``."""
    if device.write_verify is None:
        return torch.ones_like(g_us)
    inside = _acceptance(device.write_verify, programming_sigma_us(device, g_us).clamp(min=1e-12))
    miss = (1.0 - inside).clamp(1e-12, 1.0 - 1e-7)
    return ((1.0 - uniform).log() / miss.log()).floor().add(1.0).clamp(1.0, float(device.write_verify.max_pulses))


def write_energy_pj(device: Device, g_us: Tensor) -> Tensor | None:
    """Expected energy in pJ of programming each device to ``g_us``; ``None`` where the target gives no pulse energy."""
    if device.write_verify is None or device.write_verify.pulse_pj is None:
        return None
    return expected_pulses(device, g_us) * device.write_verify.pulse_pj
