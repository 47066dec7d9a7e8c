"""Operators that normalise: batch, layer, instance and group normalisation."""

from __future__ import annotations

from dataclasses import dataclass

from pinat_compile.graph.ops.base import Op


@dataclass(frozen=True, slots=True)
class BatchNormalization(Op):
    """``scale * (x - mean) / sqrt(var + epsilon) + B`` of ``(x, scale, B, mean, var)``, per channel (axis 1)."""

    epsilon: float = 1e-5
    momentum: float = 0.9
    training_mode: int = 0
