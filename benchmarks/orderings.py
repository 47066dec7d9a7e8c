"""Orderings that any credible simulator of analog arrays reproduces, measured on the shipped network.

    OMP_NUM_THREADS=1 python benchmarks/orderings.py [--chips 16] [--images 250] > benchmarks/results/orderings.csv

Two settings run on the same chips and images. The error is the deviation of the logits from those of the mapped network
with ideal devices, root mean square over images and classes, as a share of the spread of the ideal logits around each
class's mean. Columns: both errors (means over the chips), the ratio of the second to the first (geometric mean over the
chips, and standard deviation of its logarithm from chip to chip), both accuracies, and the ideal one of the first.
tests/evaluation/test_orderings.py holds the simulator to what is found here.

Nothing but the effect in question acts; converters are there only where their noise is in question, of 8 bits and with
nothing clipped. Noise of weights, inputs and outputs is fresh in every product and equally large, as a share of the
largest weight, input and ADC code. That weights are then hurt least depends on the ranges: all three come closer where
converters clip (on this network they are equal at 1 % with the ranges of ``reram_128x128``).

Sources of the orderings: Xiao et al., "On the accuracy of analog neural network inference accelerators", arXiv
2109.01262; Rasch et al., "Hardware-aware training for large-scale and diverse deep learning inference workloads using
in-memory computing-based accelerators", Nature Communications 14, 5282 (2023).
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pinat_compile.compiler.build import compile
from pinat_compile.data import Dataset, load_data
from pinat_compile.simulator.module import Simulator

MODEL = Path(__file__).parents[1] / "examples" / "resnet8_fashion_mnist.onnx"
COLUMNS = (
    "settings", "error_1", "error_2", "ratio", "log_deviation", "accuracy_1", "accuracy_2", "ideal", "chips", "images",
)  # fmt: skip

PAIRS = ("weights.scheme=differential", "weights.bits=8", "cell.bits=7")
OFFSET = ("weights.scheme=bias", "weights.bits=8", "cell.bits=8")


def sliced(bits: int) -> tuple[str, ...]:
    """Pairs whose seven bits of magnitude stand in slices of ``bits``."""
    return "weights.scheme=differential", "weights.bits=8", f"cell.bits={bits}"


def programming(*coefficients: float) -> tuple[str, ...]:
    """Programming error: a polynomial of g / g_max, as a share of g_max."""
    row = [100.0 * c for c in coefficients]
    return (
        "programming.model=polynomial", "programming.times_s=[0.0]", f"programming.coefficients=[{row}]",
        "programming.reference_g_max_us=100.0",
    )  # fmt: skip


def wires(ohm: float, size: int) -> tuple[str, ...]:
    """Segments of ``ohm`` in arrays of ``size`` x ``size`` devices between 1 and 40 µS, perfect but for that."""
    return (
        f"wires.row_ohm={ohm}", f"wires.col_ohm={ohm}", f"array.rows={size}", f"array.cols={size}",
        "cell.g_min_us=1.0", "cell.g_max_us=40.0",
    )  # fmt: skip


def noisy(place: str, share: float) -> tuple[str, ...]:
    """Fresh noise of ``share`` of the largest ``weight``, ``input`` or ``output``; devices of a pair have half each."""
    overrides = {
        "weight": ("read_noise.model=constant", f"read_noise.sigma_fraction={share / 2**0.5}"),
        "input": (f"dac.noise_sigma={share}",),
        "output": (f"adc.noise_lsb={share * 127}",),
    }
    return (*PAIRS, "dac.bits=8", "adc.bits=8", "adc.range=calibrated", *overrides[place])


@dataclass(frozen=True)
class Comparison:
    """Two sets of overrides of ``ideal_128x128``, of which the first should do better, or as well."""

    name: str
    first: tuple[str, ...]
    second: tuple[str, ...]


COMPARISONS = (
    Comparison("pairs, offset: independent error of 2 %", (*PAIRS, *programming(0.02)), (*OFFSET, *programming(0.02))),
    Comparison(
        "pairs, offset: proportional error of 10 %",
        (*PAIRS, *programming(0.0, 0.1)), (*OFFSET, *programming(0.0, 0.1)),
    ),
    Comparison(
        "pairs, on/off ratio infinite, 2: proportional error of 10 %",
        (*PAIRS, *programming(0.0, 0.1)), (*PAIRS, *programming(0.0, 0.1), "cell.g_min_us=50.0"),
    ),
    Comparison(
        "one slice, 2 of up to 4 bits: proportional error of 10 %",
        (*PAIRS, *programming(0.0, 0.1)), (*sliced(4), *programming(0.0, 0.1)),
    ),
    Comparison(
        "one slice, 4 of up to 2 bits: proportional error of 10 %",
        (*PAIRS, *programming(0.0, 0.1)), (*sliced(2), *programming(0.0, 0.1)),
    ),
    *(
        Comparison(f"arrays of {size}, {2 * size}: wires of {ohm:g} ohm", wires(ohm, size), wires(ohm, 2 * size))
        for ohm in (1.0, 3.0) for size in (64, 128)
    ),
    *(
        Comparison(f"weights, {place}s: noise of {share:.0%}", noisy("weight", share), noisy(place, share))
        for place in ("input", "output") for share in (0.02, 0.04)
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """What chips made of a setting: error and accuracy of each, and the accuracy with ideal devices."""

    errors: np.ndarray[tuple[int], np.dtype[np.float64]]
    accuracies: np.ndarray[tuple[int], np.dtype[np.float64]]
    ideal: float


def logits(chip: Simulator, data: Dataset) -> Tensor:
    """[images, classes]"""
    with torch.inference_mode():
        return torch.cat([chip(torch.from_numpy(batch.inputs["x"])) for batch in data.batches(250)])


def measure(overrides: Sequence[str], data: Dataset, chips: int, first: int = 0) -> Found:
    """Chips ``first`` and following, each with read noise of its own, with ``overrides`` of the ideal target."""
    compiled = compile(MODEL, "ideal_128x128", overrides=overrides)
    ideal = logits(compiled.simulator(noise=False), data)
    labels = torch.cat([torch.from_numpy(batch.labels) for batch in data.batches(250) if batch.labels is not None])
    spread = (ideal - ideal.mean(dim=0)).square().mean()
    errors, accuracies = [], []
    for number in range(first, first + chips):
        found = logits(compiled.simulator(chip=number, seed=number), data)
        errors.append(float(((found - ideal).square().mean() / spread).sqrt()))
        accuracies.append(float((found.argmax(dim=1) == labels).double().mean()))
    right = float((ideal.argmax(dim=1) == labels).double().mean())
    return Found(np.array(errors), np.array(accuracies), right)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chips", type=int, default=16)
    parser.add_argument("--images", type=int, default=250)
    options = parser.parse_args()
    data = load_data("fashion-mnist-mini@test", inputs=["x"]).slice(0, options.images)
    known: dict[tuple[str, ...], Found] = {}

    def found(overrides: tuple[str, ...], chips: int) -> Found:
        if overrides not in known:
            known[overrides] = measure(overrides, data, chips)
        return known[overrides]

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    for comparison in COMPARISONS:
        chips = 1 if "wires" in comparison.name else options.chips  # chips with wires alone are all the same
        first, second = found(comparison.first, chips), found(comparison.second, chips)
        logs = np.log(second.errors / first.errors)
        deviation = f"{logs.std(ddof=1):.3f}" if chips > 1 else ""
        errors = [f"{one.errors.mean():.4f}" for one in (first, second)]
        accuracies = [f"{one.accuracies.mean():.4f}" for one in (first, second)]
        ratio = f"{np.exp(logs.mean()):.3f}"
        writer.writerow([
            comparison.name, *errors, ratio, deviation, *accuracies, f"{first.ideal:.4f}", chips, len(data),
        ])  # fmt: skip
        sys.stdout.flush()


if __name__ == "__main__":
    main()
