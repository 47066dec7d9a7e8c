"""Operators that normalise: batch, layer, instance and group normalisation."""

from __future__ import annotations

from dataclasses import dataclass

from pinat_compile.graph.ops.base import Ints, Op


@dataclass(frozen=True, slots=True)
class BatchNormalization(Op):
    """``scale * (x - mean) / sqrt(var + epsilon) + B`` of ``(x, scale, B, mean, var)``, per channel (axis 1)."""

    epsilon: float = 1e-5
    momentum: float = 0.9
    training_mode: int = 0


@dataclass(frozen=True, slots=True)
class LayerNormalization(Op):
    """``x`` normalised over the axes from ``axis`` on, times scale plus bias; operands ``(x, scale, bias?)``."""

    axis: int = -1
    epsilon: float = 1e-5
    stash_type: int = 1


@dataclass(frozen=True, slots=True)
class InstanceNormalization(Op):
    """``x`` normalised per sample and channel, times scale plus bias; operands ``(x, scale, bias)``."""

    epsilon: float = 1e-5


@dataclass(frozen=True, slots=True)
class GroupNormalization(Op):
    """``x`` normalised per sample and group of channels; operands ``(x, scale, bias)``, one per group."""

    num_groups: int
    epsilon: float = 1e-5


@dataclass(frozen=True, slots=True)
class LRN(Op):
    """``x / (bias + alpha / size * s) ** beta``, ``s`` the sum of squares over ``size`` neighbouring channels."""

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    bias: float = 1.0


@dataclass(frozen=True, slots=True)
class LpNormalization(Op):
    """``x`` divided by its p-norm along ``axis``."""

    axis: int = -1
    p: int = 2


@dataclass(frozen=True, slots=True)
class MeanVarianceNormalization(Op):
    """``x`` normalised over ``axes``: mean 0, variance 1."""

    axes: Ints = (0, 2, 3)
