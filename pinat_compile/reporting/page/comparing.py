"""Two runs beside each other: every figure of both, and whether the second is better or worse."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pinat_compile.evaluation.statistics import Spread
from pinat_compile.hardware.schema import Target
from pinat_compile.reporting.page.provenance import numbers
from pinat_compile.reporting.page.run import Run
from pinat_compile.reporting.page.verdict import FRACTIONS, shown
from pinat_compile.reporting.terminal import COMPONENTS
from pinat_compile.reporting.units import DASH, count, decibel, engineering, percent

Document = Mapping[str, Any]
Show = Callable[[float | None], str]
Good = Literal["less", "more", "either"]

SAME = 5e-4
"""Relative difference up to which two figures are the same."""


@dataclass(frozen=True, slots=True)
class Line:
    """A figure of both runs as text, how they differ, and ``better``, ``worse``, ``other`` or ``same``."""

    label: str
    a: str
    b: str
    change: str
    tone: str


def line(label: str, a: float | None, b: float | None, show: Show, good: Good, *, fraction: bool = False) -> Line:
    """``good``: which way is better. ``fraction``: the difference is said in points instead of per cent."""
    if a is None or b is None:
        return Line(label, show(a), show(b), "", "same" if a is b else "other")
    if abs(b - a) <= SAME * max(abs(a), abs(b)):
        return Line(label, show(a), show(b), "", "same")
    tone = "other" if good == "either" else "better" if (b < a) == (good == "less") else "worse"
    if fraction:
        return Line(label, show(a), show(b), f"{100 * (b - a):+.1f} points", tone)
    ratio = b / a if a else float("inf")
    change = "" if not a else f"{100 * (ratio - 1):+.1f} %" if 0.5 <= ratio <= 2.0 else f"× {ratio:.3g}"
    return Line(label, show(a), show(b), change, tone)


def joules(value: float | None) -> str:
    return engineering(value, "J")


def seconds(value: float | None) -> str:
    return engineering(value, "s")


def three(value: float | None) -> str:
    """Three digits."""
    return DASH if value is None else f"{value:.3g}"


TOTALS: tuple[tuple[str, str, Show, Good], ...] = (
    ("arrays", "arrays", count, "less"),
    ("utilisation", "cells used", percent, "more"),
    ("latency_s", "time for a sample", seconds, "less"),
    ("interval_s", "interval between samples", seconds, "less"),
    ("area_mm2", "area, mm²", three, "less"),
    ("tops_per_watt", "TOPS/W", three, "more"),
    ("write_energy_j", "writing, once", joules, "less"),
    ("digital_energy_j", "on digital arrays", joules, "either"),
)


def totals(a: Run, b: Run) -> list[Line]:
    """The main figures, accuracy first."""
    first, second = a.document["totals"], b.document["totals"]
    energies = first["energy_j"]["total"], second["energy_j"]["total"]
    found = [*_accuracy(a, b), line("energy of a sample", *energies, joules, "less")]
    for key, label, show, good in TOTALS:
        found.append(line(label, first[key], second[key], show, good))
    return found


def _accuracy(a: Run, b: Run) -> Iterator[Line]:
    """Of the evaluations that the two verdicts speak of, where both have one of the same metric."""
    first, second = a.measured.main, b.measured.main
    if first is None or second is None or first["metric"] != second["metric"]:
        return
    metric, good = first["metric"], "more" if first["higher_is_better"] else "less"
    for key, label in (("mean", f"{metric}, mean of chips"), ("worst", "worst chip"), ("ideal", "on ideal devices"),
                       ("reference", "network as trained")):  # fmt: skip
        yield line(label, first[key], second[key], lambda value: shown(value, metric), good,  # type: ignore[arg-type]
                   fraction=metric in FRACTIONS)  # fmt: skip


def paired(a: Run, b: Run) -> str:
    """The mean difference chip by chip with its 95 % interval, where both were judged on the same chips and data."""
    first, second = a.measured.main, b.measured.main
    keys = ("metric", "chip_numbers", "data", "samples", "severity", "time_s")
    if first is None or second is None or any(first[key] != second[key] for key in keys) or first["chips"] < 2:
        return ""
    scale, unit = (100.0, "points") if first["metric"] in FRACTIONS else (1.0, first["metric"])
    gains = [scale * (y - x) for x, y in zip(first["per_chip"], second["per_chip"], strict=True)]
    found = Spread.of(gains)
    low, high = found.ci95 or (found.mean, found.mean)
    return f"{found.mean:+.1f} {unit} chip by chip, 95 % interval {low:+.1f} to {high:+.1f}"


def components(a: Run, b: Run) -> list[Line]:
    """Energy of a sample, component by component."""
    first, second = a.document["totals"]["energy_j"], b.document["totals"]["energy_j"]
    return [
        line(word, first[key], second[key], joules, "less")
        for key, word in COMPONENTS.items()
        if first.get(key) or second.get(key)
    ]


@dataclass(frozen=True, slots=True)
class LayerLines:
    """A layer of both runs: ``where`` it runs, and its figures. ``changed``: whether anything differs."""

    name: str
    where: str
    lines: tuple[Line, ...]

    @property
    def changed(self) -> bool:
        return "→" in self.where or any(each.tone != "same" for each in self.lines)


def layers(a: Run, b: Run) -> list[LayerLines]:
    """Layers with products, and all others that do not run in the same place, by name; in the order of the first."""
    first, second = ({layer["name"]: layer for layer in run.document["layers"]} for run in (a, b))
    names = dict.fromkeys((*first, *second))
    found = []
    for name in names:
        held = first.get(name), second.get(name)
        if any(layer is not None and layer["macs"] for layer in held):
            found.append(LayerLines(name, _where(*held), tuple(_of_layer(held, (a, b), name))))
    return found


def _where(a: Document | None, b: Document | None) -> str:
    said = [DASH if layer is None else str(layer["where"]) for layer in (a, b)]
    return said[0] if said[0] == said[1] else " → ".join(said)


def _of_layer(held: Sequence[Document | None], runs: Sequence[Run], name: str) -> Iterator[Line]:
    empty: Document = {"energy_j": {"total": None}}
    a, b = (layer or empty for layer in held)
    yield line("energy", a["energy_j"]["total"], b["energy_j"]["total"], joules, "less")
    yield line("arrays", a.get("arrays"), b.get("arrays"), count, "less")
    yield line("time", a.get("latency_s"), b.get("latency_s"), seconds, "less")
    snr = [run.measured.per_layer.get(name, {}).get("snr_db") for run in runs]
    yield line("SNR", snr[0], snr[1], decibel, "more")


def targets(a: Target, b: Target) -> list[Line]:
    """The numbers of the two targets that differ."""
    first, second = ({number.key: number.value for number in numbers(target)} for target in (a, b))
    keys = dict.fromkeys((*first, *second))
    return [Line(key, first.get(key, DASH), second.get(key, DASH), "", "other")
            for key in keys if first.get(key) != second.get(key)]  # fmt: skip


def settings(a: Run, b: Run) -> list[Line]:
    """How the two were fine-tuned, where that differs."""
    first, second = (_training(run.document.get("training")) for run in (a, b))
    keys = dict.fromkeys((*first, *second))
    return [Line(key, first.get(key, DASH), second.get(key, DASH), "", "other")
            for key in keys if first.get(key) != second.get(key)]  # fmt: skip


def _training(found: Document | None) -> dict[str, str]:
    if found is None:
        return {"method": "not fine-tuned"}
    given = {key: value for key, value in found["settings"].items() if value is not None}
    return {key: str(value) for key, value in {"method": found["method"], "epochs": found["epochs"], **given}.items()}
