"""Counter-based random draws: a value depends on its key and its place in the tensor, on nothing else.

A chip is such a set of draws. The generator is Philox 4x64 (Salmon et al., SC 2011), whose raw bits NumPy keeps stable
across versions; the step from bits to normal numbers is our own (Box–Muller), so that no library can change a chip.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Key:
    """What a draw is for, as a tuple of words and numbers: (chip, role, matrix, slice, device), say.

    ``banked``: normal draws are read from a bank at a place that the key draws. That is many times as fast, and two
    keys may read the same numbers at different places: good enough for the virtual chips of training, each met once.
    """

    parts: tuple[str | int, ...]
    banked: bool = False

    def at(self, *parts: str | int) -> Key:
        return Key((*self.parts, *parts), self.banked)

    def digest(self, size: int) -> bytes:
        plain = tuple(part if isinstance(part, str) else int(part) for part in self.parts)  # NumPy's integers too
        return hashlib.blake2b(repr(plain).encode(), digest_size=size).digest()

    def seed(self) -> int:
        """63 bits, for a torch.Generator."""
        return int.from_bytes(self.digest(8), "little") >> 1


def _words(key: Key, count: int) -> Tensor:
    """``count`` independent 32-bit words as float64 in (0, 1)."""
    philox = np.random.Philox(key=int.from_bytes(key.digest(16), "little"))
    raw = philox.random_raw((count + 1) // 2).view(np.uint32)[:count]
    return torch.from_numpy(raw.astype(np.float64)).add_(0.5).mul_(2.0**-32)


def uniform(key: Key, shape: tuple[int, ...]) -> Tensor:
    """Float32 in [0, 1) on the CPU; element i depends on ``key`` and i alone."""
    return _words(key, math.prod(shape)).float().clamp_(max=1.0 - 2.0**-24).reshape(shape)


def normal(key: Key, shape: tuple[int, ...]) -> Tensor:
    """Float32 standard normal on the CPU; element i depends on ``key`` and i alone. Not to be written to."""
    if key.banked:
        return _banked(bank(torch.device("cpu")), key, shape)
    count = math.prod(shape)
    words = _words(key, 2 * ((count + 1) // 2)).reshape(-1, 2)
    radius = words[:, 0].log().mul_(-2.0).sqrt_()
    angle = words[:, 1] * (2.0 * math.pi)
    pairs = torch.stack((radius * angle.cos(), radius * angle.sin()), dim=1)
    return pairs.reshape(-1)[:count].float().reshape(shape)


BANK = 2_097_143
"""Numbers in a bank of draws: the largest prime below 2**21, so that no layer's size divides it."""


@lru_cache(maxsize=4)
def bank(device: torch.device) -> Tensor:
    """Normal numbers twice over, so that every `BANK` that follow one another are one piece: [2 * BANK].

    Mean 0 and deviation 1 exactly.
    """
    with torch.inference_mode(False):  # whoever asks first
        drawn = normal(Key(("bank",)), (BANK,)).double()
        numbers = ((drawn - drawn.mean()) / drawn.std(correction=0)).float()
        return torch.cat((numbers, numbers)).to(device)


def choices(key: Key, shape: tuple[int, ...], count: int, device: torch.device, first: int = 0) -> Tensor:
    """Whole numbers from ``first`` to ``first + count - 1`` as float32, read from a bank at a place that ``key`` draws.

    ``count`` is a power of 2. Not to be written to.
    """
    return _banked(_choices(count, first, device), key, shape)


@lru_cache(maxsize=8)
def _choices(count: int, first: int, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        drawn = uniform(Key(("choices", count)), (BANK,)).mul_(count).floor_().add_(first)
        return torch.cat((drawn, drawn)).to(device)


def _banked(numbers: Tensor, key: Key, shape: tuple[int, ...]) -> Tensor:
    size, start = math.prod(shape), key.seed() % BANK
    if size > BANK:
        numbers, start = torch.cat([numbers[start : start + BANK]] * -(-size // BANK)), 0
    return numbers[start : start + size].view(shape)


def generator(key: Key, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator seeded by ``key``."""
    made = torch.Generator(device=device)
    made.manual_seed(key.seed())
    return made
