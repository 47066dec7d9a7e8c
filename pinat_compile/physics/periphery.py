"""Circuits around an array: curved converters and amplifiers, and the noise that physics gives every column."""

from __future__ import annotations

import math

from torch import Tensor

from pinat_compile.hardware.periphery import AmplifierSection, CircuitNoiseSection

BOLTZMANN_J_PER_K = 1.380649e-23
"""Exact, by the definition of the kelvin (SI, 2019)."""
CHARGE_C = 1.602176634e-19
"""Of an electron; exact, by the definition of the ampere (SI, 2019)."""
SIEMENS = 1e-6
"""One µS."""
S_PEAK = 6.0 * math.sqrt(3.0)
"""1 / the largest value of v (1 - v) (1 - 2 v)."""

Curve = tuple[Tensor, Tensor]
"""Heights of the bow and of the S of an integral non-linearity, in codes."""


def nonlinearity(share: Tensor, curve: Curve) -> Tensor:
    """Integral non-linearity in codes at ``share`` of the range, 0 to 1, with no error at either end (endpoint fit).

    A bow 4 v (1 - v) and an S of two opposite bows, each with a peak of 1 times its height: the second and third order
    of a converter's transfer curve. Heights broadcast against ``share``. Differentiable.
    """
    v = share.clamp(0.0, 1.0)
    bow = v * (1.0 - v)
    return bow * (4.0 * curve[0]) + bow * (1.0 - 2.0 * v) * (S_PEAK * curve[1])


def through_ladder(codes: Tensor, largest: int, curve: Curve) -> Tensor:
    """What a driver puts out for input ``codes`` of either sign, in codes: both signs use one ladder, 0 stays 0."""
    return codes + codes.sign() * nonlinearity(codes.abs() / largest, curve)


def through_converter(codes: Tensor, limits: tuple[int, int], curve: Curve) -> Tensor:
    """What an ADC sees of an input in codes, not rounded yet: curved from its lowest code to its highest."""
    low, high = limits
    return codes + nonlinearity((codes - low) / (high - low), curve)


def amplified(share: Tensor, amplifier: AmplifierSection) -> Tensor:
    """The output of a column's amplifier for ``share`` of the ADC's full scale: it saturates and may favour a sign.

    saturation * tanh(v / saturation), times 1 + asymmetry / 2 where positive and 1 - asymmetry / 2 where negative.
    """
    if amplifier.saturation is not None:
        share = (share / amplifier.saturation).tanh() * amplifier.saturation
    return share * (1.0 + 0.5 * amplifier.asymmetry * share.sign()) if amplifier.asymmetry else share


def step_a(step_us: float, input_v: float) -> float:
    """The current in A of one weight step driven by one input step of ``input_v`` volts."""
    return step_us * SIEMENS * input_v


def thermal_variance(
    conducting_us: Tensor, circuit: CircuitNoiseSection, temperature_k: float, unit_a: float
) -> Tensor:
    """Variance of a column's thermal noise, 4 k T G per hertz (Johnson, Nyquist 1928), in squared ``unit_a`` [*g].

    ``conducting_us`` is what each device, or a whole column, conducts in µS: the variances of all add up.
    """
    density = 4.0 * BOLTZMANN_J_PER_K * temperature_k * SIEMENS * conducting_us.double()
    return (density * circuit.bandwidth_hz / unit_a**2).to(conducting_us.dtype)


def shot_variance(conducting_us: Tensor, circuit: CircuitNoiseSection, input_v: float, unit_a: float) -> Tensor:
    """Variance of a column's shot noise, 2 q |I| per hertz (Schottky 1918), per input step of ``input_v`` V [*g].

    In squared ``unit_a``; the sum over rows of |input| times this is the column's.
    """
    density = 2.0 * CHARGE_C * SIEMENS * conducting_us.double() * input_v
    return (density * circuit.bandwidth_hz / unit_a**2).to(conducting_us.dtype)
