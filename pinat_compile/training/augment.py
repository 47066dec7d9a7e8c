"""Augmentation of images while training: mirrored, shifted; drawn by step, so that a resumed run sees the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from pinat_compile.errors import DataError
from pinat_compile.physics.randomness import Key, generator

SHIFT = 2
"""Pixels that an image moves, at most, to each side."""


def augmented(inputs: Mapping[str, Tensor], kinds: Sequence[str], key: Key) -> dict[str, Tensor]:
    """Every input [n, channels, height, width] with half of its images mirrored, and shifted into a border of zeros."""
    if not kinds:
        return dict(inputs)
    source = generator(key)
    return {name: _augmented(name, x, kinds, source) for name, x in inputs.items()}


def _augmented(name: str, x: Tensor, kinds: Sequence[str], source: torch.Generator) -> Tensor:
    if x.ndim != 4 or not x.is_floating_point():
        raise DataError(
            f"fine-tuning: augment = {', '.join(kinds)}: input {name!r} {list(x.shape)} is not images [n, c, h, w]",
            hint="leave augment out",
        )
    n, _, height, width = x.shape
    rows, cols = (torch.arange(size) + SHIFT for size in (height, width))
    shift = torch.randint(-SHIFT, SHIFT + 1, (2, n, 1), generator=source) * ("shift" in kinds)
    mirrored = (torch.rand(n, 1, generator=source) < 0.5) & ("mirror" in kinds)
    down = rows + shift[0]  # [n, height]
    right = torch.where(mirrored, cols.flip(0), cols) + shift[1]  # [n, width]
    padded = F.pad(x, (SHIFT,) * 4).permute(0, 2, 3, 1)  # [n, height, width, channels]
    picked = padded[torch.arange(n)[:, None, None], down[:, :, None], right[:, None, :]]
    return picked.permute(0, 3, 1, 2).contiguous()
