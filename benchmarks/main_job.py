"""Time the main job on the shipped network: compile, and evaluate 2,000 images on 5 chips.

    python benchmarks/main_job.py [--runs 5] > benchmarks/results/main_job.csv

Medians over the runs, with the spread; evaluation also as a ratio to plain torch float32 on the same images,
alternating with it in one run, because single absolute times on a shared machine mean little.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter

import torch

from pinat_compile.compiler.build import compile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.data import Dataset, load_data
from pinat_compile.simulator.module import Simulator

MODEL = Path(__file__).parents[1] / "examples" / "resnet8_fashion_mnist.onnx"
TARGET = "reram_128x128"
CHIPS = 5
BATCH = 256


def seconds(job: Callable[[], object]) -> float:
    started = perf_counter()
    job()
    return perf_counter() - started


def run_all(chips: list[Simulator], data: Dataset) -> None:
    """Every image through every chip."""
    with torch.inference_mode():
        for chip in chips:
            for batch in data.batches(BATCH):
                chip(torch.from_numpy(batch.inputs["x"]))


def compile_and_save(folder: Path) -> None:
    compile(MODEL, TARGET).save(folder)


def fresh_chips(compiled: Compiled) -> list[Simulator]:
    """Chips that are not programmed yet: programming belongs to the job."""
    return [compiled.simulator(chip=number) for number in range(CHIPS)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    data = load_data("fashion-mnist-mini@test", inputs=["x"])
    compiled = compile(MODEL, TARGET)
    plain = compiled.simulator(noise=False, analog=())  # every layer in floating point
    times: dict[str, list[float]] = {"compile and save": [], "chips": [], "float32": []}
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "build"
            times["compile and save"].append(seconds(partial(compile_and_save, target)))
        times["chips"].append(seconds(lambda: run_all(fresh_chips(compiled), data)))
        times["float32"].append(seconds(lambda: run_all([plain] * CHIPS, data)))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["job", "median", "least", "most", "unit", "runs", "threads"])

    def row(job: str, values: list[float], unit: str) -> None:
        figures = [f"{f(values):.2f}" for f in (statistics.median, min, max)]
        writer.writerow([job, *figures, unit, runs, torch.get_num_threads()])

    row("compile the shipped network and save the folder", times["compile and save"], "s")
    row(f"{len(data)} images on {CHIPS} chips", times["chips"], "s")
    row("the same images in float32, as often", times["float32"], "s")
    row("chips / float32", [a / b for a, b in zip(times["chips"], times["float32"], strict=True)], "ratio")


if __name__ == "__main__":
    main()
