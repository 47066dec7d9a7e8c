"""Draw docs/photonic_meshes.png from the tables that photonic_meshes.py wrote, and what link budgets leave.

    python benchmarks/photonic_plots.py        # needs matplotlib
"""

from __future__ import annotations

import csv
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

from pinat_compile.hardware.loader import load_target  # noqa: E402
from pinat_compile.physics.optics import link  # noqa: E402

HERE = Path(__file__).parent
LOSSES = (0.05, 0.1, 0.25, 0.5, 0.99)
SIZES = (4, 8, 16, 32, 64, 128)


def rows(name: str) -> list[dict[str, str]]:
    with (HERE / "results" / name).open(newline="") as file:
        return list(csv.DictReader(file))


def main() -> None:
    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    found = [row for row in rows("photonic_sensitivity.csv") if row["sigma_rad"] == "0.01"]
    modes = [int(row["modes"]) for row in found]
    for part, colour in (("phases", "tab:blue"), ("couplers", "tab:red")):
        left.loglog(modes, [float(row[part]) for row in found], "o", color=colour, label=part)
        left.loglog(modes, [float(row[f"{part}_law"]) for row in found], color=colour, linewidth=1)
    left.set(xlabel="modes", ylabel="relative error of a unitary", title="0.01 rad on every phase or coupler")
    left.set_xticks(modes, [str(size) for size in modes])
    left.minorticks_off()
    left.legend()
    for loss in LOSSES:
        target = load_target("photonic_mzi_64x64", [f"mesh.loss_db={loss}"])
        watts = [link.budget(target, size, size).needed_w * 1e3 for size in SIZES]
        middle.loglog(SIZES, watts, marker=".", label=f"{loss:g} dB")
    middle.axhline(20.0, color="grey", linewidth=1)
    middle.set(ylim=(1e-2, 1e6), xlabel="modes", ylabel="laser power needed (mW)", title="6 bits, by loss")
    middle.legend(fontsize=8)
    found = [row for row in rows("photonic_vowels.csv") if row["what"].startswith("phase error alone")]
    right.errorbar(
        [float(row["phase_rad"]) for row in found],
        [float(row["accuracy"]) for row in found],
        [float(row["std"]) for row in found],
        marker="o",
    )
    right.axhline(0.767, color="grey", linewidth=1)
    right.axvline(0.005, color="grey", linewidth=1, linestyle=":")
    right.set(xscale="log", xlabel="phase error (rad)", ylabel="accuracy", title="two 4 x 4 layers; grey: published")
    figure.savefig(HERE.parent / "docs" / "photonic_meshes.png", dpi=90)


if __name__ == "__main__":
    main()
