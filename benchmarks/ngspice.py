"""Small arrays solved by ngspice and by this package: how far apart?

    python benchmarks/ngspice.py

writes netlists and ngspice's currents to benchmarks/results/ngspice, and a table of differences to
benchmarks/results/ngspice.csv. Needs ngspice (Debian, Ubuntu: apt-get install ngspice). tests/physics/test_ngspice.py
holds the package to the committed currents.
"""

from __future__ import annotations

import csv
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from pinat_compile.exports.spice import netlist, parse_currents
from pinat_compile.physics.ir_drop import column_currents

Floats = npt.NDArray[np.float64]

RESULTS = Path(__file__).parent / "results"
FOLDER = RESULTS / "ngspice"


@dataclass(frozen=True)
class Case:
    """An array drawn from ``seed``: ohms per segment, the share of open devices, linear or not."""

    name: str
    rows: int
    cols: int
    row_ohm: float
    col_ohm: float
    seed: int
    open_share: float = 0.0
    linear: bool = True

    def conductance_s(self) -> Floats:
        """[rows, cols]: 1 to 40 µS; non-linear ones 62.5 to 110 µS."""
        random = np.random.default_rng(self.seed)
        low, high = (1e-6, 40e-6) if self.linear else (62.5e-6, 110e-6)
        g = random.uniform(low, high, (self.rows, self.cols))
        return np.where(random.random(g.shape) < self.open_share, 0.0, g)

    def voltage_v(self) -> Floats:
        """[rows], of either sign, up to 0.5 V."""
        return np.random.default_rng(self.seed + 1000).uniform(-0.5, 0.5, self.rows)

    def excess(self) -> tuple[Floats, Floats] | None:
        """N2 in A/V² and N3 in A/V³ [rows, cols] of a size that bends currents by a tenth; ``None``: linear."""
        if self.linear:
            return None
        random = np.random.default_rng(self.seed + 2000)
        shape, present = (self.rows, self.cols), self.conductance_s() > 0.0
        return present * random.uniform(-2e-5, 2e-5, shape), present * random.uniform(2e-5, 8e-5, shape)

    def netlist(self) -> str:
        square, cube = self.excess() or (None, None)
        title = f"{self.rows} x {self.cols} devices, {self.row_ohm:g} and {self.col_ohm:g} ohm per segment"
        ohm = self.row_ohm, self.col_ohm
        return netlist(title, self.conductance_s(), self.voltage_v(), *ohm, square=square, cube=cube)

    def ours(self) -> Floats:
        """Amperes [cols]. The netlist senses next to row 0, the solver after the last row."""
        g, v = (torch.from_numpy(x).flip(0) for x in (self.conductance_s(), self.voltage_v()))
        ohm = self.row_ohm, self.col_ohm
        found = self.excess()
        if found is None:
            return np.asarray(column_currents(g, v[None], *ohm)[0])
        square, cube = (torch.from_numpy(x).flip(0) for x in found)
        return np.asarray(column_currents(g, v[None], *ohm, square=square, cube=cube)[0])


CASES = (
    Case("linear_4x4", 4, 4, 1.0, 1.0, seed=1),
    Case("linear_8x5", 8, 5, 2.0, 35.0, seed=2),
    Case("linear_16x16", 16, 16, 20.0, 5.0, seed=3),
    Case("linear_16x16_open", 16, 16, 10.0, 30.0, seed=4, open_share=0.4),
    Case("linear_16x16_word_lines_only", 16, 16, 50.0, 0.0, seed=5, open_share=0.1),
    Case("linear_5x16_bit_lines_only", 5, 16, 0.0, 50.0, seed=6),
    Case("bent_8x5_no_wires", 8, 5, 0.0, 0.0, seed=7, linear=False),
    Case("bent_4x4", 4, 4, 2.0, 2.0, seed=8, linear=False),
    Case("bent_8x5_open", 8, 5, 5.0, 40.0, seed=9, open_share=0.3, linear=False),
    Case("bent_16x16", 16, 16, 20.0, 5.0, seed=10, open_share=0.1, linear=False),
    Case("bent_6x12_bit_lines_only", 6, 12, 0.0, 60.0, seed=11, linear=False),
)


def ngspice(path: Path) -> Floats:
    """Amperes of all bit lines [cols], as ngspice prints them."""
    done = subprocess.run(["ngspice", "-b", str(path)], capture_output=True, text=True, timeout=120)
    found = parse_currents(done.stdout)
    if done.returncode or not found:
        raise RuntimeError(f"ngspice on {path.name}: {done.stderr.strip() or done.stdout.strip()}")
    return np.array([found[column] for column in range(len(found))])


def difference(found: Floats, wanted: Floats) -> float:
    """The largest, relative to the largest current."""
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    rows: list[tuple[str, int, int, float, float, int, str, str]] = []
    for case in CASES:
        path = FOLDER / f"{case.name}.cir"
        path.write_text(case.netlist(), "ascii")
        currents = ngspice(path)
        lines = [f"{column},{current:.15e}\n" for column, current in enumerate(currents)]
        path.with_suffix(".csv").write_text("".join(["column,ampere\n", *lines]), "ascii")
        devices = int((case.conductance_s() > 0).sum())
        kind = "linear" if case.linear else "non-linear"
        far = f"{difference(case.ours(), currents):.1e}"
        rows.append((case.name, case.rows, case.cols, case.row_ohm, case.col_ohm, devices, kind, far))
    with open(RESULTS / "ngspice.csv", "w", encoding="ascii", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["case", "rows", "cols", "row_ohm", "col_ohm", "devices", "kind", "largest_difference"])
        writer.writerows(rows)


if __name__ == "__main__":
    main()
