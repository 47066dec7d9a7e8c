"""A block of weights on phase-change cells: each weight is the difference of what two cells let through.

Incoherent: inputs are powers, 0 or more, a wavelength per row, so that nothing interferes (Feldmann et al., Nature 589,
52, 2021). Parameters of a tile are its transmissions as shares of the span from t_min to t_max: [rows * cols * 2].
"""

from __future__ import annotations

import torch
from torch import Tensor

from pinat_compile.hardware.optics import TransmissionSection
from pinat_compile.physics.converters import round_clip
from pinat_compile.physics.optics.chip import OpticalChip


def parameters_from_weights(tiles: Tensor) -> Tensor:
    """Weights in [-1, 1] [..., rows, cols] as shares [..., rows * cols * 2]; one cell of a pair stands at t_min."""
    weights = tiles.detach().clamp(-1.0, 1.0)
    pair = torch.stack((torch.relu(weights), torch.relu(-weights) + 0.0), dim=-1)
    return pair.flatten(-3)


def weights_from_parameters(parameters: Tensor, rows: int, cols: int) -> Tensor:
    """The weights [..., rows, cols] of ideal cells."""
    pair = parameters.reshape(*parameters.shape[:-1], rows, cols, 2)
    return pair[..., 0] - pair[..., 1]


def held_transmissions(
    parameters: Tensor, section: TransmissionSection, shape: tuple[int, int], chip: OpticalChip | None
) -> Tensor:
    """Transmissions [row_tile, col_tile, rows, cols, 2] as they were written: levels, then the error of each cell.

    No cell lets through less than nothing or more than all.
    """
    share = parameters.clamp(0.0, 1.0)
    if section.bits is not None:
        top = (1 << section.bits) - 1
        share = round_clip(share * top, 0, top) / top
    span = section.t_max - section.t_min
    held = section.t_min + share * span
    error = None if chip is None else chip.normal("written", tuple(held.shape), section.sigma)
    if error is not None:
        held = (held + error.to(held) * span).clamp(0.0, 1.0)
    return held.reshape(*held.shape[:-1], *shape, 2)
