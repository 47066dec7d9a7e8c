"""Measure the range-management defaults of a target: weight clip, ADC share, DAC percentile.

    python benchmarks/ranges.py [--target reram_128x128] [--images 250] [--chips 24] > benchmarks/results/ranges.csv

The network is the shipped one, untrained for the hardware. Images are validation images (every tenth of the shipped
training sample) and chips are validation chips, the same for every setting, so that the test set stays unseen. The
first line is the default, each other line changes one thing. Columns: accuracy of the ideal mapped network (quantised,
no noise), mean, standard deviation and worst over the chips.
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
DEFAULT = {
    "clip": "expected_error",
    "clip_rms": "none",
    "per_column": "true",
    "dac_percentile": "99.99",
    "adc_percentile": "99.95",
    "adc_share": "0.7",
}
OTHERS: tuple[dict[str, str], ...] = (
    {"clip": "none"},
    *({"clip": "rms", "clip_rms": clip} for clip in ("4.0", "3.5", "3.0", "2.5", "2.0")),
    {"per_column": "false"},
    {"clip": "none", "per_column": "false"},
    *({"dac_percentile": percent} for percent in ("100.0", "99.9", "99.5")),
    *({"adc_share": share} for share in ("1.0", "0.85", "0.6", "0.5")),
    {"adc_percentile": "100.0", "adc_share": "1.0"},
    {"adc_percentile": "100.0", "adc_share": "0.7"},
)


def accuracy(chip: Simulator, data: Dataset) -> float:
    """Share of ``data`` that ``chip`` classifies rightly."""
    right = 0
    with torch.inference_mode():
        for batch in data.batches(256):
            found = chip(torch.from_numpy(batch.inputs["x"])).argmax(dim=1).numpy()
            right += int((found == batch.labels).sum())
    return right / len(data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="reram_128x128")
    parser.add_argument("--images", type=int, default=250)
    parser.add_argument("--chips", type=int, default=24)
    parser.add_argument("--severity", type=float, default=1.0)
    parser.add_argument("--clips-only", action="store_true")
    options = parser.parse_args()
    data = load_data("fashion-mnist-mini@validation", inputs=["x"]).slice(0, options.images)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*DEFAULT, "ideal", "mean", "deviation", "worst", "severity", "chips", "images"])
    for change in (dict[str, str](), *OTHERS):
        if options.clips_only and not change.keys() <= {"clip", "clip_rms"}:
            continue
        setting = DEFAULT | change
        overrides = [f"mapping.{key}={value}" for key, value in setting.items()]
        compiled = compile(MODEL, options.target, overrides=overrides)
        found = [
            accuracy(compiled.simulator(chip=VALIDATION_CHIPS + number, severity=options.severity), data)
            for number in range(options.chips)
        ]
        ideal = accuracy(compiled.simulator(noise=False), data)
        figures = [f"{figure:.4f}" for figure in (ideal, np.mean(found), np.std(found, ddof=1), min(found))]
        writer.writerow([*setting.values(), *figures, options.severity, len(found), len(data)])
        sys.stdout.flush()


if __name__ == "__main__":
    main()
