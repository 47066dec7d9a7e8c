"""How weights, conductances and activations of a compiled network are spread, as shares of bins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from pinat_compile.compiler.compiled import Compiled
from pinat_compile.frontend.calibration import spread
from pinat_compile.physics import crossbar
from pinat_compile.simulator.arrays import ArrayMatrix

HISTOGRAM_COLUMNS = ("target", "mode", "method", "when", "kind", "low", "high", "share")
BINS = 41
SAMPLE = 512
"""Input vectors of each matrix."""


@torch.no_grad()
def histograms(compiled: Compiled) -> Iterator[dict[str, Any]]:
    """Rows of kind weight (u, of what the plan lets a weight be), conductance (g / g_max) and activation (x / range).

    Every cell of every matrix counts once; activations are the calibration's inputs of the original network.
    """
    ideal = compiled.simulator(noise=False)
    weights, conductances, activations = [], [], []
    for name, matrix in ideal.graph.matrices.items():
        arrays: ArrayMatrix = ideal.arrays(name)
        weights.append((arrays.steps(ideal.value) / arrays.cells.weight_max).flatten())
        if compiled.target.cell is not None:
            state = arrays.state(ideal.value, ideal.conditions)
            conductances.append((crossbar.targets_us(state) / compiled.target.cell.g_max_us).flatten())
        known = compiled.calibration.matrices.get(name)
        if known is not None and matrix.ranges is not None and matrix.ranges.dac_range is not None:
            full = float(ideal.value(matrix.ranges.dac_range))
            activations.append(torch.from_numpy(np.array(spread(known.vectors, SAMPLE))).flatten() / full)
    for kind, values, low in (
        ("weight", weights, -1.0), ("conductance", conductances, 0.0), ("activation", activations, -1.0),
    ):
        if values:
            yield from _shares(kind, torch.cat(values).clamp(low, 1.0).numpy(), low)


def _shares(kind: str, values: Any, low: float) -> Iterator[dict[str, Any]]:
    counts, edges = np.histogram(values, bins=BINS, range=(low, 1.0))
    for count, first, last in zip(counts, edges, edges[1:], strict=False):
        yield {"kind": kind, "low": round(float(first), 6), "high": round(float(last), 6),
               "share": float(count) / len(values)}
