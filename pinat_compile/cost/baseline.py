"""What the same network would take on digital hardware: the answer to "how much better is analog?".

The composed machine is a systolic array at the target's node and precision: every multiply-accumulate, its two operands
from a small memory that `SHARED_BY` neighbours share, weights and activations once from a large one, and the operators
that are digital on the analog chip as they are there. Energies are those of Horowitz (ISSCC 2014, figure 1.1.9), 45 nm;
they scale with the node, as PUMA's simulator does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from pinat_compile.cost.work import Work
from pinat_compile.graph.graph import Graph
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.graph.sizes import ShapeOf
from pinat_compile.hardware.schema import Target

SHARED_BY = 16
"""Multiply-accumulates that use an operand once it is read (assumption: a systolic array of 16 x 16)."""
NODE_NM = 45.0


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, its unit, and where it is from."""

    name: str
    value: float
    unit: str
    source: str


_HOROWITZ = "Horowitz, ISSCC 2014, figure 1.1.9, 45 nm, 0.9 V"
MUL_8 = Constant("int8 multiplication", 0.2, "pJ", f"{_HOROWITZ} (from memory); with the square of the bits")
ADD_32 = Constant("int32 addition", 0.1, "pJ", f"{_HOROWITZ} (from memory)")
SMALL_BYTE = Constant("byte from 8 KB of SRAM", 10.0 / 8, "pJ", f"{_HOROWITZ}: 64 bits 10 pJ")
LARGE_BYTE = Constant("byte from 1 MB of SRAM", 100.0 / 8, "pJ", f"{_HOROWITZ}: 64 bits 100 pJ")
CONSTANTS = (MUL_8, ADD_32, SMALL_BYTE, LARGE_BYTE)

DATA_SHEETS = (
    Constant("Edge TPU, int8", 2.0, "TOPS/W", "data sheet: 4 TOPS, 2 W, peak"),
    Constant("TPU v1, int8", 2.3, "TOPS/W", "data sheet, from memory: 92 TOPS, 40 W, peak"),
    Constant("A100, int8", 1.56, "TOPS/W", "data sheet, from memory: 624 TOPS dense, 400 W, peak"),
    Constant("H100 SXM, int8", 2.83, "TOPS/W", "data sheet, from memory: 1979 TOPS dense, 700 W, peak"),
)
"""Peak efficiency of digital chips, which no network reaches."""


def precision(target: Target) -> int:
    """Bits of the wider operand; 32 where one is not quantised.

    Optics holds weights without steps of their own: they count as no finer than a result that is converted.
    """
    weights = target.adc.bits if target.optical else target.weights.bits
    if target.dac.bits is None or weights is None:
        return 32
    return max(target.dac.bits, weights)


def mac_pj(bits: int, node_nm: float) -> float:
    """A multiply-accumulate with its operands from the small memory."""
    arithmetic = MUL_8.value * (bits / 8) ** 2 + ADD_32.value
    return (arithmetic + 2 * bits / 8 * SMALL_BYTE.value / SHARED_BY) * node_nm / NODE_NM


def digital_energy_j(
    graph: Graph, target: Target, shape_of: ShapeOf, found: Iterable[Work], digital_j: float
) -> float | None:
    """Joules of one sample on the composed machine; None where the target has no node, or a shape is not known.

    ``digital_j``: what the operators take that are digital on the analog chip too.
    """
    if target.chip is None or target.chip.node_nm is None:
        return None
    bits, node = precision(target), target.chip.node_nm
    total = digital_j
    for work in found:
        if not work.counted:
            return None
        if isinstance(work.node.op, ArrayMvm):
            matrix, op = graph.matrices[work.node.op.matrix], work.node
            values = sum(math.prod(shape_of(name) or ()) for name in (op.inputs[0], op.outputs[0]))
            moved = (matrix.weights + values) * bits / 8 * LARGE_BYTE.value * node / NODE_NM
            total += 1e-12 * ((work.macs or 0) * mac_pj(bits, node) + moved)
    return total
