"""The operation that hardware performs: a matrix, held on arrays, times vectors that a window cuts from its input."""

from __future__ import annotations

from dataclasses import dataclass

from pinat_compile.graph.ops.base import Ints, Op


@dataclass(frozen=True, slots=True)
class ArrayMvm(Op):
    """``y = gain * (W v) + bias`` for every input vector ``v``; operands ``(x, gain, bias)``, gain and bias per output.

    1. No window (``kernel_shape`` is empty): the vectors are the last axis of ``x``, any number of axes before it.
    2. A window: ``x`` is ``[batch, channels, *spatial]``; a vector is what one kernel position covers, in the order
       (channel, *kernel); the output is ``[batch, outputs, *positions]``. ``pads`` holds all begins, then all ends.
    3. ``group`` > 1: input and output channels are split into as many blocks, each with its own rows and columns.
    4. ``transpose``: the matrix is driven from its columns and read at its rows (only without a window).
    """

    matrix: str
    kernel_shape: Ints = ()
    strides: Ints = ()
    pads: Ints = ()
    dilations: Ints = ()
    group: int = 1
    transpose: bool = False

    @property
    def has_window(self) -> bool:
        return bool(self.kernel_shape)
