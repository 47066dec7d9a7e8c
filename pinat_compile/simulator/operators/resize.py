"""Operators that resample an image.

Resize is separable: along each axis an output is a weighted sum of a few inputs (its taps), whose places and weights
follow from sizes and attributes alone.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from pinat_compile.errors import GraphError
from pinat_compile.graph.ops import resize as ops
from pinat_compile.graph.ops.base import Op
from pinat_compile.simulator.operators.base import Executor, Operands, Outputs, integers, operand, optional

Taps = tuple[Tensor, Tensor]
"""Places [outputs, taps] (int64) and weights [outputs, taps] (float64)."""


def _resize(op: ops.Resize, operands: Operands) -> Outputs:
    x, roi = operand(operands, 0), optional(operands, 1)
    axes = [axis % x.ndim for axis in op.axes] or list(range(x.ndim))
    sizes, scales = _sizes(op, [x.shape[axis] for axis in axes], optional(operands, 2), optional(operands, 3))
    spans = [(0.0, 1.0)] * len(axes)
    if roi is not None and roi.numel():
        bounds = [float(value) for value in roi.tolist()]
        spans = list(zip(bounds[: len(axes)], bounds[len(axes) :], strict=True))
    for axis, size, scale, span in zip(axes, sizes, scales, spans, strict=True):
        if size == x.shape[axis] and scale == 1 and op.coordinate_transformation_mode != "tf_crop_and_resize":
            continue
        at = _coordinates(op.coordinate_transformation_mode, x.shape[axis], size, scale, span)  # [size]
        missing = ((at < 0) | (at > x.shape[axis] - 1)).reshape(-1, *[1] * (x.ndim - axis - 1))
        x = _resample(x, axis, _taps(op, at, x.shape[axis], scale))
        if op.coordinate_transformation_mode == "tf_crop_and_resize":
            x = torch.where(missing.to(x.device), torch.full_like(x, op.extrapolation_value), x)
    return (x,)


def _sizes(
    op: ops.Resize, old: list[int], scales: Tensor | None, sizes: Tensor | None
) -> tuple[list[int], list[float]]:
    """New size and scale of every axis that is resized."""
    if sizes is None or not sizes.numel():
        if scales is None or not scales.numel():
            raise GraphError("Resize has neither scales nor sizes")
        factors = [float(scale) for scale in scales.tolist()]
        return [math.floor(size * factor) for size, factor in zip(old, factors, strict=True)], factors
    new = integers(sizes)
    factors = [a / b for a, b in zip(new, old, strict=True)]
    if op.keep_aspect_ratio_policy != "stretch":
        common = min(factors) if op.keep_aspect_ratio_policy == "not_larger" else max(factors)
        factors = [common] * len(factors)
        new = [math.floor(size * common + 0.5) for size in old]
    return new, factors


def _coordinates(mode: str, old: int, new: int, scale: float, span: tuple[float, float]) -> Tensor:
    """Where in the input each output lies, [new], float64."""
    at = torch.arange(new, dtype=torch.float64)
    length = scale * old
    if mode == "half_pixel":
        return (at + 0.5) / scale - 0.5
    if mode == "asymmetric":
        return at / scale
    if mode == "align_corners":
        return at * (old - 1) / (length - 1) if length != 1 else torch.zeros_like(at)
    if mode == "pytorch_half_pixel":
        return (at + 0.5) / scale - 0.5 if length != 1 else torch.full_like(at, -0.5)
    if mode == "half_pixel_symmetric":
        return old / 2 * (1 - new / length) + (at + 0.5) / scale - 0.5
    if mode == "tf_crop_and_resize":
        width = (span[1] - span[0]) * (old - 1)
        return span[0] * (old - 1) + (at * width / (length - 1) if length != 1 else torch.full_like(at, width / 2))
    raise GraphError(f"Resize with coordinates {mode} cannot run")


def _taps(op: ops.Resize, at: Tensor, size: int, scale: float) -> Taps:
    if op.mode == "nearest":
        return _nearest(op.nearest_mode, at).clamp(0, size - 1).unsqueeze(1), torch.ones(len(at), 1)
    shrink = min(scale, 1.0) if op.antialias else 1.0
    radius = math.ceil((1 if op.mode == "linear" else 2) / shrink)
    places = at.floor().to(torch.int64).unsqueeze(1) + torch.arange(1 - radius, radius + 1)  # [size, 2 * radius]
    distance = ((at.unsqueeze(1) - places) * shrink).abs()
    weights = (1 - distance).clamp(min=0) if op.mode == "linear" else _cubic(distance, op.cubic_coeff_a)
    if op.exclude_outside:
        weights = weights * ((places >= 0) & (places < size))
    if op.exclude_outside or op.antialias:
        weights = weights / weights.sum(1, keepdim=True)
    return places.clamp(0, size - 1), weights


def _nearest(mode: str, at: Tensor) -> Tensor:
    if mode == "round_prefer_floor":
        at = (at - 0.5).ceil()
    elif mode == "round_prefer_ceil":
        at = (at + 0.5).floor()
    else:
        at = at.floor() if mode == "floor" else at.ceil()
    return at.to(torch.int64)


def _cubic(d: Tensor, a: float) -> Tensor:
    """The cubic kernel of Keys (1981) at distances ``d``."""
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return torch.where(d <= 1, near, torch.where(d < 2, far, torch.zeros_like(d)))


def _resample(x: Tensor, axis: int, taps: Taps) -> Tensor:
    places, weights = taps[0].to(x.device), taps[1]
    if places.shape[1] == 1:
        return x.index_select(axis, places[:, 0])
    shape = (-1, *[1] * (x.ndim - axis - 1))
    factors = weights.to(x.device, x.dtype if x.is_floating_point() else torch.float32)
    parts = [x.index_select(axis, places[:, i]) * factors[:, i].reshape(shape) for i in range(places.shape[1])]
    return torch.stack(parts).sum(0).to(x.dtype)


def _grid_sample(op: ops.GridSample, operands: Operands) -> Outputs:
    x, grid = operand(operands, 0), operand(operands, 1)
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(op.mode, op.mode)
    return (F.grid_sample(x, grid, mode, op.padding_mode, bool(op.align_corners)),)


EXECUTORS: dict[type[Op], Executor] = {ops.Resize: _resize, ops.GridSample: _grid_sample}
