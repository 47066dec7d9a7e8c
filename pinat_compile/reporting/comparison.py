"""Targets beside each other, and variants of one target, on a terminal and as a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pinat_compile.errors import extra_needed
from pinat_compile.reporting.units import DASH, count, engineering, percent, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Document = Mapping[str, Any]


def _plain(value: float | None) -> str:
    return DASH if value is None else plain(value)


def _seconds(value: float | None) -> str:
    return engineering(value, "s")


def _joules(value: float | None) -> str:
    return engineering(value, "J")


ROWS: tuple[tuple[str, Callable[[Document], str]], ...] = (
    ("technology", lambda t: str(t["target"]["technology"])),
    ("array", lambda t: f"{t['target']['rows']} x {t['target']['cols']}"),
    ("bits in, weight, out", lambda t: _bits(t["precision"])),
    ("arrays", lambda t: count(t["totals"]["arrays"])),
    ("rounds per sample", lambda t: DASH if t["schedule"] is None else count(t["schedule"]["rounds"])),
    ("energy per sample", lambda t: _joules(t["totals"]["energy_j"]["total"])),
    ("latency", lambda t: _seconds(t["totals"]["latency_s"])),
    ("interval", lambda t: _seconds(t["totals"]["interval_s"])),
    ("area, mm²", lambda t: _plain(t["totals"]["area_mm2"])),
    ("TOPS/W", lambda t: _plain(t["totals"]["tops_per_watt"])),
    ("TOPS/W, 1 bit", lambda t: _plain(t["totals"]["tops_per_watt_1b"])),
    ("digital machine", lambda t: _joules(t["totals"]["digital_energy_j"])),
    ("digital / analog", lambda t: _ratio(t["totals"])),
    ("accuracy", lambda t: percent(t["accuracy"])),
)
"""The figures of a comparison, top to bottom."""


def _bits(precision: Document) -> str:
    return ", ".join(DASH if bits is None else str(bits) for bits in precision.values())


def _ratio(totals: Document) -> str:
    digital, analog = totals["digital_energy_j"], totals["energy_j"]["total"]
    return f"{digital / analog:.2g} x" if digital and analog else DASH


def comparison(document: Document) -> list[RenderableType]:
    """Headline, a column per target, the energy of each by component, digital chips."""
    model, targets = document["model"], document["targets"]
    head = Text.assemble((model["name"], "bold"), f"  {count(model['macs'])} MACs per sample")
    table = _table("", [target["target"]["name"] for target in targets])
    for label, show in ROWS:
        values = [show(target) for target in targets]
        if set(values) != {DASH}:
            table.add_row(label, *values)
    parts = _table("share of the energy", [target["target"]["name"] for target in targets])
    for component in [key for key in targets[0]["totals"]["energy_j"] if key != "total"]:
        shares = [_share(target["totals"]["energy_j"], component) for target in targets]
        if set(shares) != {DASH}:
            parts.add_row(component, *shares)
    chips = _table("digital chip, at its peak", ["TOPS/W", "energy"])
    for chip in document["digital"]:
        chips.add_row(chip["name"], plain(chip["tops_per_watt"]), _joules(chip["energy_j"]))
    return [head, table, parts, chips]


def _share(energy: Document, component: str) -> str:
    value, total = energy[component], energy["total"]
    return percent(value / total, 0) if value is not None and total else DASH


def _table(first: str, others: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", overflow="fold")
    return table


# --- variants of one target ---


def exploration(document: Document) -> list[RenderableType]:
    """Headline, and a line per point; ``*`` stands before those that no other beats."""
    points = document["points"]
    head = Text.assemble((document["model"], "bold"), " on ", (document["target"], "bold"), f"  {document['how']}")
    judged = any(point["accuracy"] is not None for point in points)
    table = _table("  " + ", ".join(document["varied"]), ["arrays", "energy", "latency", "mm²", "TOPS/W"])
    if judged:
        table.add_column("accuracy", justify="right")
    for point in points:
        table.add_row(*_point(point, judged), style="" if point["pareto"] else "dim")
    front = sum(point["pareto"] for point in points)
    notes = [Text(f"* {front} of {len(points)} that no other beats in energy, latency, area{' and accuracy' * judged}")]
    problems = [point for point in points if point["problem"] is not None]
    notes += [Text(f"{' '.join(point['overrides'])}: {point['problem']}") for point in problems[:5]]
    return [head, table, *notes]


def _point(point: Document, judged: bool) -> list[str]:
    values = ", ".join(override.partition("=")[2] for override in point["overrides"])
    row = [
        f"{'*' if point['pareto'] else ' '} {values}",
        count(point["arrays"]),
        _joules(point["energy_j"]),
        _seconds(point["latency_s"]),
        _plain(point["area_mm2"]),
        _plain(point["tops_per_watt"]),
    ]
    return [*row, percent(point["accuracy"])] if judged else row


def plot_exploration(document: Document, path: Path) -> None:
    """`draw_exploration` into a file."""
    draw_exploration(document).savefig(path)


def draw_exploration(document: Document) -> Figure:
    """Energy against accuracy, or against latency where that was not judged; the front joined by a line."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise extra_needed("a plot", "matplotlib", "plots") from None
    judged = any(point["accuracy"] is not None for point in document["points"])
    key, label = ("accuracy", "accuracy") if judged else ("latency_s", "latency of a sample, s")
    shown = [point for point in document["points"] if point["energy_j"] is not None and point[key] is not None]
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for front, colour in ((False, "0.7"), (True, "tab:blue")):
        some = sorted((p for p in shown if p["pareto"] is front), key=lambda point: point["energy_j"])
        at = [point["energy_j"] for point in some], [point[key] for point in some]
        axes.plot(*at, "o", color=colour, label="no other beats it" if front else "beaten")
    for point in (point for point in shown if point["pareto"]):
        text = ", ".join(override.partition("=")[2] for override in point["overrides"])
        axes.annotate(text, (point["energy_j"], point[key]), fontsize=7, xytext=(4, 4), textcoords="offset points")
    axes.set(xlabel="energy of a sample, J", ylabel=label, xscale="log", yscale="linear" if judged else "log")
    axes.set_title(f"{document['model']} on {document['target']}: {', '.join(document['varied'])}", fontsize=9)
    axes.legend()
    return figure
