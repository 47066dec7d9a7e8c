"""What a compiled network is and costs, as plain JSON values: the report document and the list of tiles.

The document is schema "pinat-report/1" (docs/guide/read_the_report.md). A figure that does not apply or was not
computed is ``None``, never 0. Views of it (terminal, HTML) stand in ``reporting``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.costs import costed_sizes, estimate
from pinat_compile.compiler.guidance import suggestions
from pinat_compile.compiler.regions import regions_of
from pinat_compile.cost import Cost, LayerCost, NetworkCost
from pinat_compile.cost.provenance import assumptions
from pinat_compile.graph import Cut, Matrix, Node
from pinat_compile.graph.arrays import count_arrays, owned_arrays, rounds
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.hardware.schema import Target
from pinat_compile.hardware.writer import dump_target

SCHEMA = "pinat-report/1"

Document = dict[str, Any]
"""Plain JSON values by key."""


def report_document(
    compiled: Compiled,
    *,
    accuracy: Mapping[str, Any] | None = None,
    with_tiles: bool = False,
    costs: NetworkCost | None = None,
) -> Document:
    """The report on ``compiled``: model, target, passes, totals, layers; ``training`` where it was fine-tuned.

    ``accuracy``: an evaluation's `to_dict`, which is put in, layer by layer too. ``with_tiles``: inline the tiles.
    ``costs``: the result of `estimate`, where it is known already.
    """
    costs = estimate(compiled) if costs is None else costs
    document: Document = {
        "schema": SCHEMA,
        "model": _model(compiled, costs),
        "target": _target(compiled.target),
        "calibration": {"source": compiled.calibration.source, "samples": compiled.calibration.samples},
        "bind": dict(compiled.options.bind),
        "costed_sizes": costed_sizes(compiled),
        "default_time_s": compiled.default_time_s,
        "passes": [asdict(record) for record in compiled.passes],
        "totals": _totals(compiled, costs),
        "schedule": _schedule(compiled, costs),
        "uncounted": _uncounted(compiled.target, costs),
        "layers": _layers(compiled, costs),
    }
    document["assumptions"] = assumptions(document, compiled.target)
    if accuracy is not None:
        document["accuracy"] = dict(accuracy)
        _take_snr(document["layers"], accuracy)
    document["suggestions"] = [asdict(found) for found in suggestions(document["layers"])]
    if with_tiles:
        document["tiles"] = list(tiles(compiled, costs=costs))
    if compiled.options.training is not None:
        document["training"] = dict(compiled.options.training)
    return document


def tiles(compiled: Compiled, *, costs: NetworkCost | None = None) -> Iterator[Document]:
    """Every tile of every matrix, slice by slice, with ranges in rows and outputs of the whole matrix."""
    costs = estimate(compiled) if costs is None else costs
    seen: set[str] = set()
    for layer in costs.layers:
        if layer.matrix is None or layer.matrix in seen:
            continue
        seen.add(layer.matrix)
        matrix = compiled.graph.matrices[layer.matrix]
        energy = None if layer.tiles is None else layer.tiles.energy_j
        yield from _tiles_of(layer.name, matrix, compiled.target, energy)


# --- model, target, totals ---


def _model(compiled: Compiled, costs: NetworkCost) -> Document:
    weights = (tensor for tensor in compiled.source.tensors.values() if tensor.dtype.kind == "f")
    return {
        "name": compiled.name,
        "sha256": compiled.options.model_sha256,
        "parameters": sum(tensor.size for tensor in weights),
        "macs": None if any(not layer.counted for layer in costs.layers) else costs.macs,
    }


def _target(target: Target) -> Document:
    return {
        "name": target.name,
        "title": target.title,
        "technology": target.technology,
        "rows": target.array.rows,
        "cols": target.array.cols,
        "precision": {"inputs": target.dac.bits, "weights": target.weights.bits, "outputs": target.adc.bits},
        "sha256": hashlib.sha256(dump_target(target).encode()).hexdigest(),
    }


def _totals(compiled: Compiled, costs: NetworkCost) -> Document:
    matrices, times = compiled.graph.matrices.values(), costs.timeline
    arrays = count_arrays(compiled.graph)
    cells = arrays * compiled.target.array.rows * compiled.target.array.cols
    used = sum(_cells_used(matrix) * matrix.replicas for matrix in matrices)
    total = costs.total
    complete = all(layer.counted for layer in costs.layers)
    per_joule = costs.macs / total.energy_total if complete and total.energy_total else None
    tops_per_watt = None if per_joule is None else 2 * per_joule * 1e-12
    return {
        "arrays": arrays,
        "cells": cells,
        "cells_used": used,
        "utilisation": used / cells if cells else None,
        "energy_j": total.energy_j,
        "write_energy_j": total.write,
        "latency_s": None if times is None else 1e-9 * times.latency_ns,
        "interval_s": None if times is None else 1e-9 * times.interval_ns,
        "area_mm2": total.area_mm2,
        "ops": 2 * costs.macs if complete else None,
        "tops_per_watt": tops_per_watt,
        "tops_per_watt_1b": _one_bit(tops_per_watt, compiled.target),
        "macs_per_joule": per_joule,
        "digital_energy_j": costs.baseline_j,
    }


def _one_bit(tops_per_watt: float | None, target: Target) -> float | None:
    """Counted in operations of one bit by one bit: times the bits of an input and of a weight."""
    if tops_per_watt is None or target.dac.bits is None or target.weights.bits is None:
        return None
    return tops_per_watt * target.dac.bits * target.weights.bits


def _schedule(compiled: Compiled, costs: NetworkCost) -> Document | None:
    """What sets the pace, and how the board is used; None where the target says nothing of it."""
    times, chip = costs.timeline, compiled.target.chip
    if chip is None:
        return None
    turns = rounds(compiled.graph)
    return {
        "pipeline": compiled.target.layout.pipeline,
        "bottleneck": None if times is None else times.bottleneck,
        "capacity": chip.capacity,
        "rounds": turns,
        "reload_s": None if times is None else 1e-9 * times.reload_ns,
        "lifetime_s": _lifetime_s(chip.endurance_writes, turns, costs),
    }


def _lifetime_s(writes: float | None, turns: int, costs: NetworkCost) -> float | None:
    """How long devices last that are written anew in every inference, one inference after the other."""
    if turns == 1 or writes is None or costs.timeline is None:
        return None
    return writes / turns * 1e-9 * costs.timeline.interval_ns


def _uncounted(target: Target, costs: NetworkCost) -> list[str]:
    """What the sums leave out: constants that the target does not give, layers whose shapes are not known."""
    leakage = ("leakage",) if target.leakage is None else target.leakage.missing()
    return [
        *costs.uncounted,
        *leakage,
        *(f"layer {layer.name}: shape not known" for layer in costs.layers if not layer.counted),
    ]


# --- layers ---


def _layers(compiled: Compiled, costs: NetworkCost) -> list[Document]:
    owned: set[str] = set()
    arrays = owned_arrays(compiled.graph)
    nodes = {node.name: node for _, node in compiled.graph.walk()}
    found = []
    for layer in costs.layers:
        own = None if layer.matrix is None else 0.0 if layer.matrix in owned else arrays[layer.matrix]
        found.append(_layer(compiled, layer, nodes[layer.name], own))
        if layer.matrix is not None:
            owned.add(layer.matrix)
    return found


def _layer(compiled: Compiled, layer: LayerCost, node: Node, own: float | None) -> Document:
    matrix = None if layer.matrix is None else compiled.graph.matrices[layer.matrix]
    cut = None if matrix is None else matrix.cut
    arrays = 0 if matrix is None else matrix.arrays
    return {
        "name": layer.name,
        "op": _original_op(compiled, node),
        "where": layer.where,
        "why": layer.why,
        "matrices": [] if matrix is None else [_matrix(compiled, matrix, layer.name)],
        "macs": layer.macs,
        "mvms": layer.mvms,
        "row_tiles": None if cut is None else cut.blocks * cut.row_tiles,
        "col_tiles": None if cut is None else cut.col_tiles,
        "slices": None if matrix is None or matrix.cells is None else matrix.cells.slices,
        "arrays": int(own) if own is not None and own.is_integer() else own,
        "arrays_touched": None if matrix is None else arrays,
        "replicas": None if matrix is None else matrix.replicas,
        "utilisation": _utilisation(matrix, compiled.target) if matrix is not None and arrays else None,
        "energy_j": layer.cost.energy_j if layer.counted else Cost().energy_j,
        "latency_s": layer.cost.latency_s,
        "area_mm2": layer.cost.area_mm2,
        "snr_db": None,
    }


def _matrix(compiled: Compiled, matrix: Matrix, layer: str) -> Document:
    users = [node.name for node in compiled.graph.users(matrix.name)]
    return {
        "name": matrix.name,
        "shape": [matrix.inputs, matrix.outputs],
        "groups": matrix.groups,
        "shared_with": [name for name in users if name != layer],
        "copy_of": matrix.copy_of,
    }


def _original_op(compiled: Compiled, node: Node) -> str:
    """The operator that the user wrote, where the node is one of theirs."""
    if isinstance(node.op, ArrayMvm) and node.name in compiled.source:
        return compiled.source.node(node.name).op.type_name()
    return node.op.type_name()


def _take_snr(layers: list[Document], accuracy: Mapping[str, Any]) -> None:
    found = {entry["name"]: entry["snr_db"] for entry in accuracy.get("per_layer") or ()}
    for layer in layers:
        layer["snr_db"] = found.get(layer["name"])


# --- cells and tiles ---


def _cells_used(matrix: Matrix) -> int:
    """Cells of one copy that hold a weight; the zeros between groups that share an array are not used."""
    return 0 if matrix.cells is None else matrix.weights * matrix.cells.cells_per_weight


def _utilisation(matrix: Matrix, target: Target) -> float:
    return _cells_used(matrix) / (matrix.tiles * target.array.rows * target.array.cols)


def _tiles_of(layer: str, matrix: Matrix, target: Target, energy: Any) -> Iterator[Document]:
    cut, cells = matrix.cut, matrix.cells
    assert cut is not None and cells is not None
    size = target.array.rows * target.array.cols
    weights = _weights_per_tile(matrix, cut)
    for region in regions_of(matrix):
        row, col = region.row_tile, region.col_tile
        for part in range(cells.slices):
            yield {
                "id": region.tile_id(part),
                "array": region.array,
                "layer": layer,
                "matrix": matrix.name,
                "row_range": list(region.rows),
                "col_range": list(region.cols),
                "slice": part,
                "utilisation": int(weights[row % cut.row_tiles, col]) * cells.devices / size,
                "energy_j": None if energy is None else float(energy[row, col, part]) / matrix.replicas,
                "snr_db": None,
            }


def _weights_per_tile(matrix: Matrix, cut: Cut) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """How many weights of one block each of its tiles holds: [row_tile, col_tile]."""
    inner = matrix.groups // cut.blocks
    rows, cols = (
        np.array([
            [_overlap(cuts[tile], cuts[tile + 1], group * size, (group + 1) * size) for group in range(inner)]
            for tile in range(len(cuts) - 1)
        ])
        for cuts, size in ((cut.row_cuts, matrix.rows), (cut.col_cuts, matrix.cols))
    )
    return np.asarray(rows @ cols.T, dtype=np.int64)  # groups stand block-diagonally


def _overlap(a: int, b: int, c: int, d: int) -> int:
    return max(0, min(b, d) - max(a, c))
