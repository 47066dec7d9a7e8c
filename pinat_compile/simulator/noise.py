"""Where fresh noise comes from: a bank of normal numbers read from keyed places, or draws made anew.

Drawing can cost more than the product that noise is added to (benchmarks/simulator_steps.py). So noise is read from a
bank of `BANK` numbers, drawn once, at a place that is drawn for every use: the draws of one product are different
entries of the bank, and two products agree in a draw only by the chance that their places coincide. Draws made anew
(`SampleNoise`, `StreamNoise`) are there to be compared with.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pinat_compile.physics.randomness import BANK, Key, bank, generator

TILE_APART, SLICE_APART = 1_296_101, 586_667
"""How far apart in the bank the draws of neighbouring tiles and slices begin: primes, the first about BANK / phi."""
BLOCK = 32
"""Samples whose new draws share one generator; a batch that begins inside a block draws the whole block."""

Role = tuple[str | int, ...]
"""What draws are for: node, input step, and what else tells them apart."""
Unit = tuple[int, int]
"""A tile and one of its slices."""
Take = Callable[[int, int], Tensor]
"""From a vector and a count to the draws of these vectors: [count, width]."""


class Noise(ABC):
    """Draws for products of vectors with the slices of tiles; each (role, tile, slice) has draws of its own."""

    @abstractmethod
    def vectors(self, role: Role, units: Sequence[Unit], count: int, width: int, like: Tensor) -> list[Take]:
        """Standard normal draws for ``count`` vectors of ``width`` numbers, for every unit; as ``like``."""

    @abstractmethod
    def uniform_vectors(self, role: Role, units: Sequence[Unit], count: int, width: int, like: Tensor) -> list[Take]:
        """The same, uniform in [0, 1)."""

    def normal(self, role: Role, first_tile: int, like: Tensor) -> Tensor:
        """Standard normal, shaped as ``like`` [tile, vectors, ..., slice, cols], tiles counted from ``first_tile``."""
        return self._shaped(self.vectors, role, first_tile, like)

    def uniform(self, role: Role, first_tile: int, like: Tensor) -> Tensor:
        """Uniform in [0, 1), shaped likewise."""
        return self._shaped(self.uniform_vectors, role, first_tile, like)

    def _shaped(
        self, source: Callable[..., list[Take]], role: Role, first_tile: int, like: Tensor
    ) -> Tensor:
        tiles, count, *rest = like.shape
        slices = rest.pop(-2) if len(rest) > 1 else 1
        units = [(tile, s) for tile in range(first_tile, first_tile + tiles) for s in range(slices)]
        drawn = [take(0, count).reshape(count, *rest) for take in source(role, units, count, math.prod(rest), like)]
        if slices == 1:
            return (drawn[0].unsqueeze(0) if tiles == 1 else torch.stack(drawn)).reshape(like.shape)
        of_tiles = [torch.stack(drawn[i : i + slices], dim=-2) for i in range(0, len(drawn), slices)]
        return torch.stack(of_tiles).reshape(like.shape)


class BankNoise(Noise):
    """Normal draws from the bank. What a sample sees depends on (key, role, number of the sample) alone.

    ``samples`` samples from number ``first_sample`` on are running; ``None``: the draws belong to this run alone.
    Where an operation sees several vectors of each (batch and length merged, say) they stand together, sample by
    sample; where the samples cannot be told apart (the vectors are no multiple of their number), draws are keyed by
    the first one. Uniform draws are made anew.
    """

    def __init__(self, key: Key, first_sample: int = 0, samples: int | None = None) -> None:
        self.key = key
        self.first_sample = first_sample
        self.samples = samples

    def vectors(self, role: Role, units: Sequence[Unit], count: int, width: int, like: Tensor) -> list[Take]:
        place, numbers = self._place(role, count, width), bank(like.device)
        return [_reader(numbers, place + tile * TILE_APART + s * SLICE_APART, width) for tile, s in units]

    def _place(self, role: Role, count: int, width: int) -> int:
        """Where in the bank the draws begin; a sample's follow those of the one before."""
        if self.samples is None:
            return self.key.at(*role).seed()
        if self.samples > 0 and count % self.samples == 0:
            return self.key.at(*role).seed() + self.first_sample * (count // self.samples * width)
        return self.key.at("merged", self.first_sample, *role).seed()

    def uniform_vectors(self, role: Role, units: Sequence[Unit], count: int, width: int, like: Tensor) -> list[Take]:
        samples = count if self.samples is None else self.samples
        return SampleNoise(self.key, self.first_sample, samples).uniform_vectors(role, units, count, width, like)


def _reader(numbers: Tensor, place: int, width: int) -> Take:
    """Reads vectors of ``width`` numbers that follow one another from ``place`` on."""

    def take(first: int, count: int) -> Tensor:
        start, size = (place + first * width) % BANK, count * width
        if size <= BANK:
            return numbers[start : start + size].view(count, width)
        again = -(-size // BANK)
        return torch.cat([numbers[start : start + BANK]] * again)[:size].view(count, width)

    return take


class SampleNoise(Noise):
    """Draws made anew that depend on (key, role, number of the sample) alone, whatever the batch size.

    ``samples`` samples from number ``first_sample`` on are running; see `BankNoise`.
    """

    def __init__(self, key: Key, first_sample: int, samples: int) -> None:
        self.key = key
        self.first_sample = first_sample
        self.samples = samples

    def vectors(self, role: Role, units: Sequence[Unit], count: int, width: int, like: Tensor) -> list[Take]:
        return [self._taken(torch.randn, (*role, *unit), count, width, like) for unit in units]

    def uniform_vectors(self, role: Role, units: Sequence[Unit], count: int, width: int, like: Tensor) -> list[Take]:
        return [self._taken(torch.rand, (*role, *unit), count, width, like) for unit in units]

    def _taken(self, draw: Callable[..., Tensor], role: Role, count: int, width: int, like: Tensor) -> Take:
        known = self.samples > 0 and count % self.samples == 0
        samples = self.samples if known else 1
        key = self.key.at(*role) if known else self.key.at("merged", *role)
        drawn = self._of_samples(draw, key, samples, count // samples * width, like.device).view(count, width)
        return lambda first, taken: drawn[first : first + taken]

    def _of_samples(
        self, draw: Callable[..., Tensor], key: Key, samples: int, size: int, device: torch.device
    ) -> Tensor:
        """[samples, size]"""
        first, last = self.first_sample, self.first_sample + samples
        parts = []
        for block in range(first // BLOCK, -(-last // BLOCK)):
            made = generator(key.at(block), device)
            draws = draw((BLOCK, size), generator=made, device=device, dtype=torch.float32)
            parts.append(draws[max(first - block * BLOCK, 0) : min(last - block * BLOCK, BLOCK)])
        return parts[0] if len(parts) == 1 else torch.cat(parts)


class StreamNoise(Noise):
    """Draws from a running generator: new at every call, in the order of the calls."""

    def __init__(self, source: torch.Generator) -> None:
        self.source = source

    def vectors(self, role: Role, units: Sequence[Unit], count: int, width: int, like: Tensor) -> list[Take]:
        return [self._taken(torch.randn, count, width, like) for _ in units]

    def uniform_vectors(self, role: Role, units: Sequence[Unit], count: int, width: int, like: Tensor) -> list[Take]:
        return [self._taken(torch.rand, count, width, like) for _ in units]

    def _taken(self, draw: Callable[..., Tensor], count: int, width: int, like: Tensor) -> Take:
        drawn = draw((count, width), generator=self.source, device=like.device, dtype=torch.float32)
        return lambda first, taken: drawn[first : first + taken]
