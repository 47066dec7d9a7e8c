"""Accuracy of the shipped network against the resistance of wires and the size of arrays.

    OMP_NUM_THREADS=1 python benchmarks/wire_resistance.py > benchmarks/results/wire_resistance.csv

Devices: those of ``reram_128x128`` (1 to 40 µS) on arrays of 64, 128 and 256 rows and columns, "perfect" (they hold
what they are asked for, and columns sense without error) and "noisy" (the target as it is, ``--chips`` paired chips).
The network is not fine-tuned for any of it, and converters' ranges are calibrated without wires, as the compiler does.

Ohms are those of one segment, of word and bit lines alike, from one cell to the next. A line of width w and thickness
AR w has 2 rho / (AR w) per cell of its own pitch, 2 w. With the widths, aspect ratios and resistivities that
DNN+NeuroSim (Peng et al., IEDM 2019; its Param.cpp) takes for the technologies (thin lines scatter electrons at walls
and grains) that is

    130 nm, w 175 nm, AR 1.6, 2.20 uOhm cm: 0.16 ohm      32 nm, w 56 nm, AR 1.8, 3.70 uOhm cm: 0.73 ohm
     65 nm, w 105 nm, AR 1.7, 2.68 uOhm cm: 0.30 ohm      22 nm, w 40 nm, AR 1.9, 4.03 uOhm cm: 1.06 ohm
     45 nm, w  80 nm, AR 1.7, 3.31 uOhm cm: 0.49 ohm      14 nm, w 25 nm, AR 2.0, 5.08 uOhm cm: 2.03 ohm

A cell with a transistor is several pitches wide, which makes segments longer, and may have wider lines on higher metal,
which makes them better: 0.3 to 10 ohm covers what is plausible. What counts is the resistance beside the devices':
Xiao et al., arXiv 2109.01262, give it as r g_max, and so does column ``ohm_g_max``.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from pinat_compile.compiler.build import compile
from pinat_compile.data import Dataset, load_data
from pinat_compile.simulator.module import Simulator

MODEL = Path(__file__).parents[1] / "examples" / "resnet8_fashion_mnist.onnx"
COLUMNS = (
    "devices", "size", "ohm", "ohm_g_max", "accuracy", "deviation", "worst", "ideal", "arrays", "chips", "images",
)  # fmt: skip
SIZES = (64, 128, 256)
OHMS = (0.0, 0.3, 1.0, 2.0, 3.0, 5.0, 10.0)
G_MAX_US = 40.0
WITHOUT = tuple(f"{section}=none" for section in ("programming", "mismatch", "stuck", "read_noise", "column"))


def accuracy(chip: Simulator, data: Dataset) -> float:
    """Share of ``data`` that ``chip`` classifies rightly."""
    right = 0
    with torch.inference_mode():
        for batch in data.batches(250):
            found = chip(torch.from_numpy(batch.inputs["x"])).argmax(dim=1).numpy()
            right += int((found == batch.labels).sum())
    return right / len(data)


def row(devices: str, size: int, ohm: float, data: Dataset, chips: int) -> tuple[str | int | float, ...]:
    overrides = [f"array.rows={size}", f"array.cols={size}"]
    overrides += [f"wires.row_ohm={ohm}", f"wires.col_ohm={ohm}"] if ohm else []
    overrides += WITHOUT if devices == "perfect" else ()
    compiled = compile(MODEL, "reram_128x128", overrides=overrides)
    arrays = sum(matrix.arrays for matrix in compiled.graph.matrices.values())
    found = [accuracy(compiled.simulator(chip=number), data) for number in range(chips)]
    deviation = f"{np.std(found, ddof=1):.4f}" if chips > 1 else ""
    ideal = accuracy(compiled.simulator(noise=False), data)
    figures = f"{np.mean(found):.4f}", deviation, f"{min(found):.4f}", f"{ideal:.4f}"
    return devices, size, ohm, f"{ohm * G_MAX_US * 1e-6:.1e}", *figures, arrays, chips, len(data)


def rows(data: Dataset, chips: int) -> Iterator[tuple[str | int | float, ...]]:
    for devices, count in (("perfect", 1), ("noisy", chips)):
        for size in SIZES:
            for ohm in OHMS:
                yield row(devices, size, ohm, data, count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chips", type=int, default=8)
    parser.add_argument("--images", type=int, default=500)
    options = parser.parse_args()
    data = load_data("fashion-mnist-mini@test", inputs=["x"]).slice(0, options.images)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    for found in rows(data, options.chips):
        writer.writerow(found)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
