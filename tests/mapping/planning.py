"""The mapping half of the pipeline alone, for networks whose numbers nobody runs: no calibration, no scales."""

from __future__ import annotations

from typing import Any

from pinat_compile.frontend import import_model
from pinat_compile.graph import Graph
from pinat_compile.hardware.schema import Target
from pinat_compile.passes import lowering, placing, preparing, run_passes
from pinat_compile.passes.cut_into_tiles import CutIntoTiles
from pinat_compile.passes.manager import PassRecord
from pinat_compile.passes.slice_weights import SliceWeights


def lowered(model: Any) -> Graph:
    return run_passes(import_model(model), (*preparing(), *lowering(trained={})))[0]


def mapped(graph: Graph, target: Target) -> tuple[Graph, tuple[PassRecord, ...]]:
    """``graph``, lowered, with cells, tiles and places on ``target``."""
    cut = CutIntoTiles(target.array, full=target.layout.pack)
    return run_passes(graph, (SliceWeights(target), cut, *placing(target)))


def arrays_by_layer(graph: Graph) -> dict[str, int]:
    return {name: matrix.arrays for name, matrix in graph.matrices.items()}
