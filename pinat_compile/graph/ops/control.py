"""Operators that run graphs of their own: the regions of their node."""

from __future__ import annotations

from dataclasses import dataclass

from pinat_compile.graph.ops.base import Ints, Op


@dataclass(frozen=True, slots=True)
class If(Op):
    """One of two regions, which take nothing: the first where the operand holds, else the second."""


@dataclass(frozen=True, slots=True)
class Loop(Op):
    """A region repeated; operands ``(trips?, condition?, *carried)``.

    The region takes ``(iteration, condition, *carried)`` and gives ``(condition, *carried, *collected)``; what is
    collected is stacked along a new first axis.
    """


@dataclass(frozen=True, slots=True)
class Scan(Op):
    """A region run for each slice of the last ``num_scan_inputs`` operands; operands ``(*carried, *scanned)``.

    The region takes ``(*carried, *slices)`` and gives ``(*carried, *collected)``; directions: 0 forward, 1 backward.
    """

    num_scan_inputs: int
    scan_input_axes: Ints = ()
    scan_input_directions: Ints = ()
    scan_output_axes: Ints = ()
    scan_output_directions: Ints = ()


REGIONS: dict[type[Op], tuple[str, ...]] = {
    If: ("then_branch", "else_branch"),
    Loop: ("body",),
    Scan: ("body",),
}
"""ONNX's names of the regions, in the order in which a node has them."""
