"""Block Gibbs sampling: hidden units given visible ones, visible given hidden ones, digital or on an array.

A `Sampler` is a pair of conditionals. A digital one has logistic units and is the reference; one with probit units is
what a Gaussian comparator is without any other fault; `ChipSampler` reads an array and compares.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from pinat_compile.ebm.array import Columns, Held, TwoWayArray
from pinat_compile.ebm.rbm import Rbm
from pinat_compile.ebm.temperature import PROBIT, normal_cdf
from pinat_compile.simulator.noise import StreamNoise

QUIET = 1e-20
"""The least deviation, so that a unit without noise is certain."""


class Sampler(ABC):
    """Units of one side given those of the other, all independent: v [batch, visible], h [batch, hidden], float32."""

    @abstractmethod
    def hidden_probability(self, v: Tensor) -> Tensor:
        """P(h_j = 1 | v): [batch, hidden]."""

    @abstractmethod
    def visible_probability(self, h: Tensor) -> Tensor:
        """P(v_i = 1 | h): [batch, visible]."""

    @abstractmethod
    def visible_log_probability(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """log P(v_i = 1 | h) and log P(v_i = 0 | h), also where one is too small for a float: [batch, visible] each."""

    @abstractmethod
    def hidden(self, v: Tensor) -> Tensor:
        """A draw of h given v."""

    @abstractmethod
    def visible(self, h: Tensor) -> Tensor:
        """A draw of v given h."""


@dataclass(frozen=True)
class DigitalSampler(Sampler):
    """Units of ``rbm`` as a digital machine draws them.

    ``link``: logistic, P = 1 / (1 + exp(-z / T)); or probit, P = Phi(z / (1.702 T)). ``temperature`` T; 0 is the limit
    without noise, where a unit is on if z > 0.
    """

    rbm: Rbm
    generator: torch.Generator
    link: Literal["logistic", "probit"] = "logistic"
    temperature: float = 1.0

    def hidden_probability(self, v: Tensor) -> Tensor:
        return self._linked(v.float() @ self.rbm.weights.float() + self.rbm.hidden_bias.float())

    def visible_probability(self, h: Tensor) -> Tensor:
        return self._linked(self._visible_field(h))

    def visible_log_probability(self, h: Tensor) -> tuple[Tensor, Tensor]:
        z = self._visible_field(h)
        if self.temperature == 0.0:
            return _logs(torch.where(z > 0, torch.inf, -torch.inf))
        if self.link == "logistic":
            return F.logsigmoid(z / self.temperature), F.logsigmoid(-z / self.temperature)
        return _logs(z / (PROBIT * self.temperature))

    def hidden(self, v: Tensor) -> Tensor:
        return self._drawn(self.hidden_probability(v))

    def visible(self, h: Tensor) -> Tensor:
        return self._drawn(self.visible_probability(h))

    def _visible_field(self, h: Tensor) -> Tensor:
        return h.float() @ self.rbm.weights.float().T + self.rbm.visible_bias.float()

    def _linked(self, z: Tensor) -> Tensor:
        if self.temperature == 0.0:
            return (z > 0).float()
        return torch.sigmoid(z / self.temperature) if self.link == "logistic" else normal_cdf(
            z / (PROBIT * self.temperature))

    def _drawn(self, probability: Tensor) -> Tensor:
        return (torch.rand(probability.shape, generator=self.generator) < probability).float()


@dataclass(frozen=True)
class ChipSampler(Sampler):
    """Units that compare what an array reads with a threshold; the noise of the read is the only randomness.

        h_j = 1  if  read(v)_j + threshold_j > 0        v_i = 1  if  read'(h)_i + threshold_i > 0

    ``thresholds`` (hidden, visible), in the units of the model: the biases, corrected by what calibration found.
    ``noise=False``: nothing is fresh in a read, and the chain is a map.
    """

    array: TwoWayArray
    held: Held
    thresholds: tuple[Tensor, Tensor]
    generator: torch.Generator
    noise: bool = True

    def hidden_probability(self, v: Tensor) -> Tensor:
        return normal_cdf(self._score(v, transpose=False))

    def visible_probability(self, h: Tensor) -> Tensor:
        return normal_cdf(self._score(h, transpose=True))

    def visible_log_probability(self, h: Tensor) -> tuple[Tensor, Tensor]:
        return _logs(self._score(h, transpose=True))

    def hidden(self, v: Tensor) -> Tensor:
        return self._drawn(v, transpose=False)

    def visible(self, h: Tensor) -> Tensor:
        return self._drawn(h, transpose=True)

    def _drawn(self, x: Tensor, *, transpose: bool) -> Tensor:
        fresh = StreamNoise(self.generator) if self.noise else None
        return (self.array.read(x, self.held, fresh, transpose=transpose) + self.thresholds[transpose] > 0).float()

    def _score(self, x: Tensor, *, transpose: bool) -> Tensor:
        seen = self.array.columns(x, self.held, transpose=transpose)
        return firing_score(seen, self.thresholds[transpose], noise=self.noise)


def firing_score(seen: Columns, threshold: Tensor, *, noise: bool = True) -> Tensor:
    """s with P(sum over tiles of code * unit + threshold > 0) = Phi(s), for codes that are rounded Gaussians.

    [batch, outputs], infinite where a unit is certain. One tile: exact, codes and clips included. Several: the sum
    taken as a Gaussian, with a twelfth of a squared code for each rounding; clips are left out. No converter: exact.
    """
    unit = seen.unit
    if not noise:
        codes = seen.mean if seen.limit is None else seen.mean.round().clamp(-seen.limit, seen.limit)
        return torch.where((codes * unit).sum(dim=1) + threshold > 0, torch.inf, -torch.inf)
    if seen.limit is not None and seen.mean.shape[1] == 1:
        lowest = torch.floor(-threshold / unit[0]) + 1.0  # the lowest code that fires
        found = (seen.mean[:, 0] - lowest + 0.5) / seen.deviation[:, 0].clamp(min=QUIET)
        return torch.where(lowest > seen.limit, -torch.inf, torch.where(lowest <= -seen.limit, torch.inf, found))
    rounding = 0.0 if seen.limit is None else 1.0 / 12.0
    mean = (seen.mean * unit).sum(dim=1) + threshold
    variance = ((seen.deviation.square() + rounding) * unit.square()).sum(dim=1)
    return mean / variance.sqrt().clamp(min=QUIET)


def _logs(score: Tensor) -> tuple[Tensor, Tensor]:
    """log Phi(s) and log Phi(-s)."""
    return torch.special.log_ndtr(score.double()), torch.special.log_ndtr(-score.double())


def gibbs(sampler: Sampler, v: Tensor, sweeps: int) -> Iterator[tuple[Tensor, Tensor]]:
    """``sweeps`` times h given v, then v given h: (v, h) after each, all chains of ``v`` [chains, visible] at once."""
    for _ in range(sweeps):
        h = sampler.hidden(v)
        v = sampler.visible(h)
        yield v, h


def after(sampler: Sampler, v: Tensor, sweeps: int) -> Tensor:
    """The visible units after so many sweeps."""
    last = v
    for last, _ in gibbs(sampler, v, sweeps):  # noqa: B007
        pass
    return last


def clamped(sampler: Sampler, v: Tensor, known: Tensor, sweeps: int, kept: int) -> Tensor:
    """The mean of P(v | h) over the last ``kept`` of ``sweeps``, where ``known`` [visible] units stay as they are."""
    mean, given = torch.zeros_like(v), v
    for sweep in range(sweeps):
        h = sampler.hidden(v)
        v = torch.where(known, given, sampler.visible(h))
        if sweep >= sweeps - kept:
            mean += v / kept
    return torch.where(known, given, mean)
