"""Convolution, Gemm and MatMul that stay digital."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from pinat_compile.errors import GraphError
from pinat_compile.graph.ops import linear as ops
from pinat_compile.graph.ops.base import Ints, Op
from pinat_compile.graph.window import extent, resolve_pads
from pinat_compile.simulator.operators.base import Executor, Operands, Outputs, binary, operand, optional

_CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED: dict[int, Callable[..., Tensor]] = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def around(pads: Sequence[int]) -> list[int]:
    """ONNX's padding (all begins, then all ends) in the order of torch: last axis first, begin and end together."""
    axes = len(pads) // 2
    return [amount for axis in reversed(range(axes)) for amount in (pads[axis], pads[axis + axes])]


def spatial_axes(x: Tensor, table: dict[int, Callable[..., Tensor]], op: Op) -> int:
    """The number of axes after batch and channels; raises GraphError unless ``table`` has a function for it."""
    if x.ndim - 2 not in table:
        raise GraphError(f"{op.type_name()} over {x.ndim - 2} axes cannot run; 1 to 3 can")
    return x.ndim - 2


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, op: ops.Conv, *, pads: Ints | None = None) -> Tensor:
    """``op`` on ``x`` [batch, channels, *sizes] with ``weight`` [outputs, channels / groups, *kernel]."""
    axes = spatial_axes(x, _CONVOLUTIONS, op)
    strides, dilations = op.strides or (1,) * axes, op.dilations or (1,) * axes
    if pads is None:
        pads = resolve_pads(op.auto_pad, op.pads, x.shape[2:], weight.shape[2:], strides, dilations)
    same = pads[:axes]
    if same != pads[axes:]:
        x, same = F.pad(x, around(pads)), (0,) * axes
    if axes == 2 and weight.shape[2:] == (1, 1) and not any(same):
        x, strides = x[:, :, :: strides[0], :: strides[1]], (1, 1)  # see simulator.operands: torch's gradient is unsafe
    if axes == 2 and x.shape[1] == 1:
        x = x.clone(memory_format=torch.contiguous_format)  # see simulator.operands: torch is wrong in channels-last
    return _CONVOLUTIONS[axes](x, weight, bias, strides, same, dilations, op.group)


def _conv(op: ops.Conv, operands: Operands) -> Outputs:
    return (convolve(operand(operands, 0), operand(operands, 1), optional(operands, 2), op),)


def _conv_transpose(op: ops.ConvTranspose, operands: Operands) -> Outputs:
    """The full result, of which ``pads`` are cut off and to which ``output_padding`` adds."""
    x, weight, bias = operand(operands, 0), operand(operands, 1), optional(operands, 2)
    axes = spatial_axes(x, _TRANSPOSED, op)
    strides, dilations = op.strides or (1,) * axes, op.dilations or (1,) * axes
    extra = op.output_padding or (0,) * axes
    full = [
        (size - 1) * stride + cover
        for size, stride, cover in zip(x.shape[2:], strides, extent(weight.shape[2:], dilations), strict=True)
    ]
    y = _TRANSPOSED[axes](x, weight, None, strides, 0, 0, op.group, dilations)
    begins, ends = _transposed_pads(op, x.shape[2:], strides, [a + b for a, b in zip(full, extra, strict=True)])
    cut = [-begin for begin in begins] + [more - end for more, end in zip(extra, ends, strict=True)]
    y = F.pad(y, around(cut)) if any(cut) else y
    return (y if bias is None else y + bias.reshape(-1, *[1] * axes),)


def _transposed_pads(
    op: ops.ConvTranspose, sizes: Sequence[int], strides: Sequence[int], full: Sequence[int]
) -> tuple[Sequence[int], Sequence[int]]:
    """Begins and ends; worked out from the output's size where that is what the attributes give."""
    axes = len(sizes)
    wanted: Sequence[int] = op.output_shape[-axes:]
    if not wanted and op.auto_pad.startswith("SAME"):
        wanted = [size * stride for size, stride in zip(sizes, strides, strict=True)]
    if not wanted:
        pads = op.pads or (0,) * (2 * axes)
        return pads[:axes], pads[axes:]
    totals = [have - want for have, want in zip(full, wanted, strict=True)]
    small, large = [total // 2 for total in totals], [total - total // 2 for total in totals]
    return (small, large) if op.auto_pad == "SAME_UPPER" else (large, small)


def _gemm(op: ops.Gemm, operands: Operands) -> Outputs:
    a, b, c = operand(operands, 0), operand(operands, 1), optional(operands, 2)
    a = a.transpose(0, 1) if op.trans_a else a
    if op.trans_b and op.alpha == 1 and (c is None or (op.beta == 1 and c.ndim == 1)) and a.is_floating_point():
        return (F.linear(a, b, c),)
    y = torch.matmul(a, b.transpose(0, 1) if op.trans_b else b)
    y = y if op.alpha == 1 else y * op.alpha
    if c is None:
        return (y,)
    return (y + (c if op.beta == 1 else c * op.beta),)


EXECUTORS: dict[type[Op], Executor] = {
    ops.Conv: _conv,
    ops.ConvTranspose: _conv_transpose,
    ops.Gemm: _gemm,
    ops.MatMul: binary(torch.matmul),
}
