"""Operators that resample an image."""

from __future__ import annotations

from dataclasses import dataclass

from pinat_compile.graph.ops.base import Ints, Op


@dataclass(frozen=True, slots=True)
class Resize(Op):
    """``x`` resampled; operands ``(x, roi?, scales?, sizes?)``."""

    antialias: int = 0
    axes: Ints = ()
    coordinate_transformation_mode: str = "half_pixel"
    cubic_coeff_a: float = -0.75
    exclude_outside: int = 0
    extrapolation_value: float = 0.0
    keep_aspect_ratio_policy: str = "stretch"
    mode: str = "nearest"
    nearest_mode: str = "round_prefer_floor"


@dataclass(frozen=True, slots=True)
class GridSample(Op):
    """``x`` read at the points of a grid in [-1, 1]; operands ``(x, grid)``."""

    align_corners: int = 0
    mode: str = "linear"
    padding_mode: str = "zeros"
