"""Rectangular meshes of Mach-Zehnder interferometers: where they stand.

A mesh of N modes has N layers; in even layers interferometers couple modes (0, 1), (2, 3), …, in odd ones (1, 2),
(3, 4), … (Clements et al., Optica 3, 1460, 2016). Light passes layer 0 first. Phases are flat, layer by layer, top to
bottom: [..., N (N - 1) / 2].
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Layer:
    """``count`` interferometers side by side, from mode ``first`` on; ``start``: the flat index of the top one.

    ``single``: one for each mode, passed from its upper input to its upper output: an attenuator.
    """

    first: int
    count: int
    start: int
    single: bool = False


@lru_cache(maxsize=64)
def layers(modes: int, start: int = 0) -> tuple[Layer, ...]:
    """The layers of a mesh: ``modes`` of them, one where there are two modes, none where there is one.

    ``start``: the flat index of the first interferometer.
    """
    found = []
    for index in range(modes if modes > 2 else modes - 1):
        first = index % 2
        count = (modes - first) // 2
        found.append(Layer(first, count, start))
        start += count
    return tuple(found)


def interferometers(modes: int) -> int:
    """N (N - 1) / 2."""
    return modes * (modes - 1) // 2


def turn(phase: Tensor) -> Tensor:
    """e^{i phase}."""
    return torch.complex(phase.cos(), phase.sin())
