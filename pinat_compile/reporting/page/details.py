"""What a page says of each layer: a row of the table, and the facts that appear when it is chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pinat_compile.reporting.page.entries import Entry
from pinat_compile.reporting.page.figures import COLOURS
from pinat_compile.reporting.page.run import Run
from pinat_compile.reporting.terminal import COMPONENTS
from pinat_compile.reporting.units import DASH, count, decibel, engineering, percent, points

Document = Mapping[str, Any]

MOST_ROWS = 400
"""Rows of the table of layers; of more, those with the largest energy."""


@dataclass(frozen=True, slots=True)
class Share:
    """A component of the energy: its key, its word, its colour, its share (a fraction) and its value as text."""

    key: str
    word: str
    colour: str
    share: float
    value: str


def component_shares(holder: Document) -> list[Share]:
    """Of the totals of a document, or of a layer: the largest first."""
    energy = holder["totals"]["energy_j"] if "totals" in holder else holder["energy_j"]
    return shares(energy)


def shares(energy: Mapping[str, float | None]) -> list[Share]:
    total = energy["total"]
    held = {key: value for key in COMPONENTS if (value := energy.get(key))} if total else {}
    found = [Share(key, COMPONENTS[key], COLOURS[key], value / (total or 1.0), engineering(value, "J"))
             for key, value in held.items()]  # fmt: skip
    return sorted(found, key=lambda share: -share.share)


def _energy(entry: Entry) -> dict[str, float | None]:
    return {key: entry.total("energy_j", key) for key in ("total", *COMPONENTS)}


# --- the table ---


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: ``at``: the entry's place; ``values`` sort what ``texts`` show, column by column."""

    at: int
    analog: bool
    texts: tuple[str, ...]
    values: tuple[float | None, ...]
    bar: tuple[Share, ...]
    length: float


COLUMNS = ("arrays", "cells used", "energy", "time", "area, mm²", "SNR", "alone, points")


def layer_rows(found: Sequence[Entry], run: Run) -> list[Row]:
    """Every entry of the network in its order; of very many, those with the largest energy."""
    energies = [entry.total("energy_j", "total") or 0.0 for entry in found]
    largest = max(energies, default=0.0) or 1.0
    shown = sorted(sorted(range(len(found)), key=lambda at: -energies[at])[:MOST_ROWS])
    return [_row(at, found[at], run, energies[at] / largest) for at in shown]


def _row(at: int, entry: Entry, run: Run, length: float) -> Row:
    alone = run.measured.per_layer.get(entry.name)
    only = entry.only
    arrays, used = (None, None) if only is None else (only["arrays"], only["utilisation"])
    energy, time, area = entry.total("energy_j", "total"), entry.total("latency_s"), entry.total("area_mm2")
    snr, drop = (None, None) if alone is None else (alone["snr_db"], alone["drop"])
    texts = (
        count(arrays), percent(used, 0), engineering(energy, "J"), engineering(time, "s"),
        DASH if area is None else f"{area:.3g}", decibel(snr), points(None if drop is None else -drop),
    )  # fmt: skip
    return Row(at, entry.analog, (entry.name, entry.op, *texts), (arrays, used, energy, time, area, snr, drop),
               tuple(shares(_energy(entry))), length)  # fmt: skip


# --- details on demand ---


def details(found: Sequence[Entry], run: Run) -> list[dict[str, Any]]:
    """Of each entry: facts as label and text, energy by component, and which matrix it multiplies by."""
    hints = {hint["layer"]: hint["why"] for hint in run.document["suggestions"]}
    return [
        {
            "name": entry.name, "op": entry.op, "analog": entry.analog, "facts": _facts(entry, run),
            "matrix": entry.layers[0]["matrices"][0]["name"] if entry.layers[0]["matrices"] else None,
            "layer": entry.layers[0]["name"], "hint": hints.get(entry.name),
            "energy": [[share.word, share.colour, round(share.share, 5), share.value]
                       for share in shares(_energy(entry))],
        }
        for entry in found
    ]  # fmt: skip


def _facts(entry: Entry, run: Run) -> list[tuple[str, str]]:
    first, only = entry.layers[0], entry.only
    facts = [("operator", entry.op), ("runs", f"{first['where']}: {first['why']}" if only else "digital")]
    if only is None:
        facts.append(("operators", ", ".join(layer["name"] for layer in entry.layers[:12])
                      + (" …" if len(entry.layers) > 12 else "")))  # fmt: skip
    facts += _of_matrix(first) if first["matrices"] else []
    for label, value, unit in (("energy of a sample", entry.total("energy_j", "total"), "J"),
                               ("busy with a sample", entry.total("latency_s"), "s")):  # fmt: skip
        facts.append((label, engineering(value, unit)))
    if (area := entry.total("area_mm2")) is not None:
        facts.append(("area", f"{area:.3g} mm²"))
    alone = run.measured.per_layer.get(entry.name)
    if alone is not None:
        facts += [("SNR, alone on arrays", decibel(alone["snr_db"])), ("accuracy, alone on arrays",
                  f"{points(-alone['drop'])} points")]  # fmt: skip
    return facts


def _of_matrix(layer: Document) -> list[tuple[str, str]]:
    matrix = layer["matrices"][0]
    rows, cols = matrix["shape"]
    groups = f" in {count(matrix['groups'])} groups" if matrix["groups"] > 1 else ""
    facts = [("matrix", f"{count(rows)} inputs × {count(cols)} outputs{groups}")]
    if layer["row_tiles"] is not None:
        facts.append(("cut into", f"{count(layer['row_tiles'])} row × {count(layer['col_tiles'])} column tiles, "
                                  f"{layer['slices']} slice{'s' if layer['slices'] != 1 else ''}"))  # fmt: skip
    facts += [("products", f"{count(layer['mvms'])} per sample"), ("multiply-adds", count(layer["macs"])),
              ("arrays", count(layer["arrays"])), ("cells used", percent(layer["utilisation"]))]  # fmt: skip
    if (layer["replicas"] or 1) > 1:
        facts.append(("copies", count(layer["replicas"])))
    if matrix["shared_with"]:
        facts.append(("same weights as", ", ".join(matrix["shared_with"])))
    return facts


def suggested(run: Run) -> list[dict[str, Any]]:
    """Layers that hurt, the worst first: what each costs alone on arrays, and what is suggested."""
    hints = {hint["layer"]: hint["why"] for hint in run.document["suggestions"]}
    held = sorted(run.measured.per_layer.values(), key=lambda entry: -entry["drop"])
    worst = max((entry["drop"] for entry in held), default=0.0)
    return [
        {"name": entry["name"], "snr": decibel(entry["snr_db"]), "drop": points(-entry["drop"]),
         "share": max(0.0, entry["drop"] / worst) if worst > 0 else 0.0, "hint": hints.get(entry["name"], "")}
        for entry in held
    ]  # fmt: skip
