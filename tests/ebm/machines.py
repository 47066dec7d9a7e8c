"""Small machines for the tests."""

from __future__ import annotations

import torch

from pinat_compile.ebm.rbm import Rbm


def machine(visible: int, hidden: int, size: float = 1.0, seed: int = 0) -> Rbm:
    """Gaussian weights and biases of that deviation."""
    source = torch.Generator().manual_seed(seed)
    w, b, c = (size * torch.randn(shape, generator=source) for shape in ((visible, hidden), (visible,), (hidden,)))
    return Rbm(w, b, c)


def bars(samples: int, side: int = 3, seed: int = 0) -> torch.Tensor:
    """Binary images [samples, side * side] whose rows, or whose columns, are all on or all off."""
    source = torch.Generator().manual_seed(seed)
    lines = (torch.rand(samples, side, generator=source) < 0.5).float()
    images = lines[:, :, None].expand(samples, side, side)
    turned = torch.rand(samples, generator=source) < 0.5
    return torch.where(turned[:, None, None], images, images.mT).reshape(samples, side * side)
