"""The page as text: what `run`, `verdict` and the pictures give, put into the template."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from bokeh.embed import json_item
from bokeh.resources import Resources
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pinat_compile import __version__
from pinat_compile.reporting.page import accuracy, comparing, figures, provenance, verdict
from pinat_compile.reporting.page.details import component_shares, details, layer_rows, suggested
from pinat_compile.reporting.page.entries import Entry, arcs, entries
from pinat_compile.reporting.page.plan import MOST_TILES, Tiles, cells_of
from pinat_compile.reporting.page.results import conditions
from pinat_compile.reporting.page.run import Run
from pinat_compile.reporting.page.spread import Spread, spreads
from pinat_compile.reporting.units import count, duration, percent, points

HERE = Path(__file__).parent


def page(run: Run, other: Run | None = None) -> str:
    """The HTML of a report."""
    found = entries(run.document["layers"])
    spread, second = spreads(run.compiled), {} if other is None else spreads(other.compiled)
    pictures = _pictures(run, found, spread) | ({} if other is None else _beside(run, other, spread, second))
    context = {
        "run": run, "version": __version__, "cards": verdict.cards(run), "steps": verdict.steps(run),
        "components": component_shares(run.document), "rows": layer_rows(found, run), "suggested": suggested(run),
        "evaluations": run.measured.evaluations, "sweeps": run.measured.sweeps,
        "training": run.document.get("training"),
        "figures": provenance.figures(run.document, run.compiled.target),
        "numbers": provenance.numbers(run.compiled.target), "pictures": list(pictures),
        "items": {name: json_item(made, f"picture-{name}") for name, made in pictures.items()},
        "data": _data(run, found, spread, second), "other": None if other is None else _compared(run, other),
    }  # fmt: skip
    return _environment().get_template("report.html").render(context)


@cache
def _environment() -> Environment:
    made = Environment(loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    made.filters |= {"count": count, "percent": percent, "points": points, "duration": duration,
                     "conditions": conditions, "metric": verdict.shown}  # fmt: skip
    made.globals |= {
        "style": Markup((HERE / "style.css").read_text("utf-8")),
        "script": Markup((HERE / "report.js").read_text("utf-8")),
        "library": Markup(Resources(mode="inline", components=["bokeh"]).js_raw[0]),
        "as_json": as_json,
    }
    return made


def as_json(value: Any) -> Markup:
    """JSON that may stand inside a script element, whatever names it holds."""
    return Markup(json.dumps(value, allow_nan=False).replace("<", "\\u003c"))


# --- pictures ---


def _pictures(run: Run, found: list[Entry], spread: Mapping[str, Spread]) -> dict[str, Any]:
    """Every picture by its name."""
    made: dict[str, Any] = {"along": figures.along(found, arcs(found, list(run.compiled.graph.dag.edges)))}
    if run.tiles:
        tiles = _tiles(run)
        snr = {name: entry["snr_db"] for name, entry in run.measured.per_layer.items()}
        made["plan"] = figures.floor_plan(cells_of(tiles, run.compiled.target.chip), tiles.layers, snr)
    made |= _histograms(spread)
    if run.measured.evaluations:
        made["chips"] = accuracy.chips(run.measured.evaluations)
    for index, sweep in enumerate(run.measured.sweeps):
        made[f"sweep{index}"] = accuracy.sweep(sweep, f"sweep{index}")
    if "training" in run.document:
        made["training"] = accuracy.training(run.document["training"]["history"])
    return made


def _compared(run: Run, other: Run) -> dict[str, Any]:
    """What the template says of the second run."""
    return {
        "title": other.title, "place": other.place, "totals": comparing.totals(run, other),
        "paired": comparing.paired(run, other), "components": comparing.components(run, other),
        "layers": comparing.layers(run, other), "settings": comparing.settings(run, other),
        "targets": comparing.targets(run.compiled.target, other.compiled.target),
    }  # fmt: skip


def _beside(run: Run, other: Run, first: Mapping[str, Spread], second: Mapping[str, Spread]) -> dict[str, Any]:
    """Pictures of both runs: energy by layer, and histograms one over the other."""
    made: dict[str, Any] = {"beside": figures.beside(run.document["layers"], other.document["layers"])}
    return made | _histograms(first, second)


def _histograms(*runs: Mapping[str, Spread]) -> dict[str, Any]:
    """Of one run, or of two, where they have the same kind and range."""
    held = [list(spread.values()) for spread in runs if spread]
    if not held:
        return {}
    weights = [sum(each.weights for each in spread) for spread in held]
    made = {"weights": figures.histogram("weights", weights, -1.0, 1.0, "weight / largest that its column can hold")}
    low, high = held[0][0].low_us, held[0][0].high_us
    alike = [spread for spread in held if (spread[0].low_us, spread[0].high_us) == (low, high)]
    total = [sum(each.conductances for each in spread if each.conductances is not None) for spread in alike
             if spread[0].conductances is not None]  # fmt: skip
    if total:
        made["conductances"] = figures.histogram("conductances", total, low, high, "conductance, µS")
    return made


# --- what the script shows on demand ---


def _tiles(run: Run) -> Tiles:
    schedule = run.document["schedule"]
    in_turn = schedule is not None and schedule["rounds"] > 1
    return Tiles.of(run.tiles, schedule["capacity"] if in_turn and schedule is not None else None)


def _data(
    run: Run, found: list[Entry], first: Mapping[str, Spread], second: Mapping[str, Spread]
) -> dict[str, Any]:
    return {
        "entries": details(found, run),
        "spreads": [{name: _counts(each) for name, each in spread.items()} for spread in (first, second)],
        "tiles": _packed_tiles(_tiles(run)) if run.tiles else None,
    }


def _counts(spread: Spread) -> dict[str, list[int] | None]:
    counts = spread.conductances
    return {"weights": spread.weights.tolist(), "conductances": None if counts is None else counts.tolist()}


def _packed_tiles(tiles: Tiles) -> dict[str, Any]:
    """Typed arrays as base64; slices added up where there are very many tiles."""
    energy = tiles.energy_j if len(tiles.array) <= MOST_TILES else tiles.energy_j.sum(axis=1, keepdims=True)
    return {
        "layers": tiles.layers, "slices": energy.shape[1],
        "array": _packed(tiles.array, np.int32), "layer": _packed(tiles.layer, np.int32),
        "ranges": _packed(tiles.ranges, np.int32), "used": _packed(tiles.utilisation, np.float32),
        "energy": _packed(energy, np.float32),
    }  # fmt: skip


def _packed(values: Any, kind: Any) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype=np.dtype(kind).newbyteorder("<")).tobytes()).decode()
