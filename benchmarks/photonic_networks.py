"""The shipped network on every photonic target, before and after fine-tuning, and its energy layer by layer.

    python benchmarks/photonic_networks.py [TARGET …]

Fine-tuning is PINAT with its defaults but for two epochs of 320 training images and two validation chips, seed 0;
accuracy is top-1 on 200 test images, mean and deviation over two chips that training never sees. One row per target
in photonic_networks.csv, one row per layer in photonic_energy.csv.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from time import perf_counter

import pinat_compile as pc

HERE = Path(__file__).parent
MODEL = HERE.parent / "examples" / "resnet8_fashion_mnist.onnx"
TARGETS = ("photonic_mzi_16x16", "photonic_mzi_64x64", "photonic_mrr_32x32", "photonic_pcm_64x64")
TEST, TRAIN = "fashion-mnist-mini@test[:200]", "fashion-mnist-mini@train[:320]"
COMPONENTS = ("laser", "modulator", "detector", "heaters", "dac", "adc", "digital", "buffer")


def measure(name: str) -> tuple[dict[str, object], list[dict[str, object]]]:
    """The row of a target, and the rows of its layers."""
    compiled = pc.compile(MODEL, name)
    before = pc.evaluate(compiled, TEST, chips=2)
    started = perf_counter()
    tuned = pc.finetune(compiled, TRAIN, method="pinat", epochs=2, validation_chips=2, seed=0)
    seconds = perf_counter() - started
    after = pc.evaluate(tuned, TEST, chips=2)
    costs = pc.estimate(tuned)
    row: dict[str, object] = {
        "target": name,
        "reference": f"{before.reference:.4f}",
        "ideal": f"{before.ideal:.4f}",
        "before": f"{before.mean:.4f}",
        "before_std": f"{before.std:.4f}",
        "after": f"{after.mean:.4f}",
        "after_std": f"{after.std:.4f}",
        "kept_epoch": tuned.options.training["kept_epoch"] if tuned.options.training else "",
        "finetune_s": f"{seconds:.0f}",
        "energy_uj": f"{(costs.total.energy_total or 0.0) * 1e6:.2f}",
    }
    layers: list[dict[str, object]] = []
    for layer in costs.layers:
        total = {"total_nj": _nano(layer.cost.energy_total)}
        energy = {f"{part}_nj": _nano(getattr(layer.cost, part)) for part in COMPONENTS}
        layers.append({"target": name, "layer": layer.name, "where": layer.where, **total, **energy})
    return row, layers


def _nano(joules: float | None) -> str:
    return "" if joules is None else f"{joules * 1e9:.3f}"


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    """Replace the rows of the targets that were measured; keep those of the others."""
    measured = {row["target"] for row in rows}
    old: list[dict[str, object]] = []
    if path.is_file():
        with path.open(newline="") as file:
            old = [dict(row) for row in csv.DictReader(file) if row["target"] not in measured]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(old + rows, key=lambda row: TARGETS.index(str(row["target"]))))


def main() -> None:
    for name in sys.argv[1:] or TARGETS:
        row, layers = measure(name)
        print(row, flush=True)
        _write(HERE / "results" / "photonic_networks.csv", [row])
        _write(HERE / "results" / "photonic_energy.csv", layers)


if __name__ == "__main__":
    main()
