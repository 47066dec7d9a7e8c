"""Measure what compensation restores of the shipped network: accuracy over time, with and without each step.

    python benchmarks/deployment.py [--images 500] [--chips 5] > benchmarks/results/deployment.csv

Test chips and test images; deployments are made from training images and, for drift, from the probe vectors that
calibration kept. The network is the shipped one, untrained for the hardware. Each line is one setting: ``steps`` made
``made_s`` after programming with ``samples`` images (0: none are needed), judged ``time_s`` after programming on the
same chips and images as all others. Columns: accuracy of the ideal mapped network; mean, standard deviation and worst
over the chips. Eight minutes of one core.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pinat_compile.compiler.build import compile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.data import Dataset, load_data
from pinat_compile.evaluation.deployer import NEED_DATA
from pinat_compile.evaluation.deploying import SAMPLES, chosen_steps, deploy
from pinat_compile.simulator.conditions import seconds
from pinat_compile.simulator.module import Simulator

MODEL = Path(__file__).parents[1] / "examples" / "resnet8_fashion_mnist.onnx"
TRAIN, TEST = "fashion-mnist-mini@train", "fashion-mnist-mini@test"
TIMES = ("1h", "1d", "30d", "1y")
FEW = (10, 50)
"""Numbers of samples for moments, besides the default, a day after programming."""
STEPS = {
    "pcm_256x256": ("", "drift", "drift_per_tile", "moments", "bias", "drift,bias", "affine", "drift,moments"),
    "reram_128x128": ("", "faults", "drift", "moments", "bias", "affine", "faults,moments"),
}


@dataclass(frozen=True)
class Setting:
    """One line of the results."""

    steps: str
    made_s: float
    time_s: float
    samples: int = SAMPLES


def settings(compiled: Compiled, target: str) -> Iterator[Setting]:
    """Every step at every time; then fewer samples, and a deployment that has aged."""
    day = seconds("1d")
    for time in (compiled.default_time_s, *map(seconds, TIMES)):
        yield from (Setting(steps, time, time) for steps in STEPS[target])
    yield from (Setting("moments", day, day, samples) for samples in FEW)
    yield from (Setting(steps, day, seconds("30d")) for steps in ("drift", "moments"))


def accuracy(chip: Simulator, data: Dataset) -> float:
    """Share of ``data`` that ``chip`` classifies rightly."""
    right = 0
    with torch.inference_mode():
        for batch in data.batches(64):
            found = chip(torch.from_numpy(batch.inputs["x"])).argmax(dim=1).numpy()
            right += int((found == batch.labels).sum())
    return right / len(data)


def measured(compiled: Compiled, setting: Setting, chip: int, data: Dataset) -> float:
    """Accuracy of one chip."""
    made = None
    if setting.steps:
        made = deploy(
            compiled, chip=chip, data=TRAIN, steps=setting.steps, samples=setting.samples, time=setting.made_s
        )
    return accuracy(compiled.simulator(chip, time=setting.time_s, deployment=made), data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--chips", type=int, default=5)
    options = parser.parse_args()
    data = load_data(TEST, inputs=["x"]).slice(0, options.images)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    names = ("target", "steps", "made_s", "time_s", "samples", "ideal", "mean", "deviation", "worst")
    writer.writerow([*names, "chips", "images"])
    for target in STEPS:
        compiled = compile(MODEL, target)
        ideal = accuracy(compiled.simulator(noise=False), data)
        for setting in settings(compiled, target):
            right = [measured(compiled, setting, chip, data) for chip in range(options.chips)]
            used = setting.samples if setting.steps and NEED_DATA & set(chosen_steps(setting.steps)) else 0
            made = setting.made_s if setting.steps else ""
            figures = [f"{x:.4f}" for x in (ideal, np.mean(right), np.std(right, ddof=1), min(right))]
            writer.writerow([
                target, setting.steps or "none", made, setting.time_s, used, *figures, len(right), len(data),
            ])
            sys.stdout.flush()


if __name__ == "__main__":
    main()
