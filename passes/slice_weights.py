"""Decide how a weight becomes cells: its integer range, its slices, its devices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pinat_compile.graph import Cells, Graph
from pinat_compile.hardware.schema import Target
from pinat_compile.passes.base import MatrixPass


@dataclass(frozen=True)
class SliceWeights(MatrixPass):
    """Give every matrix its cells, from the target's ``weights`` and ``cell``.

        weights.bits = 5, cell.bits = 4     ==>     -15…15: a sign and one slice of 4 bits on a pair of devices
        weights.bits = 16, cell.bits = 2, bias  ==> -32768…32767: eight slices of 2 bits on one device each

    Level 0 stands at g_min, the highest level of a cell at g_max, the others in equal steps between; weights of
    fewer bits than a cell can hold make fewer levels in the same range.

    1. differential: sign and magnitude; the bits - 1 of the magnitude are cut into slices of ``cell.bits``.
       Two-sided, both devices of a pair move from the middle of the range; their difference is the same.
    2. bias, offset: weight + 2**(bits - 1), cut into slices of ``cell.bits``.
    3. No ``weights.bits``: continuous conductances, one slice, the largest weight at g_max; the parts of optics alike.
    """

    name: ClassVar[str] = "slice-weights"
    target: Target

    def plan(self, graph: Graph, name: str) -> None:
        graph.matrices[name] = graph.matrices[name].with_plan(cells=cells_of(self.target))


def cells_of(target: Target) -> Cells:
    """The cells of one weight on ``target``."""
    weights = target.weights
    if weights.bits is None:  # 3
        return Cells(weights.scheme, weight_max=1, cell_max=1, slice_bits=(1,), rounded=False)
    cell_bits = target.device.cell.bits
    total = weights.bits - 1 if weights.scheme == "differential" else weights.bits  # 1, 2
    per_cell = total if cell_bits is None else min(cell_bits, total)
    full, rest = divmod(total, per_cell)
    slice_bits = (per_cell,) * full + ((rest,) if rest else ())
    return Cells(
        weights.scheme,
        weight_max=(1 << (weights.bits - 1)) - 1,
        cell_max=(1 << per_cell) - 1,
        slice_bits=slice_bits,
        flip=weights.flip,
        two_sided=weights.two_sided,
    )
