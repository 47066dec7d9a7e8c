"""Noise as temperature: a unit that compares a Gaussian with 0 is a probit unit, nearly a logistic one.

    P(z + sigma_n * noise > 0) = Phi(z / sigma_n)  ~  1 / (1 + exp(-1.702 z / sigma_n))      error <= 0.0095

(1.702: Haley 1952; the error of the best such fit, Camilli 1994.) A unit at temperature 1 needs sigma_n = 1.702 in the
units of its input; twice the noise is twice the temperature.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pinat_compile.ebm.array import Held, TwoWayArray
from pinat_compile.simulator.noise import Noise

PROBIT = 1.702
"""The noise that makes a comparator a logistic unit of temperature 1."""


def normal_cdf(z: Tensor) -> Tensor:
    """Phi(z)."""
    found: Tensor = torch.special.ndtr(z)
    return found


def temperature_of(noise: float, gain: float = 1.0) -> float:
    """The temperature of a unit with input ``gain`` * z and Gaussian noise of deviation ``noise`` behind it."""
    return noise / (PROBIT * gain)


@dataclass(frozen=True, slots=True)
class Measured:
    """One direction of one chip, measured: what its outputs make of the model's z = W' x.

    ``gain`` and ``offset`` [outputs]: least squares of the mean output on z; ``common_gain``: one for all outputs,
    without offsets. ``fresh`` [outputs]: deviation of what is fresh in a read, mean over inputs. ``fixed`` [outputs]:
    deviation of what gain and offset leave: errors of devices that depend on the input pattern.
    """

    gain: Tensor
    offset: Tensor
    common_gain: float
    fresh: Tensor
    fixed: Tensor


def measure(
    array: TwoWayArray, held: Held, weights: Tensor, x: Tensor, noise: Noise, *, transpose: bool, reads: int = 16
) -> Measured:
    """Read ``x`` [inputs, rows or cols] ``reads`` times and compare with W' x of ``weights`` [rows, cols]."""
    wanted = x.float() @ (weights.T if transpose else weights).float()
    total, squares = torch.zeros_like(wanted), torch.zeros_like(wanted)
    for _ in range(reads):
        y = array.read(x, held, noise, transpose=transpose)
        total += y
        squares += y.square()
    mean = total / reads
    spread = (squares / reads - mean.square()).clamp(min=0.0) * (reads / max(reads - 1, 1))
    return _fitted(wanted, mean, spread.mean(dim=0).sqrt())


def known(array: TwoWayArray, held: Held, weights: Tensor, x: Tensor, *, transpose: bool) -> Measured:
    """What `measure` finds with any number of reads, computed: for virtual chips in training."""
    wanted = x.float() @ (weights.T if transpose else weights).float()
    seen = array.columns(x, held, transpose=transpose)
    mean = (seen.mean * seen.unit).sum(dim=1)
    fresh = (seen.deviation * seen.unit).square().sum(dim=1).mean(dim=0).sqrt()
    return _fitted(wanted, mean, fresh)


def _fitted(wanted: Tensor, mean: Tensor, fresh: Tensor) -> Measured:
    centred = wanted - wanted.mean(dim=0)
    power = centred.square().sum(dim=0)
    slope = (centred * mean).sum(dim=0) / power.clamp(min=1e-12)
    gain = torch.where((power > 1e-9) & (slope > 0.1), slope, 1.0)  # a unit that nothing drives keeps its gain
    offset = mean.mean(dim=0) - gain * wanted.mean(dim=0)
    left = mean - gain * wanted - offset
    common = float((wanted * mean).sum() / wanted.square().sum().clamp(min=1e-12))
    return Measured(gain, offset, common, fresh, left.square().mean(dim=0).sqrt())


@dataclass(frozen=True, slots=True)
class Setting:
    """What is set on a chip for one direction: the added ``noise`` of every output, and its threshold."""

    noise: Tensor
    threshold: Tensor


def uncalibrated(bias: Tensor) -> Setting:
    """The chip as a network would be run on it: its own noise, the biases as thresholds."""
    return Setting(torch.zeros_like(bias), bias)


def one_temperature(found: Measured, bias: Tensor) -> Setting:
    """One noise for all outputs, so that their temperature is 1 on average; biases as they come out of that gain."""
    own = float(found.fresh.square().mean())
    added = math.sqrt(max((PROBIT * found.common_gain) ** 2 - own, 0.0))
    return Setting(torch.full_like(bias, added), found.common_gain * bias)


def every_unit(found: Measured, bias: Tensor) -> Setting:
    """Noise and threshold of every output on its own.

    Phi((gain z + offset + threshold) / sigma) has the slope and the threshold of a logistic unit of temperature 1 if
    threshold = gain * bias - offset and sigma = 1.702 gain. What devices add to z for some inputs and take away for
    others counts as noise, so that the unit is right on average over inputs.
    """
    own = found.fresh.square() + found.fixed.square()
    added = ((PROBIT * found.gain).square() - own).clamp(min=0.0).sqrt()
    return Setting(added, found.gain * bias - found.offset)


def data_sheet(own: float, bias: Tensor) -> Setting:
    """What makes an average chip's temperature 1: no chip is measured, ``own`` is the read noise of the target file."""
    return Setting(torch.full_like(bias, math.sqrt(max(PROBIT**2 - own**2, 0.0))), bias.clone())
