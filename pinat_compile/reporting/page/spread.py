"""How the weights and the conductances of each matrix are spread: counts in bins, matrix by matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from pinat_compile.compiler.compiled import Compiled
from pinat_compile.graph import Matrix
from pinat_compile.physics import crossbar
from pinat_compile.physics.tiling import blocks_from_weight, columns_per_block, tensor_of

BINS = 48

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Spread:
    """``weights``: counts of w / (the largest that its column can hold), from -1 to 1. ``conductances``: of targets,
    from ``low_us`` to ``high_us`` in µS; None where no device has a conductance."""

    weights: Counts
    conductances: Counts | None
    low_us: float = 0.0
    high_us: float = 1.0


@torch.no_grad()
def spreads(compiled: Compiled) -> dict[str, Spread]:
    """By the name of the matrix: every weight, and every device that holds a part of one."""
    return {name: _spread(compiled, matrix) for name, matrix in compiled.graph.matrices.items() if matrix.ranges}


def _spread(compiled: Compiled, matrix: Matrix) -> Spread:
    assert matrix.ranges is not None and matrix.cells is not None and matrix.cut is not None
    blocks = blocks_from_weight(tensor_of(compiled.graph.tensors[matrix.weight]), matrix)
    scale = columns_per_block(tensor_of(compiled.graph.tensors[matrix.ranges.weight_scale]), matrix)
    shares = (blocks / (scale * matrix.cells.weight_max)).clamp(-1.0, 1.0)
    if matrix.block_shape[0] != matrix.groups:
        shares = shares[shares != 0.0]  # what stands between groups is no weight
    weights = _counts(shares, -1.0, 1.0)
    if compiled.target.cell is None:
        return Spread(weights, None)
    low, high = compiled.target.cell.g_min_us, compiled.target.cell.g_max_us
    total = np.zeros(BINS, np.int64)
    for _, tiles, state in crossbar.ideal_pieces(blocks, scale, matrix.cells, compiled.target.device, matrix.cut):
        g_us = crossbar.targets_us(state)[0]  # [col_tile, slice, rows, cols, device]
        for inside, tile in enumerate(range(tiles.start, tiles.stop)):
            total += _counts(g_us[inside, :, :, : matrix.cut.tile_cols[tile]], low, high)
    return Spread(weights, total, low, high)


def _counts(values: torch.Tensor, low: float, high: float) -> Counts:
    found = torch.histc(values.float().reshape(-1), bins=BINS, min=low, max=high)
    return np.asarray(found.numpy(), dtype=np.int64)
