"""Pooling over windows and over whole planes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pinat_compile.graph.ops import pooling as ops
from pinat_compile.graph.ops.base import Ints, Op
from pinat_compile.graph.window import extent, positions, resolve_pads
from pinat_compile.simulator.operators.base import Executor, Operands, Outputs, operand, unary
from pinat_compile.simulator.operators.linear import around, spatial_axes

_MAX: dict[int, Callable[..., Tensor]] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE: dict[int, Callable[..., Tensor]] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
_SUM: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}

Pool = ops.MaxPool | ops.AveragePool | ops.LpPool


@dataclass(frozen=True, slots=True)
class _Window:
    """The window of a pooling operator over one image; ``reach`` is how far the last position goes over the end."""

    sizes: Ints
    kernel: Ints
    strides: Ints
    dilations: Ints
    pads: Ints
    reach: Ints

    @classmethod
    def of(cls, op: Pool, sizes: Sequence[int]) -> _Window:
        axes = len(op.kernel_shape)
        strides, dilations = op.strides or (1,) * axes, op.dilations or (1,) * axes
        pads = resolve_pads(op.auto_pad, op.pads, sizes, op.kernel_shape, strides, dilations)
        ceil = bool(op.ceil_mode) and op.auto_pad in ("NOTSET", "VALID")
        counts = positions(sizes, op.kernel_shape, strides, dilations, pads, ceil_mode=ceil)
        needs = [
            (count - 1) * stride + cover
            for count, stride, cover in zip(counts, strides, extent(op.kernel_shape, dilations), strict=True)
        ]
        reach = tuple(
            max(n - (s + b + e), 0) for n, s, b, e in zip(needs, sizes, pads[:axes], pads[axes:], strict=True)
        )
        return cls(tuple(sizes), op.kernel_shape, strides, dilations, pads, reach)

    @property
    def axes(self) -> int:
        return len(self.kernel)

    @property
    def equal_pads(self) -> bool:
        """Whether torch's own padding will do: the same on both sides and at most half a kernel."""
        begins = self.pads[: self.axes]
        small = all(2 * pad <= size for pad, size in zip(begins, self.kernel, strict=True))
        return begins == self.pads[self.axes :] and not any(self.reach) and small

    @property
    def all_pads(self) -> Ints:
        """The padding with what the last position reaches over it."""
        ends = [end + over for end, over in zip(self.pads[self.axes :], self.reach, strict=True)]
        return (*self.pads[: self.axes], *ends)


def _max_pool(op: ops.MaxPool, operands: Operands) -> Outputs:
    x = operand(operands, 0)
    axes, window = spatial_axes(x, _MAX, op), _Window.of(op, x.shape[2:])
    if not x.is_floating_point():
        return (_max_pool(op, [x.to(torch.float64)])[0].to(x.dtype),)
    pads: Ints = window.pads[:axes]
    if not window.equal_pads:
        x, pads = F.pad(x, around(window.all_pads), value=-math.inf), (0,) * axes
    return (_MAX[axes](x, window.kernel, window.strides, pads, window.dilations),)


def _max_pool_indices(op: ops.MaxPool, operands: Operands) -> Outputs:
    """Also the position of each maximum in the flat ``x``; ``storage_order`` 1 counts each plane by columns."""
    x = operand(operands, 0)
    axes, window = spatial_axes(x, _MAX, op), _Window.of(op, x.shape[2:])
    padded = F.pad(x.to(torch.float64), around(window.all_pads), value=-math.inf)
    values, flat = _MAX[axes](padded, window.kernel, window.strides, 0, window.dilations, return_indices=True)
    columns = torch.unravel_index(flat, tuple(padded.shape[2:]))
    places = [column - pad for column, pad in zip(columns, window.pads, strict=False)]
    order = range(axes) if not op.storage_order else reversed(range(axes))
    index = torch.zeros_like(flat)
    for axis in order:
        index = index * x.shape[2 + axis] + places[axis]
    planes = torch.arange(x.shape[0] * x.shape[1], device=x.device).reshape(*x.shape[:2], *[1] * axes)
    return values.to(x.dtype), index + planes * math.prod(x.shape[2:])


def _window_sums(x: Tensor, window: _Window, pads: Ints) -> Tensor:
    """The sum of every window of ``x`` [batch, channels, *sizes], padded with zeros."""
    planes = F.pad(x, around(pads)).flatten(0, 1).unsqueeze(1)
    ones = torch.ones(1, 1, *window.kernel, dtype=x.dtype, device=x.device)
    sums = _SUM[window.axes](planes, ones, None, window.strides, 0, window.dilations)
    return sums.reshape(*x.shape[:2], *sums.shape[2:])


def _average_pool(op: ops.AveragePool, operands: Operands) -> Outputs:
    x = operand(operands, 0)
    axes, window = spatial_axes(x, _AVERAGE, op), _Window.of(op, x.shape[2:])
    if window.equal_pads and set(window.dilations) == {1}:
        pads = window.pads[:axes]
        return (_AVERAGE[axes](x, window.kernel, window.strides, pads, False, bool(op.count_include_pad)),)
    inside = torch.ones(1, 1, *x.shape[2:], dtype=x.dtype, device=x.device)
    if op.count_include_pad:
        inside = F.pad(inside, around(window.pads), value=1)
        beyond: Ints = (*[0] * axes, *window.reach)
    else:
        beyond = window.all_pads
    return (_window_sums(x, window, window.all_pads) / _window_sums(inside, window, beyond),)


def _lp_pool(op: ops.LpPool, operands: Operands) -> Outputs:
    x = operand(operands, 0)
    window = _Window.of(op, x.shape[2:])
    return (_window_sums(x.abs() ** op.p, window, window.all_pads) ** (1 / op.p),)


def _planes(x: Tensor) -> tuple[int, ...]:
    return tuple(range(2, x.ndim))


def _global_max(x: Tensor) -> Tensor:
    return x.amax(_planes(x), keepdim=True)


def _global_average(x: Tensor) -> Tensor:
    return x.mean(_planes(x), keepdim=True)


def _global_lp(op: ops.GlobalLpPool, operands: Operands) -> Outputs:
    x = operand(operands, 0)
    return ((x.abs() ** op.p).sum(_planes(x), keepdim=True) ** (1 / op.p),)


EXECUTORS: dict[type[Op], Executor] = {
    ops.MaxPool: _max_pool,
    ops.AveragePool: _average_pool,
    ops.LpPool: _lp_pool,
    ops.GlobalMaxPool: unary(_global_max),
    ops.GlobalAveragePool: unary(_global_average),
    ops.GlobalLpPool: _global_lp,
}

ALL_OUTPUTS: dict[type[Op], Executor] = {ops.MaxPool: _max_pool_indices}
