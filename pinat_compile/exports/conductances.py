"""Conductances of every physical array, to program a chip with: NumPy, CSV, and an index that says what is what.

    index.json             what the arrays hold, and where each tile of each matrix stands
    array_<number>.npy     float32 [rows, cols] in µS; cells that hold no weight stand at g_min
    array_<number>.csv     array,row,col,g_us of the devices that hold weights

The weight of row r and output c of a region is, in weight steps,

    sum over slices of slice_weight * (level[plus] - level[minus]),    level = (g - g_min) / (g_max - g_min) * cell_max

with its devices in row ``first_row + r`` and columns ``first_col + c * col_step + device`` of the slice's entry; in the
bias scheme it is sum(slice_weight * level) - (weight_max + 1), where the levels of a flipped column are cell_max -
level; in the offset scheme sum(slice_weight * (level - level[reference_col])), the reference's in the same row.
Times ``weight_scale`` of its output it is the weight itself.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pinat_compile import __version__
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.places import obstacle
from pinat_compile.errors import OptionError
from pinat_compile.exports.arrays import PhysicalArray, Placed, matrices_with_layers, physical_arrays
from pinat_compile.graph import Matrix
from pinat_compile.simulator.conditions import Conditions

SCHEMA = "pinat-conductances/1"
INDEX = "index.json"
ORIENTATION = "row 0 is next to the sense amplifiers, column 0 next to the word lines' drivers"


def write_conductances(compiled: Compiled, folder: str | Path, conditions: Conditions | None = None) -> Path:
    """Write the arrays of ``compiled`` into ``folder``: their targets, or what the chip of ``conditions`` holds.

    The folder appears whole or not at all; one that this function made is replaced. Raises OptionError.
    """
    folder = Path(folder)
    check_conductances(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".pinat-", dir=folder.parent))
        try:
            _fill(aside, compiled, conditions)
            aside.chmod(0o755)
            if folder.is_dir():
                _remove_ours(folder)
            os.replace(aside, folder)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
    except OSError as error:
        raise _refused(folder, f"cannot be written: {error.strerror}", "check space and rights") from None
    return folder


def check_conductances(folder: Path) -> None:
    """OptionError where `write_conductances` could not write."""
    if reason := obstacle(folder):
        raise _refused(folder, f"cannot be written: {reason}")
    if folder.is_symlink():
        raise _refused(folder, "is a link")
    if folder.is_dir() and any(folder.iterdir()) and not _is_ours(folder):
        raise _refused(folder, "holds files that this export did not make")


def _refused(folder: Path, reason: str, hint: str = "name another folder, or empty it yourself") -> OptionError:
    return OptionError(f"--conductances {folder}: {reason}", hint=hint)


def _is_ours(folder: Path) -> bool:
    """Whether the folder holds what its index names, and nothing else."""
    try:
        document = json.loads((folder / INDEX).read_bytes())
        names = {INDEX, *(entry[key] for entry in document["arrays"] for key in ("npy", "csv"))}
        return document["schema"] == SCHEMA and names == {path.name for path in folder.iterdir()}
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False


def _remove_ours(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def _fill(folder: Path, compiled: Compiled, conditions: Conditions | None) -> None:
    arrays = [_write_array(folder, array, compiled) for array in physical_arrays(compiled, conditions)]
    document = {**_head(compiled, conditions), "arrays": arrays}
    (folder / INDEX).write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", "utf-8")


def _head(compiled: Compiled, conditions: Conditions | None) -> dict[str, Any]:
    target, held = compiled.target, None
    if conditions is not None and conditions.chip is not None:
        held = {
            "chip": conditions.chip,
            "time_s": conditions.time_s,
            "temperature_k": conditions.temperature_k,
            "severity": conditions.severity,
        }
    return {
        "schema": SCHEMA,
        "tool_version": __version__,
        "model": compiled.name,
        "target": target.name,
        "unit": "uS",
        "held_by": held,
        "orientation": ORIENTATION,
        "rows": target.array.rows,
        "cols": target.array.cols,
        "g_min_us": target.device.cell.g_min_us,
        "g_max_us": target.device.cell.g_max_us,
        "matrices": {
            name: _matrix(compiled, compiled.graph.matrices[name], layer)
            for name, layer in matrices_with_layers(compiled).items()
        },
    }


def _matrix(compiled: Compiled, matrix: Matrix, layer: str) -> dict[str, Any]:
    cells, ranges = matrix.cells, matrix.ranges
    assert cells is not None and ranges is not None
    return {
        "layer": layer,
        "rows": matrix.rows,
        "cols": matrix.cols,
        "groups": matrix.groups,
        "scheme": cells.scheme,
        "devices": ["plus", "minus"] if cells.devices == 2 else ["single"],
        "slice_weights": list(cells.slice_weights),
        "weight_max": cells.weight_max,
        "cell_max": cells.cell_max,
        "weight_scale": [float(value) for value in compiled.graph.tensors[ranges.weight_scale]],
    }


def _write_array(folder: Path, array: PhysicalArray, compiled: Compiled) -> dict[str, Any]:
    """Write one array; returns what the index says of it."""
    stem = f"array_{array.number:04d}"
    np.save(folder / f"{stem}.npy", array.g_us, allow_pickle=False)
    (folder / f"{stem}.csv").write_text(_csv(array), "ascii")
    tiles = [tile for placed in array.placed for tile in _tiles(placed, compiled.graph.matrices[placed.region.matrix])]
    return {"array": array.number, "npy": f"{stem}.npy", "csv": f"{stem}.csv", "tiles": tiles}


def _csv(array: PhysicalArray) -> str:
    rows, cols = np.nonzero(array.used)
    text = io.StringIO("array,row,col,g_us\n")
    text.seek(0, io.SEEK_END)
    for row, col, g_us in zip(rows.tolist(), cols.tolist(), array.g_us[rows, cols].tolist(), strict=True):
        text.write(f"{array.number},{row},{col},{g_us:.9g}\n")
    return text.getvalue()


def _tiles(placed: Placed, matrix: Matrix) -> Iterator[dict[str, Any]]:
    """What the index says of a region, slice by slice."""
    region, cells = placed.region, matrix.cells
    assert cells is not None
    for part in range(cells.slices):
        yield {
            "id": region.tile_id(part),
            "matrix": matrix.name,
            "row_range": list(region.rows),
            "col_range": list(region.cols),
            "slice": part,
            "first_row": region.first_row,
            "first_col": int(region.device_columns(cells)[0, part, 0]),
            "col_step": cells.cells_per_weight,
            "reference_col": int(region.reference_columns(cells)[part]) if cells.reference_columns else None,
            "flipped": None if placed.flipped is None else np.flatnonzero(placed.flipped[part]).tolist(),
        }
