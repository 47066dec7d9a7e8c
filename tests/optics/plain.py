"""Meshes as plain products of their layers' matrices, with autograd: what the fast passage is held to."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pinat_compile.physics.optics.mesh import Layer

Pair = tuple[Tensor, Tensor]


def coupler(e: Tensor) -> Tensor:
    """A beam splitter of imbalance ``e`` in rad: [..., 2, 2]."""
    through, across = torch.cos(torch.pi / 4 + e) + 0j, 1j * torch.sin(torch.pi / 4 + e)
    return torch.stack((torch.stack((through, across), -1), torch.stack((across, through), -1)), -2)


def cell(x: Tensor, phi: Tensor, imbalance: Pair | None = None, gain: Tensor | float = 1.0) -> Tensor:
    """Two couplers and two shifters, and i: [..., 2, 2]."""
    zero = torch.zeros_like(x)
    first, second = (zero, zero) if imbalance is None else imbalance
    internal = torch.diag_embed(torch.stack((torch.exp(0.5j * x), torch.exp(-0.5j * x)), -1))
    external = torch.diag_embed(torch.stack((torch.exp(1j * phi), torch.ones_like(phi) + 0j), -1))
    loss = torch.as_tensor(gain)[..., None, None]
    return 1j * loss * coupler(second) @ internal @ coupler(first) @ external


def matrix(
    path: Sequence[Layer],
    x: Tensor,
    phi: Tensor,
    behind: Tensor,
    imbalance: Pair | None = None,
    gain: Tensor | float = 1.0,
    passing: float = 1.0,
) -> Tensor:
    """As `pinat_compile.physics.optics.passage.matrix`, for tiles [tile, …]: one full matrix per layer."""
    cells, modes = cell(x, phi, imbalance, gain), behind.shape[-1]
    light = torch.eye(modes, dtype=cells.dtype).expand(len(x), modes, modes)
    for layer in path:
        made = passing * torch.eye(modes, dtype=cells.dtype).repeat(len(x), 1, 1)
        for number in range(layer.count):
            there = cells[:, layer.start + number]
            if layer.single:
                made[:, number, number] = there[:, 0, 0]
            else:
                at = slice(layer.first + 2 * number, layer.first + 2 * number + 2)
                made[:, at, at] = there
        light = made @ light
    return behind.unsqueeze(-1) * light
