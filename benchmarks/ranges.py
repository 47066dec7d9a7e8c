"""Measure the range-management defaults of a target: weight clip, ADC share, DAC percentile.

    python benchmarks/ranges.py [--target reram_128x128] [--images 500] [--chips 8] > benchmarks/results/ranges.csv

The network is the shipped one, untrained for the hardware. Images are validation images (every tenth of the shipped
training sample) and chips are validation chips, so that the test set stays unseen. One line per setting: mean accuracy
over the chips, the worst chip, and the ideal mapped network (quantised, no noise).
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import numpy as np
import torch

from pinat_compile.compiler.build import compile
from pinat_compile.data import Dataset, load_data
from pinat_compile.simulator.conditions import VALIDATION_CHIPS
from pinat_compile.simulator.module import Simulator

MODEL = Path(__file__).parents[1] / "examples" / "resnet8_fashion_mnist.onnx"
DEFAULT = {"clip_rms": "2.5", "adc_share": "0.7", "adc_percentile": "99.95", "dac_percentile": "99.9"}
GRID = {
    "clip_rms": ("none", "4.0", "3.5", "3.0", "2.75", "2.5", "2.25", "2.0"),
    "adc_share": ("1.0", "0.85", "0.7", "0.6", "0.5", "0.4"),
    "dac_percentile": ("100.0", "99.99", "99.9", "99.5", "99.0"),
    "per_column": ("true", "false"),
}


def accuracy(chip: Simulator, data: Dataset) -> float:
    """Share of ``data`` that ``chip`` classifies rightly."""
    right = 0
    with torch.inference_mode():
        for batch in data.batches(256):
            found = chip(torch.from_numpy(batch.inputs["x"])).argmax(dim=1).numpy()
            right += int((found == batch.labels).sum())
    return right / len(data)


def settings() -> list[dict[str, str]]:
    """Clip against share in full, the others one at a time from the default."""
    both = [
        DEFAULT | {"clip_rms": clip, "adc_share": share} for clip in GRID["clip_rms"] for share in GRID["adc_share"]
    ]
    single = [DEFAULT | {key: value} for key in ("dac_percentile", "per_column") for value in GRID[key]]
    return both + single


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="reram_128x128")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--chips", type=int, default=8)
    options = parser.parse_args()
    data = load_data("fashion-mnist-mini@validation", inputs=["x"]).slice(0, options.images)
    keys = [*DEFAULT, "per_column"]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*keys, "ideal", "mean", "worst", "chips", "images"])
    for setting in settings():
        overrides = [f"mapping.{key}={value}" for key, value in setting.items()]
        compiled = compile(MODEL, options.target, overrides=overrides)
        found = [
            accuracy(compiled.simulator(chip=VALIDATION_CHIPS + number), data) for number in range(options.chips)
        ]
        ideal = accuracy(compiled.simulator(noise=False), data)
        row = [setting.get(key, "true") for key in keys]
        writer.writerow([*row, f"{ideal:.4f}", f"{np.mean(found):.4f}", f"{min(found):.4f}", len(found), len(data)])
        sys.stdout.flush()


if __name__ == "__main__":
    main()
