"""Rectangular meshes of Mach-Zehnder interferometers: where they stand, and the matrix that their phases make.

A mesh of N modes has N layers; in even layers interferometers couple modes (0, 1), (2, 3), …, in odd ones (1, 2),
(3, 4), … (Clements et al., Optica 3, 1460, 2016). Light passes layer 0 first. Phases are flat, layer by layer, top to
bottom: [..., N (N - 1) / 2].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

Entries = tuple[Tensor, Tensor, Tensor, Tensor]
"""The elements (00, 01, 10, 11) of 2x2 transfer matrices."""


@dataclass(frozen=True, slots=True)
class Layer:
    """``count`` interferometers side by side, from mode ``first`` on; ``start``: the flat index of the top one."""

    first: int
    count: int
    start: int


@lru_cache(maxsize=64)
def layers(modes: int) -> tuple[Layer, ...]:
    """The layers of a mesh: ``modes`` of them, one where there are two modes, none where there is one."""
    found, start = [], 0
    for index in range(modes if modes > 2 else modes - 1):
        first = index % 2
        count = (modes - first) // 2
        found.append(Layer(first, count, start))
        start += count
    return tuple(found)


def interferometers(modes: int) -> int:
    """N (N - 1) / 2."""
    return modes * (modes - 1) // 2


def cell(x: Tensor, phi: Tensor, imbalance: tuple[Tensor, Tensor] | None = None) -> Entries:
    """An interferometer with internal phase ``x`` and external phase ``phi`` (rad), at the input of its upper arm.

    i B(e2) diag(e^{ix/2}, e^{-ix/2}) B(e1) diag(e^{i phi}, 1) with couplers B(e) = [[cos(pi/4 + e), i sin(pi/4 + e)],
    [i sin(pi/4 + e), cos(pi/4 + e)]]; ``imbalance``: (e1, e2) in rad. The factor i belongs to the cell: waveguides that
    pass a layer by are matched to it. Multiplied out, with S = e1 + e2, D = e1 - e2:

        [[-i sin S cos(x/2) - cos D sin(x/2), -cos S cos(x/2) - i sin D sin(x/2)],
         [-cos S cos(x/2) + i sin D sin(x/2), -i sin S cos(x/2) + cos D sin(x/2)]] diag(e^{i phi}, 1)
    """
    cosine, sine = torch.cos(x / 2), torch.sin(x / 2)
    turned = torch.polar(torch.ones_like(phi), phi)
    if imbalance is None:
        zero = torch.zeros_like(sine)
        return -sine * turned, torch.complex(-cosine, zero), -cosine * turned, torch.complex(sine, zero)
    total, difference = imbalance[0] + imbalance[1], imbalance[0] - imbalance[1]
    leaks, crosses = -total.sin() * cosine, -total.cos() * cosine
    skew, stays = difference.sin() * sine, difference.cos() * sine
    return (
        torch.complex(-stays, leaks) * turned,
        torch.complex(crosses, -skew),
        torch.complex(crosses, skew) * turned,
        torch.complex(stays, leaks),
    )


def transfer(entries: Entries, modes: int, gain: Tensor | None = None, passing: float = 1.0) -> Tensor:
    """The matrix of meshes [..., modes, modes] (output, input) from their cells, each [..., N (N - 1) / 2].

    ``gain`` [..., N (N - 1) / 2]: the field factor of each interferometer's loss; ``passing``: of a waveguide that
    passes a layer by. N layers of pairwise products, O(N^3) for a whole matrix; differentiable.
    """
    *shape, count = entries[0].shape
    tiles = math.prod(shape)
    if gain is not None:
        entries = (entries[0] * gain, entries[1] * gain, entries[2] * gain, entries[3] * gain)
    flat = [entry.reshape(tiles, count).T.contiguous() for entry in entries]  # [interferometer, tile]
    field = torch.eye(modes, dtype=entries[0].dtype, device=entries[0].device)
    field = field[:, :, None].expand(modes, modes, tiles)  # [mode, input, tile]
    for layer in layers(modes):
        field = _through(layer, flat, field, passing)
    return field.permute(2, 0, 1).reshape(*shape, modes, modes)


def _through(layer: Layer, cells: list[Tensor], field: Tensor, passing: float) -> Tensor:
    """``field`` [mode, input, tile] behind one layer."""
    end = layer.first + 2 * layer.count
    pairs = field[layer.first : end].reshape(layer.count, 2, *field.shape[1:])
    upper, lower = pairs[:, 0], pairs[:, 1]  # [pair, input, tile]
    m00, m01, m10, m11 = (entry[layer.start : layer.start + layer.count, None] for entry in cells)
    coupled = torch.stack((m00 * upper + m01 * lower, m10 * upper + m11 * lower), dim=1).flatten(0, 1)
    if layer.first == 0 and end == field.shape[0]:
        return coupled
    around = (field[: layer.first], field[end:])
    if passing != 1.0:
        around = (around[0] * passing, around[1] * passing)
    return torch.cat((around[0], coupled, around[1]))
