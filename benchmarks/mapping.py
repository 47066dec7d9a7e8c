"""Map and cost the nine ImageNet topologies of the onnx package on two boards; time against size.

    python benchmarks/mapping.py > benchmarks/results/mapping.csv

Boards: one `isaac` chip (16,128 arrays) and a chip of 144 cores of 64 arrays of the same kind (9,216). Networks larger
than that are written anew in every inference: rounds, energy and time of that, and how long devices last. Weights are
the package's dummies; calibration inputs are random. Seconds: planning (without import and calibration) and costing.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from time import process_time

import onnx

from pinat_compile.compiler.build import compile
from pinat_compile.compiler.costs import estimate
from pinat_compile.compiler.summary import report_document

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
BOARDS = {
    "isaac": [],
    "144 x 64": ["chip.arrays_per_core=64", "chip.cores_per_tile=1", "chip.tiles=144"],
}
COLUMNS = ("network", "board", "weights", "arrays", "capacity", "rounds", "write_mj", "reload_mj", "latency_ms",
           "interval_ms", "lifetime_h", "compile_s", "cost_s")  # fmt: skip


def row(path: Path, board: str, overrides: list[str]) -> list[str]:
    begun = process_time()
    compiled = compile(path, "isaac", overrides=overrides)
    planned = process_time()
    document = report_document(compiled, costs=estimate(compiled))
    costed = process_time()
    totals, schedule = document["totals"], document["schedule"]
    weights = sum(matrix.weights for matrix in compiled.graph.matrices.values())
    lifetime = schedule["lifetime_s"]
    numbers = (
        1e3 * totals["write_energy_j"],
        1e3 * (totals["energy_j"]["reload"] or 0.0),
        1e3 * totals["latency_s"],
        1e3 * totals["interval_s"],
        planned - begun,
        costed - planned,
    )
    energies, seconds = ([f"{number:.3g}" for number in part] for part in (numbers[:4], numbers[4:]))
    lasts = "" if lifetime is None else f"{lifetime / 3600:.3g}"
    counts = (weights, totals["arrays"], schedule["capacity"], schedule["rounds"])
    return [path.stem.removeprefix("light_"), board, *map(str, counts), *energies, lasts, *seconds]


def main() -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    for path in sorted(LIGHT.glob("light_*.onnx")):
        for board, overrides in BOARDS.items():
            writer.writerow(row(path, board, overrides))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
