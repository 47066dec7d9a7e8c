"""Wire resistance: time per array and per batch beside badcrossbar, and the error of the fast path.

    OMP_NUM_THREADS=1 python benchmarks/wires.py > benchmarks/results/wires.csv

Times are medians in one run, of arrays of devices between 10 kΩ and 1 MΩ (uniform in siemens) and segments of 1 Ω:
the exact effective conductance of one array, the same with its gradient, 128 vectors once it is known, the fast path
and its error bound, and 128 vectors by badcrossbar 1.1.0, where that is installed (pip install --no-deps badcrossbar
scipy pathvalidate sigfig), with the largest difference between the two.

The grid: the fast path's error over all voltages up to 1 V as a share of the largest column current with every word
line at 1 V, its bound, the error of leaving wires out, and the path that a tolerance of 1e-3 takes. "dense" are the
devices above; "weights" are pairs that hold normally distributed weights, 40 µS at 2.5 standard deviations.
"""

from __future__ import annotations

import csv
import logging
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from pinat_compile.physics import wire_ladders
from pinat_compile.physics.ir_drop import effective_conductance

SIZES = (64, 128, 256)
GRID_SIZES = (32, 64, 128, 256)
GRID_OHMS = (0.1, 0.3, 1.0, 3.0, 10.0)
TOLERANCE = 1e-3
Row = tuple[str, int, float, str, str]


def dense(size: int, seed: int = 0) -> Tensor:
    """Conductances in siemens: [size, size]."""
    return 1e-6 + 99e-6 * torch.rand(size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def weights(size: int, seed: int = 0) -> Tensor:
    """Pairs of devices side by side, of which one holds the weight's magnitude: [size, size]."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(size, size // 2, generator=generator, dtype=torch.float64) * 40e-6 / 2.5
    return torch.stack((drawn.clamp(0.0, 40e-6), (-drawn).clamp(0.0, 40e-6)), dim=-1).flatten(1)


def medians(tasks: dict[str, Callable[[], Any]], runs: int) -> dict[str, float]:
    """Median seconds of each task, taken in turns; the first turn only warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(runs + 1):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def badcrossbar_batch(g: Tensor, v: Tensor, ohm: float) -> Callable[[], Any] | None:
    """badcrossbar on the same problem; ``None`` where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import badcrossbar  # type: ignore[import-not-found,unused-ignore]
        except ImportError:
            return None
    resistances, voltages = (1.0 / g).numpy(), v.T.numpy()
    keywords = {"node_voltages": False, "all_currents": False}
    return lambda: badcrossbar.compute(voltages, resistances, r_i=ohm, **keywords).currents.output


def times(size: int, ohm: float = 1.0) -> Iterator[Row]:
    g, v = dense(size), torch.rand(128, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    effective = effective_conductance(g, ohm, ohm)

    def gradient() -> None:
        leaf = g.clone().requires_grad_()
        effective_conductance(leaf, ohm, ohm).sum().backward()  # type: ignore[no-untyped-call]

    tasks: dict[str, Callable[[], Any]] = {
        "exact, one array": lambda: effective_conductance(g, ohm, ohm),
        "exact, one array, with gradient": gradient,
        "128 vectors, effective conductance known": lambda: v @ effective,
        "fast path and bound, one array": lambda: effective_conductance(g, ohm, ohm, tolerance=1e9),
    }
    other = badcrossbar_batch(g, v, ohm)
    if other is not None:
        tasks["128 vectors, badcrossbar"] = other
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = medians(tasks, runs=9 if size < 256 else 5)
        for name, seconds in found.items():
            yield "dense", size, ohm, name, f"{seconds:.3g} s"
        if other is not None:
            ours, theirs = v @ effective, torch.as_tensor(other())
            ratio = found["128 vectors, badcrossbar"] / found["128 vectors, effective conductance known"]
            yield "dense", size, ohm, "128 vectors, times faster than badcrossbar", f"{ratio:.0f}"
            error = float((ours - theirs).abs().max() / theirs.abs().max())
            yield "dense", size, ohm, "largest difference to badcrossbar", f"{error:.1e}"


def errors(filling: str, g: Tensor, ohm: float) -> Iterator[Row]:
    exact = effective_conductance(g, ohm, ohm)
    full = float(exact.sum(dim=0).max())

    def worst(found: Tensor) -> str:
        return f"{float((found - exact).abs().sum(dim=0).max()) / full:.2e}"

    bound = float(wire_ladders.error_bound(g[None], ohm, ohm))
    size = len(g)
    yield filling, size, ohm, "error without wires", worst(g)
    yield filling, size, ohm, "error of the fast path", worst(wire_ladders.transfer(g[None], ohm, ohm)[0])
    yield filling, size, ohm, "bound of the fast path", f"{bound:.2e}"
    yield filling, size, ohm, f"path at tolerance {TOLERANCE:g}", "fast" if bound <= TOLERANCE else "exact"


def main() -> None:
    logging.disable(logging.INFO)  # badcrossbar's progress would land in the table
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["devices", "size", "ohm", "quantity", "value"])
    for size in SIZES:
        writer.writerows(times(size))
        sys.stdout.flush()
    for name, fill in (("dense", dense), ("weights", weights)):
        for size in GRID_SIZES:
            for ohm in GRID_OHMS:
                writer.writerows(errors(name, fill(size), ohm))


if __name__ == "__main__":
    main()
