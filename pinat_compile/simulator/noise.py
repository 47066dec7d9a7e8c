"""Where fresh noise comes from: keyed by sample in evaluation, a running generator in training."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from pinat_compile.physics.randomness import Key, generator

BLOCK = 32
"""Samples whose draws share one generator; a batch that begins inside a block draws the whole block."""


Role = tuple[str | int, ...]
"""What draws are for: node, input step, and what else tells them apart."""


class Noise(Protocol):
    """Draws for one product, shaped as ``like`` [tile, vectors, ...], tiles counted from ``first_tile``."""

    def normal(self, role: Role, first_tile: int, like: Tensor) -> Tensor:
        """Standard normal."""
        ...

    def uniform(self, role: Role, first_tile: int, like: Tensor) -> Tensor:
        """Uniform in [0, 1)."""
        ...


class SampleNoise:
    """Draws that depend on (seed, role, tile, number of the sample) alone, whatever the batch size.

    ``samples`` samples from number ``first_sample`` on are running. Where an operation sees several vectors of each
    (batch and length merged, say) they stand together, sample by sample; where the samples cannot be told apart (the
    first axis is no multiple of their number), the draws are keyed by the first one.
    """

    def __init__(self, seed: int, first_sample: int, samples: int) -> None:
        self.key = Key(("read", seed))
        self.first_sample = first_sample
        self.samples = samples

    def normal(self, role: Role, first_tile: int, like: Tensor) -> Tensor:
        return self._draws(torch.randn, role, first_tile, like)

    def uniform(self, role: Role, first_tile: int, like: Tensor) -> Tensor:
        return self._draws(torch.rand, role, first_tile, like)

    def _draws(self, draw: Callable[..., Tensor], role: Role, first_tile: int, like: Tensor) -> Tensor:
        tiles, vectors, *rest = like.shape
        known = self.samples > 0 and vectors % self.samples == 0
        samples = self.samples if known else 1
        size = vectors // samples * math.prod(rest)
        key = self.key.at(*role) if known else self.key.at("merged", *role)
        drawn = [self._of_tile(draw, key.at(first_tile + tile), samples, size, like.device) for tile in range(tiles)]
        return (drawn[0] if tiles == 1 else torch.stack(drawn)).reshape(like.shape)

    def _of_tile(
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


class StreamNoise:
    """Draws from a running generator: fresh at every call, in the order of the calls."""

    def __init__(self, source: torch.Generator) -> None:
        self.source = source

    def normal(self, role: Role, first_tile: int, like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=self.source, device=like.device, dtype=torch.float32)

    def uniform(self, role: Role, first_tile: int, like: Tensor) -> Tensor:
        return torch.rand(like.shape, generator=self.source, device=like.device, dtype=torch.float32)
