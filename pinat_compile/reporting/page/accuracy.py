"""Accuracy as pictures: chip by chip, over whatever was varied, and while training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bokeh.models import ColumnDataSource, FixedTicker, HoverTool

from pinat_compile.hardware.loader import literal
from pinat_compile.reporting.page.figures import ANALOG, DIGITAL, SECOND, base, legend_above
from pinat_compile.reporting.page.verdict import FRACTIONS

Document = Mapping[str, Any]


def _scale(metric: str) -> tuple[float, str]:
    return (100.0, f"{metric}, %") if metric in FRACTIONS else (1.0, metric)


def chips(found: Sequence[Document]) -> Any:
    """Every chip of every evaluation as a dot; means with 95 % intervals; ideal devices and the reference as lines."""
    factor, label = _scale(found[0]["metric"])
    rows = [f"{index + 1}" for index in range(len(found))]
    made = base(height=66 + 46 * len(found), y_range=rows[::-1], tools="", name="chips")
    every = [
        (row, chip, factor * value)
        for row, each in zip(rows, found, strict=True)
        for chip, value in zip(each["chip_numbers"], each["per_chip"], strict=True)
        if value is not None
    ]
    dots = ColumnDataSource({
        "x": [value for _, _, value in every], "y": [(row, _spread(i)) for i, (row, _, _) in enumerate(every)],
        "chip": [chip for _, chip, _ in every],
    }, name="dots")  # fmt: skip
    marks = made.scatter("x", "y", size=8, color=ANALOG, alpha=0.55, source=dots)
    for key, colour in (("reference", SECOND), ("ideal", DIGITAL)):
        held = [(row, factor * each[key]) for row, each in zip(rows, found, strict=True) if each[key] is not None]
        made.scatter([x for _, x in held], [row for row, _ in held], marker="dash", angle=1.5708, size=30, line_width=3,
                     color=colour)  # fmt: skip
    means = ColumnDataSource({
        "x": [factor * each["mean"] for each in found], "y": rows,
        "low": [factor * (each["ci95"] or [each["mean"]] * 2)[0] for each in found],
        "high": [factor * (each["ci95"] or [each["mean"]] * 2)[1] for each in found],
    })  # fmt: skip
    made.segment("low", "y", "high", "y", source=means, line_color=ANALOG, line_width=2.5)
    made.scatter("x", "y", marker="diamond", size=14, color=ANALOG, source=means)
    made.add_tools(HoverTool(renderers=[marks], tooltips=[("chip", "@chip"), (label, "@x{0.0}")]))
    made.xaxis.axis_label = label
    return made


def _spread(index: int) -> float:
    """A little up or down, so that dots do not hide each other."""
    return 0.16 * ((index * 7) % 5 - 2) / 2.0


def sweep(points: Sequence[Document], name: str) -> Any:
    """Accuracy over the first key that was varied; a line for every combination of the others."""
    keys = list(points[0]["values"])
    factor, label = _scale(points[0]["accuracy"]["metric"])
    x_key, others = keys[0], keys[1:]
    numeric = all(_number(point["values"][x_key]) is not None for point in points)
    given: dict[str, Any] = {}
    if not numeric:
        given["x_range"] = list(dict.fromkeys(point["values"][x_key] for point in points))
    made = base(height=300, tools="", name=name, **given)
    lines: dict[str, list[Document]] = {}
    for point in points:
        lines.setdefault(", ".join(f"{key} {point['values'][key]}" for key in others), []).append(point)
    colours = (ANALOG, SECOND, "#3fa66b", "#d9534f", "#8f6bd1", "#4ca3a3", "#b5a642", DIGITAL)
    for index, (said, held) in enumerate(lines.items()):
        _line(made, held, x_key, numeric, factor, colours[index % len(colours)], said, label)
    if numeric:
        ticks = sorted({_number(point["values"][x_key]) or 0.0 for point in points})
        made.xaxis.ticker = FixedTicker(ticks=ticks)
    made.xaxis.axis_label, made.yaxis.axis_label = x_key, label
    legend_above(made)
    return made


def _line(
    made: Any, held: Sequence[Document], x_key: str, numeric: bool, factor: float, colour: str, said: str, label: str
) -> None:
    """Means with one standard deviation over chips, and the worst chip as a thin line."""
    found = [point["accuracy"] for point in held]
    texts = [point["values"][x_key] for point in held]
    mean = [factor * each["mean"] for each in found]
    source = ColumnDataSource({
        "x": [_number(text) for text in texts] if numeric else texts, "mean": mean,
        "worst": [factor * each["worst"] for each in found],
        "low": [m - factor * (each["std"] or 0.0) for m, each in zip(mean, found, strict=True)],
        "high": [m + factor * (each["std"] or 0.0) for m, each in zip(mean, found, strict=True)],
        "energy": [point["energy_j"] for point in held],
    })  # fmt: skip
    made.segment("x", "low", "x", "high", source=source, line_color=colour, line_width=1.5)
    made.line("x", "worst", source=source, color=colour, line_dash="dotted", line_width=1.5, legend_label="worst chip")
    made.line("x", "mean", source=source, color=colour, line_width=2.5, legend_label=said or "mean ± std")
    marks = made.scatter("x", "mean", source=source, color=colour, size=8)
    tips = [(x_key, "@x"), (label, "@mean{0.0}"), ("worst", "@worst{0.0}")]
    made.add_tools(HoverTool(renderers=[marks], tooltips=tips))


def _number(text: str) -> float | None:
    value = literal(text)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def training(history: Sequence[Document]) -> Any:
    """Accuracy on validation chips, epoch by epoch."""
    held = [record for record in history if record["validation_accuracy"] is not None]
    source = ColumnDataSource({
        "epoch": [record["epoch"] for record in held],
        "accuracy": [100.0 * record["validation_accuracy"] for record in held],
        "loss": [float("nan") if record["loss"] is None else record["loss"] for record in held],
    })  # fmt: skip
    made = base(height=220, tools="", name="training")
    made.line("epoch", "accuracy", source=source, color=ANALOG, line_width=2.5)
    marks = made.scatter("epoch", "accuracy", source=source, color=ANALOG, size=8)
    tips = [("epoch", "@epoch"), ("validation", "@accuracy{0.0} %"), ("loss", "@loss{0.000}")]
    made.add_tools(HoverTool(renderers=[marks], tooltips=tips))
    made.xaxis.axis_label, made.yaxis.axis_label = "epoch", "accuracy on validation chips, %"
    return made

