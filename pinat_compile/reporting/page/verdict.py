"""The verdict that a page opens with: does it fit, what does it cost, what accuracy, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pinat_compile.reporting.page.run import Run
from pinat_compile.reporting.terminal import COMPONENTS
from pinat_compile.reporting.units import count, duration, engineering, percent, plain

Document = Mapping[str, Any]
Tone = Literal["good", "fair", "bad", "open"]

NOTICED = 0.01
"""Loss of accuracy, as a fraction, from which something is to be done about it."""
HALF_EMPTY = 0.5
"""Share of the cells used below which arrays had better be shared."""
FRACTIONS = ("top1", "agreement")
"""Metrics that are said in per cent."""
LARGE = 0.5
"""Share of the energy from which a component is named."""


@dataclass(frozen=True, slots=True)
class Card:
    """A question and its answer; ``facts`` are label and value."""

    question: str
    answer: str
    tone: Tone
    facts: tuple[tuple[str, str], ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """What to do, why, and the words that do it."""

    what: str
    why: str
    command: str = ""


def cards(run: Run) -> list[Card]:
    """Fit, cost, accuracy."""
    return [_fit(run.document), _cost(run.document), _accuracy(run)]


# --- does it fit ---


def _fit(document: Document) -> Card:
    totals, schedule = document["totals"], document["schedule"]
    question = "Does it fit?"
    if not totals["arrays"]:
        return Card(question, "nothing is analog", "bad", note="every layer runs on digital units; see why below")
    digital = [layer for layer in document["layers"] if layer["where"] == "digital" and layer["macs"]]
    facts = [
        ("cells used", percent(totals["utilisation"])),
        ("analog layers", count(sum(layer["where"] == "analog" for layer in document["layers"]))),
        ("products left digital", count(len(digital)) if digital else "none"),
    ]
    arrays = f"{count(totals['arrays'])} arrays"
    if schedule is None:
        return Card(question, arrays, "open", tuple(facts), "the target does not say how many there are")
    of = f"{count(totals['arrays'])} of {count(schedule['capacity'])} arrays"
    if schedule["rounds"] == 1:
        return Card(question, "yes", "good", (("board", of), *facts))
    facts.insert(0, ("board", f"{count(schedule['capacity'])} arrays"))
    if schedule["lifetime_s"] is not None:
        facts.append(("devices last", duration(schedule["lifetime_s"])))
    note = f"written anew in {schedule['rounds']} rounds for every sample"
    return Card(question, f"no: {arrays} are needed", "bad", tuple(facts), note)


# --- what does it cost ---


def _cost(document: Document) -> Card:
    totals = document["totals"]
    energy = totals["energy_j"]["total"]
    facts = []
    if totals["latency_s"] is not None:
        facts += [("time for a sample", engineering(totals["latency_s"], "s")),
                  ("samples per second", _rate(totals["interval_s"]))]
    if totals["area_mm2"] is not None:
        facts.append(("area", f"{plain(totals['area_mm2'])} mm²"))
    if totals["tops_per_watt"] is not None:
        facts.append(("efficiency", f"{plain(totals['tops_per_watt'])} TOPS/W"))
    if totals["write_energy_j"] is not None:
        facts.append(("writing, once", engineering(totals["write_energy_j"], "J")))
    if energy is None:
        return Card("What does it cost?", "not counted", "open", tuple(facts), "the target gives no energies")
    digital = totals["digital_energy_j"]
    tone: Tone = "open" if digital is None else "good" if energy < digital else "bad"
    if digital is not None:
        facts.append(("on digital arrays", engineering(digital, "J")))
    return Card("What does it cost?", f"{engineering(energy, 'J')} per sample", tone, tuple(facts))


def _rate(interval_s: float) -> str:
    rate = 1.0 / interval_s if interval_s else 0.0
    return count(round(rate)) if rate >= 100.0 else plain(rate)


# --- what accuracy ---


def shown(value: float | None, metric: str) -> str:
    """A value of a metric as people read it."""
    if metric in FRACTIONS:
        return percent(value)
    return "–" if value is None else f"{value:.4g}"


def loss(found: Document) -> float:
    """How much worse the chips' mean is than the reference; positive is worse."""
    sign = 1.0 if found["higher_is_better"] else -1.0
    return float(sign * (found["reference"] - found["mean"]))


def _accuracy(run: Run) -> Card:
    found, question = run.measured.main, "What accuracy?"
    if found is None:
        return Card(question, "not measured", "open", note="see what to do next")
    metric, chips = found["metric"], found["chips"]
    question = f"What accuracy on {chips} chips?" if chips > 1 else "What accuracy on a chip?"
    facts = [("network as trained", shown(found["reference"], metric)),
             ("on ideal devices", shown(found["ideal"], metric))]
    if chips > 1:
        facts += [("worst chip", shown(found["worst"], metric)),
                  ("95 % interval", " to ".join(shown(end, metric) for end in found["ci95"]))]
    if metric in FRACTIONS:
        facts.append(("lost", f"{100 * loss(found):.1f} points"))
    tone: Tone = "open"
    if metric in FRACTIONS:
        tone = "good" if loss(found) < NOTICED else "fair" if loss(found) < 5 * NOTICED else "bad"
    when = duration(found["time_s"])
    note = f"{metric}, {count(found['samples'])} samples of {found['data']}, {when} after programming"
    return Card(question, shown(found["mean"], metric), tone, tuple(facts), note)


# --- what to do next ---


def steps(run: Run) -> list[Step]:
    """What to do next, the most telling first."""
    return [*_of_plan(run), *_of_accuracy(run), *_of_cost(run)]


def _of_plan(run: Run) -> Iterator[Step]:
    document = run.document
    if document["calibration"]["source"].startswith("random"):
        yield Step("Calibrate with samples of your own", "converter ranges were set with random inputs and do not fit",
                   f"{_compile(document)} --calibrate DATA")
    schedule = document["schedule"]
    if schedule is not None and schedule["rounds"] > 1:
        yield Step("Choose a larger board, or keep layers digital",
                   f"arrays are written anew in {schedule['rounds']} rounds for every sample",
                   f"{_compile(document)} --set chip.chips=N")
    for found in document["suggestions"][:3]:
        yield Step(f"Keep {found['layer']} digital", found["why"],
                   f"{_compile(document)} --digital {shlex.quote(found['layer'])}")


def _compile(document: Document) -> str:
    """How the network is compiled, in words for a shell."""
    model = shlex.quote(f"{document['model']['name']}.onnx")
    return f"pinat-compile {model} --target {shlex.quote(document['target']['name'])}"


def _of_accuracy(run: Run) -> Iterator[Step]:
    found, place = run.measured.main, shlex.quote(run.place)
    if found is None:
        yield Step("Measure the accuracy", "nothing was measured on this network yet",
                   f"pinat-compile evaluate {place} --data DATA --chips 10 --per-layer --save")
        return
    if found["metric"] not in FRACTIONS:
        return
    quantised = found["reference"] - found["ideal"]
    if quantised >= NOTICED:
        yield Step("Look for better converters", f"{100 * quantised:.1f} points are lost before any noise",
                   f"pinat-compile sweep {place} --data DATA --vary adc.bits=4..10 --save")
    if found["ideal"] - found["mean"] >= NOTICED:
        lost = f"devices cost {100 * (found['ideal'] - found['mean']):.1f} points"
        if "training" not in run.document:
            yield Step("Fine-tune against the noise", lost,
                       f"pinat-compile finetune {place} --data DATA --method pinat")
        if found["deployment"] is None:
            yield Step("Compensate each chip", lost,
                       f"pinat-compile evaluate {place} --data DATA --deploy moments --save")
        if not run.measured.per_layer:
            yield Step("Find the layers that hurt", "each layer alone on arrays tells what it costs",
                       f"pinat-compile evaluate {place} --data DATA --per-layer --save")


def _of_cost(run: Run) -> Iterator[Step]:
    document = run.document
    totals, schedule = document["totals"], document["schedule"]
    if totals["arrays"] and totals["utilisation"] < HALF_EMPTY:
        yield Step("Let tiles share arrays", f"{percent(totals['utilisation'])} of the cells hold a weight",
                   f"{_compile(document)} --pack")
    energy = totals["energy_j"]
    largest = max((key for key in COMPONENTS if energy.get(key)), key=lambda key: energy[key], default=None)
    if largest is None or energy[largest] < LARGE * energy["total"]:
        return
    share = f"{COMPONENTS[largest]}: {percent(energy[largest] / energy['total'], 0)} of the energy"
    if largest == "leakage" and schedule is not None and schedule["bottleneck"]:
        yield Step("Even out the pipeline", f"{share}, while arrays wait for {schedule['bottleneck']}",
                   f"{_compile(document)} --replicate throughput")
    elif largest in ("adc", "dac"):
        yield Step(f"Try fewer {largest.upper()} bits", share,
                   f"pinat-compile sweep {shlex.quote(run.place)} --data DATA --vary {largest}.bits=4..8 --save")
