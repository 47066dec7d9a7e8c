"""A chip's devices at one time: all effects, one after the other, from the chip's standard draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pinat_compile.errors import OptionError
from pinat_compile.hardware.device import Device, MismatchSection, StuckSection
from pinat_compile.physics.devices.drift import activation, drift_exponent, drifted, mean_shift_us, relaxation_sigma_us
from pinat_compile.physics.devices.programming import deviation_us, programming_sigma_us
from pinat_compile.physics.devices.read_noise import accumulated, read_sigma_us, slow_sigma_us

Distribution = Literal["normal", "uniform"]


@dataclass(frozen=True, slots=True)
class Draws:
    """Standard draws of a chip, one per device, shaped like (or broadcasting to) the conductances.

    ``stuck`` and ``stuck_at`` ~ U[0, 1), all others ~ N(0, 1); ``None`` where the device lacks the effect, or is to be
    without it. ``slow``, for the 1/f noise that a chip keeps, is the only one that belongs to one time; the others
    serve all times.
    """

    programming: Tensor | None = None
    mismatch: Tensor | None = None
    stuck: Tensor | None = None
    stuck_at: Tensor | None = None
    drift: Tensor | None = None
    relaxation: Tensor | None = None
    slow: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """Conductances [*g] in µS of a chip at one time.

    ``programmed``: after programming. ``settled``: drifted and relaxed since; what read noise is relative to. ``now``:
    with the 1/f noise that the chip keeps at this time; what a read sees but for what is fresh in it.
    """

    programmed: Tensor
    settled: Tensor
    now: Tensor


def draw_roles(device: Device) -> tuple[tuple[str, Distribution], ...]:
    """The fields of `Draws` that a chip of this device needs for all times, with their distributions."""
    spreads = device.relaxation is not None and device.relaxation.model == "logarithmic"
    roles: tuple[tuple[str, Distribution, bool], ...] = (
        ("programming", "normal", device.programming is not None),
        ("mismatch", "normal", device.mismatch is not None),
        ("stuck", "uniform", device.stuck is not None),
        ("stuck_at", "uniform", device.stuck is not None and bool(device.stuck.at_any)),
        ("drift", "normal", device.drift is not None),
        ("relaxation", "normal", spreads),
    )
    return tuple((role, distribution) for role, distribution, needed in roles if needed)


def hold(
    device: Device,
    g_target_us: Tensor,
    draws: Draws,
    *,
    time_s: float | None = None,
    temperature_k: float = 300.0,
    severity: float = 1.0,
    sigma_gradient: bool = False,
) -> Held:
    """The conductances that a chip holds ``time_s`` after it was programmed to ``g_target_us``.

    1. Relaxation moves the mean; programming error is added; then g >= 0. The error is the *total* deviation at that
       time: one draw serves all times. Write-verify keeps it within its tolerance.
    2. Mismatch multiplies.
    3. Drift divides by (t / t0)^nu, nu being that of the target; relaxation spreads; temperature multiplies.
    4. A stuck device stays at g_min, at g_max or between, whatever was asked for and however late or hot it is.
    5. 1/f noise that is slower than an evaluation is added; then g >= 0, or g_min to g_max where the cell is bounded.

    Differentiable with respect to ``g_target_us``, except at stuck devices and where g is clipped; through what depends
    on the state (sigma, nu, Q) only with ``sigma_gradient``.
    """
    time_s = _checked(device, time_s, temperature_k, severity)
    g = g_target_us
    state = g if sigma_gradient else g.detach()  # what sigma, nu and Q are taken at
    shift = mean_shift_us(device, state, time_s)
    g = g + shift if device.relaxation is not None else g
    if device.programming is not None and draws.programming is not None:
        table = device.relaxation is not None and device.relaxation.model == "table"
        sigma = programming_sigma_us(device, state + shift if table else state, time_s)
        g = g + severity * deviation_us(device, sigma, draws.programming)
    if g is not g_target_us:
        g = g.clamp(min=0.0)
    if device.mismatch is not None and draws.mismatch is not None:
        g = g * _gain(device.mismatch, draws.mismatch, severity)
    programmed = g
    if device.drift is not None and draws.drift is not None:
        g = drifted(device, g, drift_exponent(device, state, draws.drift, severity=severity), time_s)
    if draws.relaxation is not None:
        g = g + severity * relaxation_sigma_us(device, time_s) * draws.relaxation
    if device.temperature is not None:
        g = g * activation(device, temperature_k)
    if device.stuck is not None and draws.stuck is not None:
        programmed, g = (_stick(device, device.stuck, each, draws, severity) for each in (programmed, g))
    now = g
    if draws.slow is not None:
        base, before = (g, programmed) if sigma_gradient else (g.detach(), programmed.detach())
        now = now + slow_sigma_us(device, base, before, time_s, severity) * draws.slow
    return Held(programmed, g, now if now is g_target_us else _clip(device, now))


def disturb(
    device: Device,
    g_target_us: Tensor,
    draws: Draws,
    *,
    time_s: float | None = None,
    temperature_k: float = 300.0,
    severity: float = 1.0,
    sigma_gradient: bool = False,
) -> Tensor:
    """The conductances [*g] in µS that a chip holds ``time_s`` after it was programmed to ``g_target_us``: `hold`."""
    return hold(
        device,
        g_target_us,
        draws,
        time_s=time_s,
        temperature_k=temperature_k,
        severity=severity,
        sigma_gradient=sigma_gradient,
    ).now


def _checked(device: Device, time_s: float | None, temperature_k: float, severity: float) -> float:
    """The time to compute with, or an OptionError."""
    time_s = device.t0_s if time_s is None else time_s
    if not time_s >= 0.0:
        raise OptionError(f"time_s = {time_s}: a time after programming is 0 or more", hint="try 1.0")
    if not temperature_k > 0.0:
        raise OptionError(f"temperature_k = {temperature_k}: a temperature in kelvin is positive", hint="try 300")
    if not severity >= 0.0:
        raise OptionError(f"severity = {severity}: a multiplier of noise is 0 or more", hint="try 1.0")
    return time_s


def _gain(mismatch: MismatchSection, xi: Tensor, severity: float) -> Tensor:
    deviation = severity * mismatch.sigma * xi
    return deviation.exp() if mismatch.model == "lognormal" else (1.0 + deviation).clamp(min=0.0)


def _stick(device: Device, stuck: StuckSection, g: Tensor, draws: Draws, severity: float) -> Tensor:
    low, high = stuck_thresholds(stuck, severity)
    cell, uniform = device.cell, draws.stuck
    assert uniform is not None
    if low > 0.0:
        g = torch.where(uniform < low, cell.g_min_us, g)
    if high < 1.0:
        g = torch.where(uniform >= high, cell.g_max_us, g)
    if stuck.at_any and draws.stuck_at is not None:
        first, last = stuck_between(stuck, severity)
        held = cell.g_min_us + (cell.g_max_us - cell.g_min_us) * draws.stuck_at
        g = torch.where((uniform >= first) & (uniform < last), held.to(g.dtype), g)
    return g


def stuck_thresholds(stuck: StuckSection, severity: float) -> tuple[float, float]:
    """A uniform below the first is stuck at g_min, from the second on at g_max; together at most all devices."""
    scale = min(severity, 1.0 / stuck.total) if stuck.total > 0.0 else 0.0
    return scale * stuck.at_g_min, 1.0 - scale * stuck.at_g_max


def stuck_between(stuck: StuckSection, severity: float) -> tuple[float, float]:
    """A uniform from the first to the second is stuck somewhere between.

    They part from one place as severity grows, which `stuck_thresholds` reach last: a device once stuck stays so.
    """
    ends = stuck.at_g_min + stuck.at_g_max
    place = stuck.at_g_min / ends if ends > 0.0 else 0.5
    width = min(severity, 1.0 / stuck.total) * stuck.at_any if stuck.at_any else 0.0
    return place - width * place, place + width * (1.0 - place)


def _clip(device: Device, g: Tensor) -> Tensor:
    return g.clamp(device.cell.g_min_us, device.cell.g_max_us) if device.cell.bounded else g.clamp(min=0.0)


def sample_conductance(
    device: Device,
    g_target_us: Tensor,
    *,
    time_s: float | None = None,
    temperature_k: float = 300.0,
    generator: torch.Generator,
    severity: float = 1.0,
    defects: bool = False,
) -> Tensor:
    """One read [*g] in µS of independent devices, ``time_s`` after they were programmed to ``g_target_us``.

    What a characterisation bench measures and a device paper publishes: programming error (the total deviation at that
    time, device-to-device spread included), drift and relaxation, all of the read noise, telegraph noise in its two
    states; g >= 0. ``defects`` adds what a whole array adds to that: mismatch and stuck devices. ``device`` is
    ``load_target(name).device``; draws are made on the generator's device.
    """
    g = torch.as_tensor(g_target_us)
    g = g if g.is_floating_point() else g.to(torch.get_default_dtype())
    time_s = _checked(device, time_s, temperature_k, severity)
    draws = Draws(**{
        role: _draw(distribution, g, generator)
        for role, distribution in draw_roles(device)
        if defects or role not in ("mismatch", "stuck", "stuck_at")
    })
    held = hold(device, g, draws, time_s=time_s, temperature_k=temperature_k, severity=severity)
    read = held.settled
    if device.read_noise is not None:
        share = sum(accumulated(device.read_noise, time_s))
        sigma = read_sigma_us(device, held.settled, held.programmed)
        read = read + severity * share**0.5 * sigma * _draw("normal", g, generator)
    if device.telegraph is not None:
        p = device.telegraph.probability
        lower = (_draw("uniform", g, generator) < p).to(g.dtype)
        read = read + severity * device.telegraph.amplitude * held.settled * (p - lower)
    return read if read is g else _clip(device, read)


def _draw(distribution: Distribution, like: Tensor, generator: torch.Generator) -> Tensor:
    sample = torch.randn if distribution == "normal" else torch.rand
    return sample(like.shape, generator=generator, device=generator.device, dtype=like.dtype).to(like.device)
