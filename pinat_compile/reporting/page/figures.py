"""The pictures of a page, drawn with Bokeh. Colours that follow light and dark are set in the browser (report.js)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from bokeh.layouts import column
from bokeh.models import (
    BasicTicker,
    ColorBar,
    ColumnDataSource,
    DataRange1d,
    FixedTicker,
    HoverTool,
    LayoutDOM,
    LinearColorMapper,
    Range1d,
    TapTool,
)
from bokeh.palettes import Viridis256
from bokeh.plotting import figure

from pinat_compile.reporting.page.entries import Entry
from pinat_compile.reporting.page.plan import Cells
from pinat_compile.reporting.page.spread import BINS
from pinat_compile.reporting.terminal import COMPONENTS
from pinat_compile.reporting.units import prefix, shortened

ANALOG, DIGITAL, SECOND = "#3d86d6", "#98a2ad", "#e08a3c"

COLOURS = {
    "array": "#3d86d6", "laser": "#c2557a", "modulator": "#8f6bd1", "detector": "#4ca3a3", "dac": "#e08a3c",
    "adc": "#d9534f", "sample_hold": "#b5a642", "shift_add": "#7a9e3a", "registers": "#8f6bd1", "digital": "#98a2ad",
    "buffer": "#3fa66b", "bus": "#4ca3a3", "link": "#7fb2e5", "io": "#b07d54", "reload": "#c2557a",
    "heaters": "#d06fb0", "leakage": "#d3b13a",
}  # fmt: skip
"""By component of the energy; the same in every picture and table."""

NAMED = 32
"""Entries up to which each is named under the axis."""


def base(**given: Any) -> Any:
    """A figure that is as wide as the page, has no colour of its own behind it, and leaves scrolling to the page."""
    made = figure(
        sizing_mode="stretch_width", toolbar_location=None, output_backend="canvas",
        background_fill_alpha=0.0, border_fill_alpha=0.0, outline_line_color=None, min_border=4, **given,
    )  # fmt: skip
    made.toolbar.active_drag = made.toolbar.active_scroll = None
    made.xgrid.grid_line_color = None
    for axis in (*made.xaxis, *made.yaxis):
        axis.minor_tick_line_color = None
        axis.major_tick_in = 0
        axis.axis_label_text_font_style = "normal"
    return made


# --- along the network ---


def along(found: Sequence[Entry], arcs: Sequence[tuple[int, int]]) -> LayoutDOM:
    """The graph as a line of operators with arcs to whoever else reads them, above what each of them costs."""
    span = Range1d(start=-0.7, end=len(found) - 0.3, bounds=(-1.0, float(len(found))), name="span")
    return column(_graph(found, arcs, span), _costs(found, span), sizing_mode="stretch_width", name="along")


def _graph(found: Sequence[Entry], arcs: Sequence[tuple[int, int]], span: Range1d) -> Any:
    tops = [math.sqrt(b - a) if b - a > 1 else 0.0 for a, b in arcs]
    highest = max(tops, default=1.0) or 1.0
    made = base(height=150, x_range=span, y_range=Range1d(start=-0.18, end=1.1), tools="")
    made.axis.visible = False
    made.ygrid.grid_line_color = None
    made.min_border_left = 64
    wires = ColumnDataSource({
        "x0": [a for a, _ in arcs], "x1": [b for _, b in arcs],
        "c0": [a + 0.15 * (b - a) for a, b in arcs], "c1": [b - 0.15 * (b - a) for a, b in arcs],
        "top": [1.3 * top / highest for top in tops],
    })  # fmt: skip
    made.bezier("x0", 0, "x1", 0, "c0", "top", "c1", "top", source=wires, line_color=DIGITAL, line_width=1.3)
    nodes = ColumnDataSource({
        "x": list(range(len(found))),
        "name": [shortened(entry.name, 60) for entry in found],
        "op": [shortened(entry.op, 60) for entry in found],
        "where": ["analog" if entry.analog else "digital" for entry in found],
        "marker": ["square" if entry.analog else "circle" for entry in found],
        "colour": [ANALOG if entry.analog else DIGITAL for entry in found],
        "size": [_size(entry, len(found)) for entry in found],
    }, name="nodes")  # fmt: skip
    dots = made.scatter("x", 0, marker="marker", size="size", fill_color="colour", line_color=None, source=nodes)
    dots.nonselection_glyph = None
    tips = [("", "@name"), ("", "@op, @where")]
    made.add_tools(HoverTool(renderers=[dots], tooltips=tips), TapTool(renderers=[dots]))
    return made


def _size(entry: Entry, count: int) -> float:
    size = max(5.0, min(15.0, 420.0 / count))
    return size if entry.analog else 0.7 * size


def _costs(found: Sequence[Entry], span: Range1d) -> Any:
    """A bar for each entry: its energy by component; hidden beside it, its time and its area."""
    energy = {name: [entry.total("energy_j", name) or 0.0 for entry in found] for name in COMPONENTS}
    energy = {name: values for name, values in energy.items() if any(values)}
    totals = np.array([entry.total("energy_j", "total") or 0.0 for entry in found])
    times = np.array([entry.total("latency_s") or 0.0 for entry in found])
    areas = np.array([entry.total("area_mm2") or 0.0 for entry in found])
    (e_power, e_unit), (t_power, t_unit) = prefix(float(totals.max(initial=0.0))), prefix(float(times.max(initial=0.0)))
    made = base(height=280, x_range=span, y_range=DataRange1d(start=0, only_visible=True), tools="",
                name="costs")  # fmt: skip
    made.min_border_left, made.min_border_bottom = 64, 14
    source = ColumnDataSource({
        "x": list(range(len(found))),
        "name": [shortened(entry.name, 60) for entry in found],
        "total": totals / e_power, "time": times / t_power, "area": areas,
        **{f"v_{name}": np.array(values) / e_power for name, values in energy.items()},
    }, name="bars")  # fmt: skip
    bottom = np.zeros(len(found))
    bars = []
    for name in energy:
        top = bottom + source.data[f"v_{name}"]
        source.data[f"b_{name}"], source.data[f"t_{name}"] = bottom, top
        bars.append(made.vbar("x", 0.82, f"t_{name}", f"b_{name}", source=source, color=COLOURS[name], line_color=None,
                              name=f"energy:{name}"))  # fmt: skip
        bottom = top
    for name, colour in (("time", ANALOG), ("area", ANALOG)):
        bars.append(made.vbar("x", 0.82, name, source=source, color=colour, line_color=None, name=name, visible=False))
    for bar in bars:
        bar.nonselection_glyph = None
    made.add_tools(HoverTool(
        renderers=bars,
        tooltips=[("", "@name"), ("energy", f"@total{{0.000}} {e_unit}J"), ("time", f"@time{{0.000}} {t_unit}s"),
                  ("area", "@area{0.0000} mm²")],
    ), TapTool(renderers=bars))  # fmt: skip
    made.yaxis.axis_label = f"energy of a sample, {e_unit}J"
    made.tags = [{"energy": made.yaxis.axis_label, "time": f"busy with a sample, {t_unit}s", "area": "area, mm²",
                  "components": list(energy)}]  # fmt: skip
    _named(made, [entry.name for entry in found])
    return made


def beside(first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]) -> Any:
    """Energy of each layer with products, of two runs side by side."""
    held = [{layer["name"]: layer["energy_j"]["total"] for layer in layers} for layers in (first, second)]
    names = [layer["name"] for layer in first if layer["macs"]]
    energies = [np.array([known.get(name) or 0.0 for name in names]) for known in held]
    power, unit = prefix(max((float(each.max(initial=0.0)) for each in energies), default=0.0))
    x = np.arange(len(names))
    source = ColumnDataSource({"x0": x - 0.2, "x1": x + 0.2, "a": energies[0] / power, "b": energies[1] / power,
                               "name": [shortened(name, 60) for name in names]})  # fmt: skip
    made = base(height=260, x_range=Range1d(start=-0.7, end=len(names) - 0.3), y_range=DataRange1d(start=0), tools="",
                name="beside")  # fmt: skip
    bars = [made.vbar("x0", 0.38, "a", source=source, color=ANALOG, line_color=None, legend_label="A"),
            made.vbar("x1", 0.38, "b", source=source, color=SECOND, line_color=None, legend_label="B")]  # fmt: skip
    tips = [("", "@name"), ("A", f"@a{{0.000}} {unit}J"), ("B", f"@b{{0.000}} {unit}J")]
    made.add_tools(HoverTool(renderers=bars, tooltips=tips))
    made.yaxis.axis_label = f"energy of a sample, {unit}J"
    _named(made, names)
    legend_above(made)
    return made


def _named(made: Any, names: Sequence[str]) -> None:
    """Names under the bars, where there are few enough."""
    named = len(names) <= NAMED
    made.xaxis.ticker = FixedTicker(ticks=list(range(len(names))) if named else [])
    made.xaxis.major_label_overrides = {i: shortened(name, 16) for i, name in enumerate(names)} if named else {}
    made.xaxis.major_label_orientation = math.pi / 3


def legend_above(made: Any) -> None:
    """The legend as a line above the picture."""
    made.legend.orientation, made.legend.ncols = "horizontal", 2
    made.legend.background_fill_alpha = made.legend.border_line_alpha = 0.0
    made.legend.margin = made.legend.padding = 2
    made.add_layout(made.legend[0], "above")


# --- floor plan ---


def floor_plan(cells: Cells, layers: Sequence[str], snr_db: Mapping[str, float | None]) -> Any:
    """A square for every array; what colours it is chosen in the browser."""
    power, unit = prefix(float(cells.energy_j.max(initial=0.0)))
    known = np.array([np.nan if (db := snr_db.get(name)) is None else db for name in layers] or [np.nan])
    used = 100.0 * cells.utilisation
    source = ColumnDataSource({
        "x": cells.x, "y": cells.y, "array": cells.first.astype(np.int32), "layer": cells.layer.astype(np.int32),
        "name": [shortened(layers[i], 28) for i in cells.layer],
        "used": used.astype(np.float32), "energy": (cells.energy_j / power).astype(np.float32),
        "snr": known[cells.layer].astype(np.float32), "value": used.astype(np.float32),
    }, name="cells")  # fmt: skip
    width, height = float(np.ptp(cells.x)) + 1.0, float(np.ptp(cells.y)) + 1.0
    made = base(
        x_range=Range1d(start=float(cells.x.min()) - 0.6, end=float(cells.x.max()) + 0.6),
        y_range=Range1d(start=float(cells.y.max()) + 0.6, end=float(cells.y.min()) - 0.6),
        tools="", name="plan",
        aspect_ratio=min(6.0, max(0.8, width / height)), min_height=120, max_height=760,
    )  # fmt: skip
    made.axis.visible = False
    made.grid.grid_line_color = None
    highest = max(100.0, float(used.max(initial=0.0)))
    mapper = LinearColorMapper(palette=Viridis256, low=0.0, high=highest, name="shades", nan_color=DIGITAL)
    squares = made.rect("x", "y", 0.9, 0.9, source=source, line_color=None, name="squares",
                        fill_color={"field": "value", "transform": mapper})  # fmt: skip
    squares.nonselection_glyph = None
    what = "array" if cells.together == 1 else f"{cells.together} arrays from"
    rows = [("", f"{what} @array"), ("", "@name"), ("used", "@used{0.0} %"), ("energy", f"@energy{{0.000}} {unit}J")]
    if not np.isnan(known).all():
        rows.append(("SNR of the layer", "@snr{0.0} dB"))
    made.add_tools(HoverTool(renderers=[squares], tooltips=rows), TapTool(renderers=[squares]))
    made.add_layout(ColorBar(color_mapper=mapper, height=10, padding=4, ticker=BasicTicker(desired_num_ticks=5),
                             background_fill_alpha=0.0, title="cells used, %", title_text_font_style="normal",
                             name="scale"), "below")  # fmt: skip
    made.tags = [{"used": "cells used, %", "energy": f"energy of a sample, {unit}J", "snr": "SNR of the layer, dB",
                  "layer": "layers, in their order", "together": cells.together}]  # fmt: skip
    return made


# --- histograms ---


def histogram(name: str, counts: Sequence[Any], low: float, high: float, label: str) -> Any:
    """Shares of bins on a logarithmic axis; of two, the second as an outline."""
    edges = np.linspace(low, high, BINS + 1)
    found = [np.asarray(each, float) / max(1, int(np.sum(each))) for each in counts]
    least = min((float(share[share > 0].min()) for share in found if share.any()), default=0.1)
    made = base(height=230, y_axis_type="log", y_range=Range1d(start=0.5 * least, end=1.5), tools="", name=name)
    for index, (share, colour) in enumerate(zip(found, (ANALOG, SECOND), strict=False)):
        held = {"left": edges[:-1], "right": edges[1:], "share": np.where(share > 0, share, np.nan)}
        source = ColumnDataSource(held, name=f"{name}:{index}")
        style: dict[str, Any] = {"fill_color": colour, "line_color": None}
        if index:
            style = {"fill_alpha": 0.0, "line_color": colour, "line_width": 1.5}
        bars = made.quad("left", "right", "share", 1e-12, source=source, **style)
        tips = [("", "@left{0.00} to @right{0.00}"), ("share", "@share{0.00000}")]
        made.add_tools(HoverTool(renderers=[bars], tooltips=tips))
    made.xaxis.axis_label = label
    made.yaxis.axis_label = "share"
    return made


