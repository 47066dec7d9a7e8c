"""The draws of one optical chip."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pinat_compile.physics import randomness
from pinat_compile.physics.randomness import Key


@dataclass(frozen=True, slots=True)
class OpticalChip:
    """Deviations that are fixed for a chip: ``key`` names chip and matrix, ``severity`` multiplies them all."""

    key: Key
    severity: float = 1.0
    temperature_k: float = 300.0

    def normal(self, role: str, shape: tuple[int, ...], sigma: float | None) -> Tensor | None:
        """Normal deviations of that role; ``None`` where there are none."""
        if not sigma or self.severity == 0.0:
            return None
        return randomness.normal(self.key.at(role), shape) * (sigma * self.severity)
