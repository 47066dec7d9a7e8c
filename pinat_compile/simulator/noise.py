"""Where fresh noise comes from: keyed by sample in evaluation, a running generator in training."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from pinat_compile.physics.randomness import Key, generator

BLOCK = 32
"""Samples whose draws share one generator; a batch that begins inside a block draws the whole block."""


class Noise(Protocol):
    """Standard normal draws for one product."""

    def normal(self, role: tuple[str | int, ...], like: Tensor) -> Tensor:
        """Draws shaped as ``like`` [tile, batch, ...]; ``role`` names node, step and tile."""
        ...


class SampleNoise:
    """Draws that depend on (seed, role, index of the sample) alone, whatever the batch size."""

    def __init__(self, seed: int, first_sample: int) -> None:
        self.key = Key(("read", seed))
        self.first_sample = first_sample

    def normal(self, role: tuple[str | int, ...], like: Tensor) -> Tensor:
        tiles, batch, *rest = like.shape
        first, last = self.first_sample, self.first_sample + batch
        key = self.key.at(*role)
        parts = []
        for block in range(first // BLOCK, -(-last // BLOCK)):
            made = generator(key.at(block), like.device)
            shape = (BLOCK, tiles, math.prod(rest))
            draws = torch.randn(shape, generator=made, device=like.device, dtype=torch.float32)
            parts.append(draws[max(first - block * BLOCK, 0) : min(last - block * BLOCK, BLOCK)])
        drawn = parts[0] if len(parts) == 1 else torch.cat(parts)
        return drawn.transpose(0, 1).reshape(like.shape)


class StreamNoise:
    """Draws from a running generator: fresh at every call, in the order of the calls."""

    def __init__(self, source: torch.Generator) -> None:
        self.source = source

    def normal(self, role: tuple[str | int, ...], like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=self.source, device=like.device, dtype=torch.float32)
