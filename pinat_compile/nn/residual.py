"""The stochastic residual layer: x' = phi(Combine(skip(x), F_noisy(x)))."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from pinat_compile.errors import OptionError


class StochasticResidual(nn.Module):
    """phi(Combine(skip(x), body(x))): ``body`` is what stands on arrays (analog layers, and what is between them).

    ``combine``: ``add`` (body and skip of one shape) or ``concat`` along ``axis``. ``skip``: ``None`` for the exact
    identity; an analog layer gives it noise of its own. ``activation``: phi, ``None`` for none. A compiled graph of
    this form is recognised again (`pinat_compile.training.residual`).
    """

    def __init__(
        self,
        body: nn.Module,
        *,
        combine: Literal["add", "concat"] = "add",
        skip: nn.Module | None = None,
        activation: nn.Module | None = None,
        axis: int = 1,
    ) -> None:
        super().__init__()
        if combine not in ("add", "concat"):
            raise OptionError(f"StochasticResidual: combine = {combine!r}", hint="add or concat")
        self.body = body
        self.skip = nn.Identity() if skip is None else skip
        self.activation = nn.Identity() if activation is None else activation
        self.combine = combine
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        sides = self.skip(x), self.body(x)
        together = sides[0] + sides[1] if self.combine == "add" else torch.cat(sides, dim=self.axis)
        found: Tensor = self.activation(together)
        return found
