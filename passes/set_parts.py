"""Decide what the parts of optics are set to: phases, detunings, transmissions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from pinat_compile.graph import Graph
from pinat_compile.hardware.schema import Target
from pinat_compile.passes.base import MatrixPass
from pinat_compile.physics import crossbar
from pinat_compile.physics.optics.technology import technology_of
from pinat_compile.physics.tiling import Tiling, blocks_from_weight, columns_per_block, tensor_of


@dataclass(frozen=True)
class SetParts(MatrixPass):
    """Give every matrix the parameters of its tiles, which stand for its weights from here on.

        matrix @fc weights [16, 16]     ==>     parameters [1, 1, 529]: the phases of U S V^H, and a gain

    1. Weights in steps, cut into tiles, become parameters [row_tile, col_tile, count] of the target's technology. A
       factorisation is not unique: what is chosen here is what a chip is set to, and what fine-tuning trains. This is
       why they are kept in the plan, though a function of the weights: trained phases stand for weights that a second
       factorisation would give other phases, with other errors, on the same chip.
    2. Smaller tiles are filled up with zeros: all tiles of a matrix have as many parameters.
    3. On electronic arrays the weights themselves are what is set: nothing changes.
    """

    name: ClassVar[str] = "set-parts"
    target: Target

    def plan(self, graph: Graph, name: str) -> None:
        if not self.target.optical:  # 3
            return
        matrix = graph.matrices[name]
        assert matrix.ranges is not None and matrix.cut is not None and matrix.cells is not None
        blocks = blocks_from_weight(tensor_of(graph.tensors[matrix.weight]), matrix)
        scale = columns_per_block(tensor_of(graph.tensors[matrix.ranges.weight_scale]), matrix)
        tiles = Tiling(matrix.cut).split(crossbar.parameters_from_weights(blocks, scale, matrix.cells))
        tensor = graph.fresh(f"{name}.parameters")
        graph.tensors[tensor] = technology_of(self.target).parameters_from_weights(tiles).numpy().astype(np.float32)
        graph.matrices[name] = matrix.with_plan(ranges=replace(matrix.ranges, parameters=tensor))
