"""Devices: what becomes of a target conductance once it is programmed, and how it reads.

Every function is plain torch on tensors of any shape, conductances in µS, and broadcasts. Randomness comes in as
standard draws (normals, uniforms) that the target's parameters only scale: two severities, two times or two targets
see the same chip. ``severity`` multiplies every standard deviation and every stuck probability.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from pinat_compile.errors import OptionError
from pinat_compile.hardware.schema import Device, MismatchSection, ProgrammingSection, StuckSection

Distribution = Literal["normal", "uniform"]

T0_S = 1.0
"""The default time of a read: the first at which filamentary devices are characterised (Wan et al., Nature 2022)."""


@dataclass(frozen=True, slots=True)
class Draws:
    """Standard draws of a chip, one per device, shaped like (or broadcasting to) the conductances.

    ``programming`` and ``mismatch`` ~ N(0, 1), ``stuck`` ~ U[0, 1); ``None`` where the device lacks the effect.
    """

    programming: Tensor | None = None
    mismatch: Tensor | None = None
    stuck: Tensor | None = None


def draw_roles(device: Device) -> tuple[tuple[str, Distribution], ...]:
    """The fields of `Draws` that a chip of this device needs, with their distributions."""
    roles: list[tuple[str, Distribution]] = []
    if device.programming is not None:
        roles.append(("programming", "normal"))
    if device.mismatch is not None:
        roles.append(("mismatch", "normal"))
    if device.stuck is not None:
        roles.append(("stuck", "uniform"))
    return tuple(roles)


def programming_sigma_us(device: Device, g_us: Tensor, time_s: float = T0_S) -> Tensor:
    """Standard deviation [*g] in µS of the conductance around its target ``g_us``, ``time_s`` after programming.

    sigma = (g_max / reference) * sum_k c_k(t) x^k with x = g / g_max; c(t) linear in ln t between the published times
    and held outside them; x is held to [0, 1], sigma at 0 from below. Zero for a device without programming error.
    Source: Wan et al., Nature 608, 504 (2022), Extended Data Fig. 3d, in the form of aihwkit's ReRamWan2022NoiseModel.
    """
    if device.programming is None:
        return torch.zeros_like(g_us)
    coefficients = _coefficients(device.programming, time_s)
    x = (g_us / device.cell.g_max_us).clamp(0.0, 1.0)
    sigma = torch.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        sigma = sigma * x + coefficient
    scale = device.cell.g_max_us / device.programming.reference_g_max_us
    return (sigma * scale).clamp(min=0.0)


def _coefficients(programming: ProgrammingSection, time_s: float) -> tuple[float, ...]:
    """The polynomial at ``time_s``. Interpolating the coefficients in ln t interpolates sigma in ln t."""
    times, table = programming.times_s, programming.coefficients
    if not time_s >= 0.0:
        raise OptionError(f"time_s = {time_s}: a time after programming is 0 or more", hint="try 1.0")
    if time_s <= times[0]:
        return table[0]
    for (t0, t1), (c0, c1) in zip(pairwise(times), pairwise(table), strict=True):
        if time_s < t1:
            weight = math.log(time_s / t0) / math.log(t1 / t0)
            return tuple((1.0 - weight) * a + weight * b for a, b in zip(c0, c1, strict=True))
    return table[-1]


def disturb(
    device: Device,
    g_target_us: Tensor,
    draws: Draws,
    *,
    time_s: float = T0_S,
    temperature_k: float = 300.0,
    severity: float = 1.0,
    sigma_gradient: bool = False,
) -> Tensor:
    """The conductances [*g] in µS that a chip holds ``time_s`` after it was programmed to ``g_target_us``.

    1. Programming error, added; then g >= 0. It is the *total* deviation at that time: one draw serves all times.
    2. Mismatch multiplies.
    3. A stuck device stays at g_min or g_max, whatever was asked for.

    Differentiable with respect to ``g_target_us``, except at stuck devices and at g = 0; through sigma(g) only with
    ``sigma_gradient``. No device model of today depends on ``temperature_k``; it must be positive.
    """
    if not temperature_k > 0.0:
        raise OptionError(f"temperature_k = {temperature_k}: a temperature in kelvin is positive", hint="try 300")
    if not severity >= 0.0:
        raise OptionError(f"severity = {severity}: a multiplier of noise is 0 or more", hint="try 1.0")
    g = g_target_us
    if device.programming is not None and draws.programming is not None:
        sigma = programming_sigma_us(device, g if sigma_gradient else g.detach(), time_s)
        g = (g + severity * sigma * draws.programming).clamp(min=0.0)
    if device.mismatch is not None and draws.mismatch is not None:
        g = g * _gain(device.mismatch, draws.mismatch, severity)
    if device.stuck is not None and draws.stuck is not None:
        low, high = _thresholds(device.stuck, severity)
        if low > 0.0:
            g = torch.where(draws.stuck < low, device.cell.g_min_us, g)
        if high < 1.0:
            g = torch.where(draws.stuck >= high, device.cell.g_max_us, g)
    return g


def _gain(mismatch: MismatchSection, xi: Tensor, severity: float) -> Tensor:
    deviation = severity * mismatch.sigma * xi
    return deviation.exp() if mismatch.model == "lognormal" else (1.0 + deviation).clamp(min=0.0)


def _thresholds(stuck: StuckSection, severity: float) -> tuple[float, float]:
    """A uniform below the first is stuck at g_min, from the second on at g_max; together at most all devices."""
    total = stuck.at_g_min + stuck.at_g_max
    scale = min(severity, 1.0 / total) if total > 0.0 else 0.0
    return scale * stuck.at_g_min, 1.0 - scale * stuck.at_g_max


def read_variance_us2(device: Device, g_us: Tensor, *, severity: float = 1.0) -> Tensor | float:
    """Variance in µS² of one read of a device at ``g_us``: a float where it does not depend on the state, else [*g]."""
    if device.read_noise is None:
        return 0.0
    return (severity * device.read_noise.sigma_fraction * device.cell.g_max_us) ** 2


def sample_conductance(
    device: Device,
    g_target_us: Tensor,
    *,
    time_s: float = T0_S,
    temperature_k: float = 300.0,
    generator: torch.Generator,
    severity: float = 1.0,
    defects: bool = False,
) -> Tensor:
    """One read [*g] in µS of independent devices, ``time_s`` after they were programmed to ``g_target_us``.

    What a characterisation bench measures and a device paper publishes: programming error (the total deviation at that
    time, device-to-device spread included) and read noise; g >= 0. ``defects`` adds what a whole array adds to that:
    mismatch and stuck devices. ``device`` is ``load_target(name).device``; draws are made on the generator's device.
    """
    g = torch.as_tensor(g_target_us)
    g = g if g.is_floating_point() else g.to(torch.get_default_dtype())
    draws = Draws(**{
        role: _draw(distribution, g, generator)
        for role, distribution in draw_roles(device)
        if defects or role == "programming"
    })
    g = disturb(device, g, draws, time_s=time_s, temperature_k=temperature_k, severity=severity)
    variance = read_variance_us2(device, g, severity=severity)
    if isinstance(variance, float) and variance == 0.0:
        return g
    return (g + variance**0.5 * _draw("normal", g, generator)).clamp(min=0.0)


def _draw(distribution: Distribution, like: Tensor, generator: torch.Generator) -> Tensor:
    sample = torch.randn if distribution == "normal" else torch.rand
    return sample(like.shape, generator=generator, device=generator.device, dtype=like.dtype).to(like.device)
