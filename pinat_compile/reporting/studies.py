"""Studies and sweeps as tables and pictures, from their documents and raw results alone."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pinat_compile.compiler.places import write_aside
from pinat_compile.errors import extra_needed
from pinat_compile.reporting.units import DASH, engineering, percent

Document = Mapping[str, Any]

METRICS = {"auc": "AUC", "p5_auc": "5th percentile of AUC", "p5_at_2": "5th percentile at severity 2",
           "per-sample": "dynamic per-sample", "ou": "dynamic ou", "shift": "dynamic shift",
           "gain-drift": "dynamic gain-drift"}


# --- sweeps ---


def sweep_table(points: Sequence[Document]) -> Table:
    """One line per combination of values."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    keys = list(points[0]["values"])
    first = points[0]["accuracy"]
    show = percent if first["metric"] in ("top1", "agreement") else _number
    for name in (*keys, first["metric"], "std", "worst", "ideal", "energy", "arrays"):
        table.add_column(name, justify="right")
    for point in points:
        found = point["accuracy"]
        std = DASH if found["std"] is None else show(found["std"])
        table.add_row(*(point["values"][key] for key in keys), show(found["mean"]), std, show(found["worst"]),
                      show(found["ideal"]), engineering(point["energy_j"], "J"), str(point["arrays"]))
    return table


def _number(value: float | None) -> str:
    return DASH if value is None else f"{value:.4g}"


def plan_table(found: Document) -> Table:
    """Every plan that was tried, the best marked."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("plan")
    for name in (*(f"m {m:g}" for m in found["severities"]), "mean"):
        table.add_column(name, justify="right")
    for entry in found["tried"]:
        words = [change.removeprefix("mapping.") for change in entry["changes"] if not change.endswith("=none")]
        values = (*entry["accuracies"], entry["mean"])
        best = entry["changes"] == found["changes"]
        table.add_row(" ".join(words) or "as it was", *map(percent, values), style="bold" if best else "")
    return table


def redundancy_table(found: Document) -> Table:
    """Every layer, what it costs alone and what its copies take, those that are repeated marked; the network last."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("layer")
    for name in ("drop alone", "copies take", "copies", "accuracy", "energy"):
        table.add_column(name, justify="right")
    for entry in found["layers"]:
        taken = engineering(entry["added_j"], "J")
        style = "bold" if entry["copies"] > 1 else ""
        table.add_row(entry["name"], percent(entry["drop"]), taken, str(entry["copies"]), style=style)
    for name, accuracy, energy in zip(("before", "after"), found["accuracy"], found["energy_j"], strict=True):
        table.add_row(name, "", "", "", percent(accuracy), engineering(energy, "J"))
    return table


# --- studies ---


def study_parts(found: Document) -> list[RenderableType]:
    """Each comparison as tables for a terminal: accuracy over severity, tails and the rest, differences."""
    parts: list[RenderableType] = []
    for comparison in found["comparisons"]:
        parts.append(Text(_title(comparison), style="bold"))
        for rows in (*_halves(_methods(comparison)), _differences(comparison, found["proposal"])):
            table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
            for index, name in enumerate(rows[0]):
                table.add_column(name, justify="left" if index == 0 else "right")
            for row in rows[1:]:
                table.add_row(*row)
            if len(rows) > 1:
                parts.append(table)
    return parts


def markdown(found: Document) -> str:
    """The same as Markdown."""
    lines = [f"# Study {found['name']}", "", "Top-1 in points (per cent), means over seeds and chips.", ""]
    for comparison in found["comparisons"]:
        lines += [f"## {_title(comparison)}", ""]
        for rows in (_methods(comparison), _differences(comparison, found["proposal"])):
            if len(rows) > 1:
                lines += ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
                lines += ["| " + " | ".join(row) + " |" for row in rows[1:]] + [""]
        if len(comparison["methods"]) == 0:
            lines += ["Not complete yet.", ""]
    return "\n".join(lines)


def _title(comparison: Document) -> str:
    steps = ", ".join(comparison["deploy"]) or "nothing"
    return f"{comparison['target']}, mode {comparison['mode']} (per chip: {steps}), {comparison['seeds']} seeds"


def _methods(comparison: Document) -> list[list[str]]:
    methods = comparison["methods"]
    if not methods:
        return [["method"]]
    severities, kinds = list(methods[0]["accuracy"]), list(methods[0]["dynamic"])
    relative = ["rAUC"] if methods[0]["rauc"] is not None else []
    header = ["method", "AUC", *relative, *(f"m {m}" for m in severities), "p5 AUC", "worst", *kinds, "energy"]
    rows = []
    for method in sorted(methods, key=lambda entry: (entry["ablation"], -entry["auc"])):
        share = [100.0 * method["rauc"]] if relative else []
        row = [method["auc"], *share, *method["accuracy"].values(), method["p5_auc"], method["worst_auc"],
               *(method["dynamic"].get(kind) for kind in kinds)]
        rows.append([method["name"], *(_points(value) for value in row), engineering(method["energy_j"], "J")])
    return [header, *rows]


def _halves(rows: list[list[str]]) -> list[list[list[str]]]:
    """The methods' table in two that fit a line each: up to the last severity, and behind it."""
    cut = rows[0].index("p5 AUC") if "p5 AUC" in rows[0] else len(rows[0])
    return [[row[:cut] for row in rows], [[row[0], *row[cut:]] for row in rows]]


def _differences(comparison: Document, proposal: str) -> list[list[str]]:
    header = [f"{proposal} minus", "metric", "points", "95 % over seeds", "p (Holm)", "bootstrap over chips", "verdict"]
    return [header, *(_difference(entry) for entry in comparison["differences"])]


def _difference(entry: Document) -> list[str]:
    other = entry["other"] + (" (ablation)" if entry["ablation"] else "")
    p = DASH if entry["p_holm"] is None else f"{entry['p_holm']:.3f}"
    return [other, METRICS.get(entry["metric"], entry["metric"]), f"{entry['mean']:+.2f}", _interval(entry["ci95"]), p,
            _interval(entry["bootstrap95"]), entry["verdict"]]


def _points(value: float | None) -> str:
    return DASH if value is None else f"{value:.1f}"


def _interval(ends: Sequence[float] | None) -> str:
    return DASH if ends is None else f"{ends[0]:+.2f} to {ends[1]:+.2f}"


# --- pictures ---


def write_plots(folder: Path) -> list[Path]:
    """``curves.png``, ``training.png`` and ``histograms.png`` in ``folder``, from its CSV files; those written."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        raise extra_needed("plots of a study", "matplotlib", "study") from None
    written = []
    for name, draw in (("curves", _curves), ("training", _training), ("histograms", _histograms)):
        figure = draw(folder, pyplot)
        if figure is not None:
            written.append(folder / f"{name}.png")
            write_aside(written[-1], partial(figure.savefig, format="png", dpi=110, metadata={"Software": None}))
            pyplot.close(figure)
    return written


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _panels(rows: Sequence[Mapping[str, str]], keys: Sequence[str]) -> list[tuple[str, ...]]:
    return list(dict.fromkeys(tuple(row[key] for key in keys) for row in rows))


def _axes(pyplot: Any, count: int, rows: int = 1) -> tuple[Any, Any]:
    size = (4.2 * count, 3.4 * rows)
    figure, axes = pyplot.subplots(rows, count, figsize=size, squeeze=False, layout="constrained")
    return figure, axes


def _curves(folder: Path, pyplot: Any) -> Any:
    """Accuracy over severity: mean, and the 5th percentile of chips as a thin line."""
    rows = [row for row in _rows(folder / "results.csv") if row["condition"] == "static"]
    panels = _panels(rows, ("target", "mode"))
    if not panels:
        return None
    figure, axes = _axes(pyplot, len(panels))
    for axis, (target, mode) in zip(axes[0], panels, strict=True):
        here = [row for row in rows if (row["target"], row["mode"]) == (target, mode)]
        for (method,) in _panels(here, ("method",)):
            x, mean, low = _over_severity([row for row in here if row["method"] == method])
            [line] = axis.plot(x, mean, marker="o", markersize=3, label=method)
            axis.plot(x, low, color=line.get_color(), linewidth=0.7, linestyle=":")
        axis.set(title=f"{target}, mode {mode}", xlabel="severity of the noise", ylabel="top-1 in %")
        axis.legend(fontsize=7)
    return figure


def _over_severity(rows: Sequence[Mapping[str, str]]) -> tuple[list[float], list[float], list[float]]:
    x = sorted({float(row["severity"]) for row in rows})
    tables = [[100.0 * float(row["top1"]) for row in rows if float(row["severity"]) == m] for m in x]
    return x, [float(np.mean(values)) for values in tables], [float(np.percentile(values, 5)) for values in tables]


def _training(folder: Path, pyplot: Any) -> Any:
    """Accuracy on validation chips while training, one line per network."""
    names = {row["key"]: (row["target"], row["method"]) for row in _rows(folder / "networks.csv")}
    used = {row["key"] for row in _rows(folder / "results.csv")} or set(names)
    rows = [row for row in _rows(folder / "histories.csv") if row["key"] in used and row["key"] in names]
    targets = list(dict.fromkeys(names[row["key"]][0] for row in rows))
    if not targets:
        return None
    figure, axes = _axes(pyplot, len(targets))
    for axis, target in zip(axes[0], targets, strict=True):
        colours: dict[str, Any] = {}
        for (key,) in _panels([row for row in rows if names[row["key"]][0] == target], ("key",)):
            held, method = [row for row in rows if row["key"] == key], names[key][1]
            label = None if method in colours else method
            [line] = axis.plot([float(r["step"]) for r in held], [100.0 * float(r["validation"]) for r in held],
                               color=colours.get(method), label=label, linewidth=0.8, marker=".", markersize=3)
            colours[method] = line.get_color()
        axis.set(title=target, xlabel="step", ylabel="top-1 on validation chips in %")
        axis.legend(fontsize=7)
    return figure


def _histograms(folder: Path, pyplot: Any) -> Any:
    """Weights, conductances and activations before and after training."""
    rows = _rows(folder / "histograms.csv")
    kinds = [kind for (kind,) in _panels(rows, ("kind",))]
    panels = _panels(rows, ("target", "mode", "method"))
    if not panels:
        return None
    figure, axes = _axes(pyplot, len(kinds), len(panels))
    for line, panel in zip(axes, panels, strict=True):
        for axis, kind in zip(line, kinds, strict=True):
            for when, values in _histogram(rows, panel, kind):
                axis.stairs(*values, label=when, fill=when == "before", alpha=0.5 if when == "before" else 1.0)
            axis.set(title=" ".join(panel), xlabel=kind, ylabel="share", yscale="log")
            axis.legend(fontsize=7)
    return figure


def _histogram(rows: Sequence[Mapping[str, str]], panel: Sequence[str], kind: str) -> Iterator[tuple[str, Any]]:
    keys = ("target", "mode", "method")
    for when in ("before", "after"):
        held = [r for r in rows if [r[key] for key in keys] == list(panel) and (r["kind"], r["when"]) == (kind, when)]
        if held:
            yield when, ([float(r["share"]) for r in held], [*(float(r["low"]) for r in held), float(held[-1]["high"])])
