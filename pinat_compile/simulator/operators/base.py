"""What the digital operators share: how operands are read, and on which device shapes are computed.

Shape arithmetic stays on the CPU, so that a network on a GPU never waits for a size to come back:

1. ``Shape`` and ``Size`` yield tensors on the CPU, and so does every operator whose operands are all there.
2. Constants of no axes, and integer constants of one axis, stay on the CPU (`stays_on_cpu`).
3. Where operands lie on different devices, those on the CPU follow to the accelerator, except the operands in
   `ON_CPU`, which only say how (a shape, an axis, a bound) and are read as numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pinat_compile.errors import GraphError
from pinat_compile.graph import ops
from pinat_compile.graph.graph import Array
from pinat_compile.graph.ops.base import Op
from pinat_compile.simulator.operators.narrow import CONTAINERS, FLOATS, from_narrow

Operands = Sequence[Tensor | None]
Outputs = tuple[Tensor, ...]
Executor = Callable[[Any, Operands], Outputs]
"""Computes the outputs of an operation from its operands; ``None`` is an absent optional one."""

DTYPES: dict[str, torch.dtype] = {
    name: getattr(torch, name)
    for name in (
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64"),
    )
} | FLOATS | CONTAINERS
"""Element types by their NumPy names."""

_REDUCTIONS = {cls: (1,) for name, cls in ops.OPS.items() if name.startswith("Reduce")}

ON_CPU: dict[type[Op], tuple[int, ...]] = {
    ops.shape.Reshape: (1,),
    ops.shape.Squeeze: (1,),
    ops.shape.Unsqueeze: (1,),
    ops.shape.Split: (1,),
    ops.shape.Expand: (1,),
    ops.shape.Tile: (1,),
    ops.shape.Pad: (1, 2, 3),
    ops.shape.Col2Im: (1, 2),
    ops.shape.Dropout: (1, 2),
    ops.indexing.Slice: (1, 2, 3, 4),
    ops.indexing.OneHot: (1,),
    ops.indexing.TopK: (1,),
    ops.indexing.Trilu: (1,),
    ops.elementwise.Clip: (1, 2),
    ops.reduction.CumSum: (1,),
    ops.resize.Resize: (1, 2, 3),
    **_REDUCTIONS,
}
"""Operands that are read as numbers."""


def stays_on_cpu(constant: Array) -> bool:
    """Whether a constant is kept on the CPU whatever the device of the network: scalars and short lists of integers."""
    return constant.ndim == 0 or (constant.ndim == 1 and constant.dtype.kind in "iu" and constant.size <= 64)


def together(op: Op, operands: Operands) -> Operands:
    """The operands on one device, rule 3 above."""
    device = next((x.device for x in operands if x is not None and x.device.type != "cpu"), None)
    if device is None:
        return operands
    stay = ON_CPU.get(type(op), ())
    return [x if x is None or i in stay else x.to(device) for i, x in enumerate(operands)]


def operand(operands: Operands, index: int) -> Tensor:
    """A required operand."""
    value = operands[index] if index < len(operands) else None
    if value is None:
        raise GraphError(f"operand {index} is missing")
    return value


def optional(operands: Operands, index: int) -> Tensor | None:
    """An optional operand, ``None`` where it is absent."""
    return operands[index] if index < len(operands) else None


def present(operands: Operands) -> list[Tensor]:
    """All operands of an operator that takes any number of them."""
    return [operand(operands, index) for index in range(len(operands))]


def integers(tensor: Tensor) -> list[int]:
    """The values of an integer tensor as numbers."""
    return [int(value) for value in tensor.reshape(-1).tolist()]


def unary(function: Callable[[Tensor], Tensor]) -> Executor:
    """An operator of one operand without attributes."""
    return lambda op, operands: (function(operand(operands, 0)),)


def binary(function: Callable[[Tensor, Tensor], Tensor]) -> Executor:
    """An operator of two operands without attributes."""
    return lambda op, operands: (function(operand(operands, 0), operand(operands, 1)),)


def in_int64(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """``function``, computed in int64 for the unsigned types that torch has no arithmetic for."""

    def run(a: Tensor, b: Tensor) -> Tensor:
        if a.dtype not in (torch.uint16, torch.uint32, torch.uint64):
            return function(a, b)
        result = function(a.to(torch.int64), b.to(torch.int64))
        return result if result.dtype == torch.bool else result.to(a.dtype)

    return run


def from_array(array: Array) -> Tensor:
    """A tensor with the values of ``array`` (copied: constants may be read-only)."""
    if array.dtype.name in FLOATS or array.dtype.name in CONTAINERS:
        return from_narrow(array)
    return torch.from_numpy(np.array(array))
