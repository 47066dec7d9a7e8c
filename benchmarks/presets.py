"""One network on the presets of published designs, beside each other.

    python benchmarks/presets.py > benchmarks/results/presets.csv

The shipped ResNet-8 (9.3 million multiply-accumulates), calibrated with shipped images, one copy of every layer.
Energies per image in microjoules, split as the report splits them; the last line is the digital machine at the node and
precision of each.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from pinat_compile.cost.value import COMPONENTS
from pinat_compile.evaluation import compare

MODEL = Path(__file__).parents[1] / "examples" / "resnet8_fashion_mnist.onnx"
TARGETS = ("isaac", "puma", "raella", "reram_128x128", "neurram_256x256", "hermes_256x256", "albireo",
           "photonic_mrr_32x32")  # fmt: skip


def table() -> list[list[str]]:
    """Header, then a line per figure."""
    targets = compare(MODEL, TARGETS).to_dict()["targets"]
    rows = [["figure", *TARGETS]]
    for key in ("inputs", "weights", "outputs"):
        rows.append([f"bits of {key}", *("analog" if t["precision"][key] is None else str(t["precision"][key])
                                         for t in targets)])  # fmt: skip
    rows.append(["arrays", *(str(t["totals"]["arrays"]) for t in targets)])
    for name in ("total", *COMPONENTS):
        values = [t["totals"]["energy_j"][name] for t in targets]
        if any(values):
            rows.append([f"energy {name} uJ", *("" if value is None else f"{1e6 * value:.3g}" for value in values)])
    for key, scale, unit in (("latency_s", 1e6, "us"), ("interval_s", 1e6, "us"), ("area_mm2", 1.0, "mm2"),
                             ("tops_per_watt", 1.0, ""), ("tops_per_watt_1b", 1.0, ""),
                             ("digital_energy_j", 1e6, "uJ")):  # fmt: skip
        values = [t["totals"][key] for t in targets]
        label = f"{key.rpartition('_')[0] if unit else key} {unit}".strip()
        rows.append([label, *("" if value is None else f"{scale * value:.3g}" for value in values)])
    return rows


def main() -> None:
    csv.writer(sys.stdout, lineterminator="\n").writerows(table())


if __name__ == "__main__":
    main()
