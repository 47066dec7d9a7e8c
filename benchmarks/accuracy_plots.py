"""Draw what benchmarks found of the shipped network's accuracy: over time, and over the resistance of wires.

    python benchmarks/accuracy_plots.py        # needs pip install 'pinat-compile[plots]'; writes docs/accuracy_*.png

From benchmarks/results/deployment.csv and wire_resistance.csv, and nothing else.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).parents[1] / "docs"
COLOURS = ("#1f5fa8", "#c8501e", "#3b8a3b", "#7a4fa3", "#8a6d1f", "#444444")
STYLE: Any = {
    "figure.dpi": 110, "savefig.dpi": 110, "font.size": 9.0, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.alpha": 0.25, "legend.frameon": False, "lines.linewidth": 1.4,
}  # fmt: skip


def read_csv(name: str) -> list[dict[str, str]]:
    with open(RESULTS / name, newline="") as file:
        return list(csv.DictReader(file))


def over_time() -> Figure:
    """Accuracy of the shipped network over time, as programmed and with each compensation made at that time."""
    rows = [row for row in read_csv("deployment.csv") if row["made_s"] in ("", row["time_s"])]
    shown = {
        "pcm_256x256": ("none", "drift", "moments", "affine"),
        "reram_128x128": ("none", "faults", "moments", "faults,moments"),
    }
    figure, both = plt.subplots(1, 2, figsize=(8.0, 3.4), layout="constrained", sharey=True)
    for axes, (target, chosen) in zip(both, shown.items(), strict=True):
        for colour, steps in zip(COLOURS, chosen, strict=False):
            found = sorted(
                (float(r["time_s"]), 100 * float(r["mean"]), 100 * float(r["worst"]))
                for r in rows
                if r["target"] == target and r["steps"] == steps and int(r["samples"]) in (0, 200)
            )
            times, mean, worst = zip(*found, strict=True)
            label = "no compensation" if steps == "none" else steps
            axes.plot(times, mean, "o-", color=colour, markersize=3.5, label=label)
            axes.plot(times, worst, ":", color=colour, linewidth=1.0)
        axes.set_xscale("log")
        axes.set_title(target, fontsize=9)
        axes.set_xlabel("seconds after programming")
        axes.legend(fontsize=8)
    both[0].set_ylabel("top-1, %: mean, worst chip dotted")
    return figure


def over_wires() -> Figure:
    """Accuracy of the shipped network against the resistance of a wire segment, for three sizes of arrays."""
    figure, both = plt.subplots(1, 2, figsize=(8.0, 3.4), layout="constrained", sharey=True)
    for axes, devices_are in zip(both, ("perfect", "noisy"), strict=True):
        by_size: dict[int, list[tuple[float, float, float]]] = defaultdict(list)
        for row in read_csv("wire_resistance.csv"):
            if row["devices"] == devices_are:
                figures = float(row["ohm"]), 100 * float(row["accuracy"]), 100 * float(row["worst"])
                by_size[int(row["size"])].append(figures)
        for colour, (size, found) in zip(COLOURS, sorted(by_size.items()), strict=False):
            ohms, mean, worst = zip(*sorted(found), strict=True)
            axes.plot(ohms, mean, "o-", color=colour, markersize=3.5, label=f"{size} x {size}")
            axes.plot(ohms, worst, ":", color=colour, linewidth=1.0)
        axes.set_xscale("symlog", linthresh=0.3)
        axes.set_xticks([0, 0.3, 1, 3, 10], ["0", "0.3", "1", "3", "10"])
        axes.set_title(f"{devices_are} devices", fontsize=9)
        axes.set_xlabel("resistance of one wire segment, ohm")
        axes.legend(fontsize=8)
    both[0].set_ylabel("top-1, %: mean, worst chip dotted")
    return figure


def main() -> None:
    with plt.rc_context(STYLE):
        for name, draw in (("accuracy_over_time", over_time), ("accuracy_over_wires", over_wires)):
            figure = draw()
            figure.savefig(DOCS / f"{name}.png", metadata={"Software": None})
            plt.close(figure)
            print(f"docs/{name}.png")


if __name__ == "__main__":
    main()
