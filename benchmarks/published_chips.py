"""Hold the targets against published designs: what each predicts, what was published, the error.

    python benchmarks/published_chips.py > benchmarks/results/published_chips.csv

One product of one full array (or one chip at full activity, where the row says so), inputs uniform over their codes,
cells at mid-range. Constants that were fitted to a point, and rows that therefore say nothing, are marked "fitted".
NeuRRAM: two constants (a pulse of the word lines, a neuron's bit) to two of eight operating points. HERMES: one to one
of two. ISAAC, PUMA, RAELLA, Albireo: none to their totals.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from pinat_compile.cost.photonics import holding_cost, photonic_tile_costs
from pinat_compile.cost.static import chip_area_mm2, chip_power_w, leakage_per_array_w, peak_ops_per_s
from pinat_compile.cost.tiles import mean_square_drive, tile_costs
from pinat_compile.cost.timing import read_ns
from pinat_compile.graph import Cut, Matrix
from pinat_compile.graph.matrix import Ranges
from pinat_compile.hardware.loader import load_target
from pinat_compile.hardware.schema import Target
from pinat_compile.passes.slice_weights import cells_of
from pinat_compile.physics.limits import input_limit

SWEEP = {(3, 1): 43.1, (4, 2): 40.3, (5, 3): 23.1, (6, 4): 15.95, (7, 5): 11.03, (8, 6): 8.26, (9, 7): 7.75,
         (10, 8): 6.44}  # fmt: skip
"""Wan et al., Nature 608, 504 (2022): (output, input) bits -> TOPS/W of the chip."""
FITTED = ((4, 2), (10, 8))

Row = tuple[str, str, str, float, float, str]


def product(target: Target, reads: int = 1) -> tuple[float, float]:
    """Joules and operations of one product of one array that is full of weights."""
    cells = cells_of(target)
    outputs = (target.array.cols - cells.reference_columns) // cells.cells_per_weight
    rows = target.array.rows
    matrix = Matrix("m", "w", "out_in", rows, outputs, cells=cells, cut=Cut(1, (0, rows), (0, outputs)))
    assert target.cell is not None
    middle = 0.5 * (target.cell.g_min_us + target.cell.g_max_us)
    conductance = torch.full((1, cells.slices, rows, outputs, cells.devices), middle)
    tiles = tile_costs(
        target, matrix, mvms=1, reads=reads, conductance_us=[conductance], drive=_uniform(target, rows)
    )
    energy = tiles.total.energy_total
    assert energy is not None
    return energy, 2.0 * rows * outputs


def _uniform(target: Target, rows: int) -> torch.Tensor:
    """How hard inputs drive a row that take every code equally often [1, rows]."""
    limit = max(int(input_limit(target.dac)), 1)
    codes = torch.arange(-limit, limit + 1, dtype=torch.float32)[:, None]
    if target.dac.encoding == "bit_serial":
        codes = torch.arange(-limit - 1, limit + 1, dtype=torch.float32)[:, None]
    return mean_square_drive(codes, target.dac).expand(1, rows)


def tops_per_watt(target: Target, reads: int = 1) -> float:
    energy, operations = product(target, reads)
    return 1e-12 * operations / energy


def neurram() -> Iterator[Row]:
    for (out, into), published in SWEEP.items():
        bits = [f"adc.bits={out}", f"dac.bits={max(into, 2)}"]  # one bit and its sign: one pulse, as two bits
        note = "fitted" if (out, into) in FITTED else ""
        found = tops_per_watt(load_target("neurram_256x256", bits))
        yield "neurram_256x256", f"{out} bits out, {into} in", "TOPS/W", found, published, note


def hermes() -> Iterator[Row]:
    target = load_target("hermes_256x256")
    for phases, published, note in ((1, 9.76, "fitted"), (4, 2.48, "")):
        yield "hermes_256x256", f"{phases}-phase", "TOPS/W", tops_per_watt(target, phases), published, note
    for phases, published, note in ((1, 63.1, "fitted"), (4, 16.1, "")):
        peak = peak_ops_per_s(target)
        assert peak is not None
        yield "hermes_256x256", f"{phases}-phase, 64 cores", "TOPS", 1e-12 * peak / phases, published, note


def isaac() -> Iterator[Row]:
    target = load_target("isaac")
    power, area, peak = chip_power_w(target), chip_area_mm2(target), peak_ops_per_s(target)
    assert power is not None and area is not None and peak is not None
    yield "isaac", "chip, all busy", "W", power, 65.8, ""
    yield "isaac", "chip", "mm2", area, 85.4, ""
    yield "isaac", "chip, 2 operations per 16-bit MAC", "TOPS", 1e-12 * peak, 41.3, ""
    yield "isaac", "chip", "GOPS/W", 1e-9 * peak / power, 627.5, ""
    yield "isaac", "chip", "GOPS/mm2", 1e-9 * peak / area, 478.95, "published CE; Table I itself gives 483.5"
    energy, operations = product(target)
    yield "isaac", "array with its share of a core", "pJ/MAC", 2e12 * energy / operations, 2.35, ""


def puma() -> Iterator[Row]:
    """A matrix-vector unit is 128 x 128 weights: eight arrays here; what they leak meanwhile belongs to it."""
    target = load_target("puma")
    energy, _ = product(target)
    assert target.leakage is not None and target.leakage.adc_mw is not None
    time = read_ns(target, 128, 128)
    assert time is not None and leakage_per_array_w(target) is not None
    whole = 8 * (energy + 1e-3 * target.leakage.adc_mw * 1e-9 * time)
    yield "puma", "matrix-vector unit, 16 x 16 bits", "nJ", 1e9 * whole, 43.97, ""
    yield "puma", "matrix-vector unit, 16 x 16 bits", "ns", time, 2304.0, "fitted"


def raella() -> Iterator[Row]:
    """Against ISAAC at 8 x 8 bits, both as arrays; RAELLA compares whole accelerators."""
    ours, _ = product(load_target("raella"))
    eight = load_target("isaac", ["weights.bits=8", "dac.bits=8"])
    theirs, operations = product(eight)
    outputs = 512 // cells_of(load_target("raella")).cells_per_weight
    ratio = (theirs / operations) / (ours / (2.0 * 512 * outputs))
    yield "raella", "energy of isaac at 8 bits / its own", "x", ratio, 2.8, "published: geometric mean, no speculation"


ALBIREO_W = {"heaters": 7.52, "modulator": 3.45, "laser": 2.36, "detector": 0.14, "dac": 7.93, "adc": 1.31}
"""Shiflett et al., ISCA 2021, Table III, conservative devices, as taken up by the CiMLoop model: watts of the chip."""


def albireo() -> Iterator[Row]:
    """The chip's data sheet, and one product after the other on all of its arrays, inputs without sign."""
    target, shared = load_target("albireo"), "63 of 306 serve inputs that nine arrays share: not in a product"
    power, area, chip = chip_power_w(target), chip_area_mm2(target), target.chip
    assert power is not None and area is not None and chip is not None and target.timing is not None
    yield "albireo", "chip, all busy", "W", power, sum(ALBIREO_W.values()) + 0.03, "with 0.03 W of cache"
    yield "albireo", "chip", "mm2", area, 124.6, ""
    rows, cols = target.array.rows, target.array.cols
    ranges = Ranges("scale", one_pass=True)
    matrix = Matrix("m", "w", "out_in", rows, cols, cut=Cut(1, (0, rows), (0, cols)), ranges=ranges)
    seconds, held = 1e-9 * target.timing.step_ns, torch.zeros(1, 1, rows * cols)
    found = photonic_tile_costs(target, matrix, mvms=1, parameters=held).total
    found += holding_cost(target, matrix, held, target.timing.step_ns)
    for part, published in ALBIREO_W.items():
        joules = getattr(found, part)
        note = shared if part in ("modulator", "dac") else ""
        yield "albireo", f"chip, {part}", "W", chip.arrays_per_chip * joules / seconds, published, note


def rows() -> list[Row]:
    return [*isaac(), *puma(), *raella(), *neurram(), *hermes(), *albireo()]


def summary(found: Sequence[Row], target: str) -> str:
    errors = [abs(a / b - 1) for name, _, unit, a, b, note in found
              if name == target and note != "fitted" and unit == "TOPS/W"]  # fmt: skip
    return f"{target}: mean error {100 * np.mean(errors):.1f} %, largest {100 * max(errors):.1f} %"


def main() -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["target", "what", "unit", "ours", "published", "error_percent", "note"])
    found = rows()
    for target, what, unit, ours, published, note in found:
        error = 100 * (ours / published - 1)
        writer.writerow([target, what, unit, f"{ours:.4g}", f"{published:.4g}", f"{error:+.1f}", note])
    for name in ("neurram_256x256", "hermes_256x256"):
        print(summary(found, name), file=sys.stderr)


if __name__ == "__main__":
    main()
