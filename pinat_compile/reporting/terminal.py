"""The report on a terminal: tables of 80 columns, made from the report document alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from pinat_compile.reporting.units import (
    DASH,
    approximately,
    count,
    decibel,
    duration,
    engineering,
    percent,
    plain,
    points,
    shortened,
)

Document = Mapping[str, Any]

WIDTH = 80

COMPONENTS = {
    "array": "arrays",
    "laser": "lasers",
    "modulator": "modulators",
    "detector": "detectors",
    "dac": "DAC",
    "adc": "ADC",
    "sample_hold": "sample+hold",
    "shift_add": "shift+add",
    "registers": "registers",
    "digital": "digital",
    "buffer": "buffers",
    "bus": "bus",
    "link": "links",
    "io": "input+output",
    "reload": "writing anew",
    "heaters": "heaters",
    "leakage": "leakage",
}


def show(console: Console, *parts: RenderableType) -> None:
    """Print ``parts`` with an empty line between them."""
    for index, part in enumerate(parts):
        if index:
            console.print()
        console.print(part)


def headline(document: Document) -> Text:
    """Which network on which chip."""
    model, target = document["model"], document["target"]
    text = Text()
    text.append(model["name"], style="bold")
    text.append(f"  {count(model['parameters'])} parameters, {count(model['macs'])} MACs per sample\n")
    text.append(target["name"], style="bold")
    text.append(f"  {target['title']}" if target.get("title") else f"  {target['rows']} x {target['cols']}")
    return text


def short_headline(model: str, target: str) -> Text:
    """One line of it."""
    return Text.assemble((model, "bold"), " on ", (target, "bold"))


def passes(document: Document) -> Group:
    """Each pass on a line: nodes after it, and how long it took; then what those gained that place the network."""
    table = _table()
    table.add_column("pass")
    table.add_column("nodes", justify="right")
    table.add_column("ms", justify="right")
    for record in document["passes"]:
        before, after = record["nodes_before"], record["nodes_after"]
        nodes = str(after) if before == after else f"{before} > {after}"
        table.add_row(record["name"], nodes, f"{1e3 * record['seconds']:.1f}")
    gains = [Text(f"{record['name']}: {record['gain']}") for record in document["passes"] if record.get("gain")]
    return Group(table, *([Text(), *gains] if gains else []))


def layers(document: Document, *, everything: bool = False) -> Table:
    """Layers on arrays and digital products one by one; other digital operators added up (``everything``: not)."""
    table = _table(gap=1)
    table.add_column("layer", max_width=20, no_wrap=True)
    table.add_column("op", no_wrap=True, max_width=12)
    table.add_column("where")
    table.add_column("arrays", justify="right")
    table.add_column("used", justify="right")
    table.add_column("energy", justify="right", no_wrap=True)
    table.add_column("why", no_wrap=False)
    for row in _layer_rows(document["layers"], everything):
        table.add_row(*row, style="" if row[2] == "analog" else "dim")
    return table


def _layer_rows(entries: Sequence[Document], everything: bool) -> Iterator[tuple[str, ...]]:
    rest = []
    for entry in entries:
        if everything or entry["where"] == "analog" or entry["macs"] is not None:
            arrays = count(entry["arrays"]) if entry["arrays"] != 0 else f"({count(entry['arrays_touched'])})"
            yield (
                shortened(entry["name"], 20),
                entry["op"],
                entry["where"],
                arrays if entry["arrays"] is not None else DASH,
                percent(entry["utilisation"], 0),
                engineering(entry["energy_j"]["total"], "J"),
                _why(entry),
            )
        else:
            rest.append(entry)
    for op, group in groupby(sorted(rest, key=lambda entry: str(entry["op"])), key=lambda entry: str(entry["op"])):
        members = list(group)
        energies = [member["energy_j"]["total"] for member in members]
        known = [energy for energy in energies if energy is not None]
        yield (
            f"{len(members)} x" if len(members) > 1 else shortened(members[0]["name"], 20),
            op,
            "digital",
            DASH,
            DASH,
            engineering(sum(known) if known else None, "J"),
            _why(members[0]),
        )


def _why(entry: Document) -> str:
    shared = [name for matrix in entry["matrices"] for name in matrix["shared_with"]]
    if entry["arrays"] == 0 and shared:
        return f"same arrays as {shared[0]}"
    return str(entry["why"])


def totals(document: Document) -> Group:
    """Arrays, energy by component, efficiency; what the sums leave out."""
    total = document["totals"]
    table = _table(header=False)
    table.add_column(style="bold")
    table.add_column()
    if total["arrays"]:
        table.add_row("arrays", f"{count(total['arrays'])}, {percent(total['utilisation'])} of the cells used")
        if document.get("schedule"):
            table.add_row("board", _board(document["schedule"]))
    energy = total["energy_j"]
    if energy["total"] is not None:
        table.add_row("energy", f"{engineering(energy['total'], 'J')} per sample: {_components(energy)}")
        efficiency = f"{plain(total['tops_per_watt'])} TOPS/W" if total["tops_per_watt"] is not None else DASH
        if total["tops_per_watt_1b"] is not None:
            efficiency += f" ({plain(total['tops_per_watt_1b'])} counted in 1-bit operations)"
        table.add_row("efficiency", efficiency)
    else:
        table.add_row("energy", "not counted: the target gives no energies")
    if total["digital_energy_j"] is not None:
        table.add_row("digital", f"{engineering(total['digital_energy_j'], 'J')} on digital arrays of that node")
    if total["latency_s"] is not None:
        bottleneck = f" ({document['schedule']['bottleneck']})" if document["schedule"] is not None else ""
        pace = f"one per {engineering(total['interval_s'], 's')}{bottleneck}"
        table.add_row("time", f"{engineering(total['latency_s'], 's')} for a sample, {pace}")
    if total["area_mm2"] is not None:
        table.add_row("area", f"{plain(total['area_mm2'])} mm², the arrays' share of the chip")
    if total["write_energy_j"] is not None:
        table.add_row("writing", f"{engineering(total['write_energy_j'], 'J')}, once")
    if energy["total"] is not None and document.get("uncounted"):
        table.add_row("left out", _left_out(document["uncounted"]))
    if document.get("assumptions"):
        table.add_row("assumed", _assumed(document["assumptions"]))
    table.add_row("calibrated", f"with {document['calibration']['source']}")
    table.add_row("read", f"{duration(document['default_time_s'])} after programming, unless --time says otherwise")
    if document.get("bind"):
        table.add_row("sizes", ", ".join(f"{name} = {size}" for name, size in document["bind"].items()))
    return Group(table)


_FIGURES = {"energy_j.total": "energy", "latency_s": "time", "area_mm2": "area"}


def _assumed(found: Document) -> str:
    """How much of the main figures rests on numbers that nobody looked up."""
    said = [
        f"{len(found[key]['not_verified'])} of {found[key]['numbers']} numbers behind {name}"
        for key, name in _FIGURES.items()
        if key in found
    ]
    return f"{', '.join(said)}: report DIR --explain KEY"


def _board(schedule: Document) -> str:
    """Whether the network fits, and what follows where it does not."""
    capacity, turns = count(schedule["capacity"]), schedule["rounds"]
    if turns == 1:
        return f"{capacity} arrays"
    lifetime = schedule["lifetime_s"]
    worn = "" if lifetime is None else f", devices last {approximately(lifetime)} of it"
    return f"{capacity} arrays: written anew in {turns} rounds per sample{worn}"


def _left_out(missing: Sequence[str]) -> str:
    """``leakage of array, dac``: what the sums do not count, by section; a target's missing number is called that."""
    layers = [said for said in missing if said.startswith("layer ")]
    keys = [said.partition(".") for said in missing if not said.startswith("layer ")]
    said = []
    for section, group in groupby(keys, key=lambda key: key[0]):
        of = ", ".join(name.rpartition("_")[0] or name for _, _, name in group if name)
        said.append(f"{section} of {of}" if of else section)
    counted = [f"{'; '.join(said)} (the target has no number)"] if said else []
    return "; ".join([*counted, *layers])


def _components(energy: Document) -> str:
    """The largest components first, with their share; those below half a percent together."""
    shares = {
        name: energy[key] / energy["total"] for key, name in COMPONENTS.items() if energy.get(key) and energy["total"]
    }
    large = sorted((name for name in shares if shares[name] >= 0.005), key=lambda name: -shares[name])
    said = [f"{name} {percent(shares[name], 0)}" for name in large]
    small = len(shares) - len(large)
    return ", ".join(said) + (f", {small} more below 1 %" if small else "")


def accuracy(document: Document) -> Group:
    """The ``accuracy`` part: reference, ideal, chips; then chip by chip, and layer by layer where that was asked."""
    found = document["accuracy"]
    name = found["metric"]
    show_value = percent if name in ("top1", "agreement") else _number
    detail = found["top5_detail"]
    table = _table()
    table.add_column("")
    deployed = found["deployment"]
    bare = None if deployed is None else deployed["without"]
    if bare is not None:
        table.add_column("without", justify="right", style="dim")
    table.add_column(name if bare is None else f"deployed, {name}", justify="right")
    if detail is not None:
        table.add_column("top5", justify="right")

    def row(label: str, key: str, show: Any = show_value, style: str = "") -> None:
        undeployed = [] if bare is None else [show(bare[key]) if key in bare else ""]
        top5 = [] if detail is None else [_interval(detail[key], percent) if key == "ci95" else percent(detail[key])]
        table.add_row(label, *undeployed, show(found[key]), *top5, style=style)

    row("reference (onnxruntime)", "reference")
    row("mapped, ideal devices", "ideal")
    chips = found["chips"]
    row(f"mean of {chips} chips" if chips > 1 else f"chip {found['chip_numbers'][0]}", "mean", style="bold")
    if chips > 1:
        for label, key in (("standard deviation", "std"), ("5th percentile", "p5"), ("worst chip", "worst")):
            row(label, key)
        row("95 % interval of the mean", "ci95", lambda ends: _interval(ends, show_value))
    parts: list[RenderableType] = [conditions(found), table]
    if deployed is not None:
        parts.append(deployment(deployed, fractions=show_value is percent))
    if chips > 1:
        parts.append(Text(f"chips: {'  '.join(show_value(value) for value in found['per_chip'])}"))
    if found["per_layer"] is not None:
        parts.append(per_layer(found["per_layer"], fractions=name in ("top1", "agreement")))
    if document.get("calibration", {}).get("source", "").startswith("random"):
        parts.append(Text("calibrated with random inputs: converter ranges do not fit; compile with --calibrate DATA"))
    return Group(*_spaced(parts))


def conditions(found: Document) -> Text:
    """What was evaluated, and how."""
    each = found["energy_j"]
    cost = "" if each is None else f" ({engineering(each, 'J')} per sample)"
    reads = f", {found['reads']} reads averaged{cost}" if found["reads"] > 1 else ""
    kelvin = found["temperature_k"]
    heat = "" if kelvin is None else f" at {kelvin:g} K"
    severity = f", severity {found['severity']:g}" if found["severity"] != 1.0 else ""
    return Text(
        f"{count(found['samples'])} samples of {found['data']}, read {duration(found['time_s'])} after programming"
        f"{heat}{severity}{reads}, seed {found['seed']}{_dynamic(found.get('dynamic'))}"
    )


def _dynamic(found: Document | None) -> str:
    """What changed while chips were judged, as a line of its own; nothing where nothing did."""
    if found is None:
        return ""
    kind, known = found["kind"], found["parameters"]
    levels = [level["severity"] for level in found["levels"]]
    if kind == "shift":
        said = f"fitted at severity {known['calibrated']:g}, judged at {known['judged']:g}"
    elif kind == "gain-drift":
        common, own = (percent(known[key], 0) for key in ("common", "per_column"))
        said = f"column gains drifted by up to {common} together and {own} each"
    else:
        span = known.get("correlation_samples")
        each = "independent" if span is None else f"correlated over {span:g} samples"
        said = f"severities {min(levels):g} to {max(levels):g} along the data, {each}"
    return f"\ndynamic {kind}: {said}"


def deployment(found: Document, *, fractions: bool) -> Text:
    """What was done for each chip, with what, and what each gained."""
    said = []
    for step in found["per_step"]:
        if step["samples"] is not None:
            said.append(f"{step['name']} ({count(step['samples'])} samples of {step['data']})")
        else:
            read = f" ({count(step['probes'])} probe vectors per matrix)" if step["probes"] is not None else ""
            said.append(f"{step['name']}{read}")
    gain = found["gain"]
    mean, worst = (f"{100 * gain[key]:+.1f}" if fractions else f"{gain[key]:+.4g}" for key in ("mean", "worst"))
    gained = f"{mean} on average, {worst} at worst" if len(gain["per_chip"]) > 1 else mean
    return Text(
        f"deployed {duration(found['time_s'])} after programming: {', '.join(said)}\n"
        f"gain{' in points' if fractions else ''}: {gained}"
    )


def per_layer(entries: Sequence[Document], *, fractions: bool) -> Table:
    """Each analog layer alone on arrays."""
    table = _table()
    table.add_column("only this layer on arrays", max_width=40, no_wrap=True)
    table.add_column("SNR", justify="right")
    table.add_column("drop (points)" if fractions else "drop", justify="right")
    for entry in entries:
        drop = points(entry["drop"]) if fractions else _number(entry["drop"])
        table.add_row(shortened(entry["name"], 40), decibel(entry["snr_db"]), drop)
    return table


def suggestions(document: Document) -> Text:
    """Layers that had better stay digital; empty where there are none."""
    found = document["suggestions"]
    lines = [f"--digital {entry['layer']}: {entry['why']}" for entry in found[:SUGGESTED]]
    if len(found) > SUGGESTED:
        lines.append(f"and {len(found) - SUGGESTED} more (--json names them all)")
    return Text("\n".join(["to consider", *lines]) if lines else "")


SUGGESTED = 5
"""Suggestions shown."""


def training(document: Document) -> Group:
    """The ``training`` part: one line per epoch."""
    found = document["training"]
    table = _table()
    table.add_column("epoch", justify="right")
    table.add_column("loss", justify="right")
    table.add_column("validation", justify="right")
    table.add_column("seconds", justify="right")
    for record in found["history"]:
        seconds = record.get("seconds")
        table.add_row(
            str(record["epoch"]),
            _number(record["loss"]),
            percent(record["validation_accuracy"]),
            DASH if seconds is None else f"{seconds:.1f}",
        )
    settings = found["settings"]
    named = ("batch_size", "learning_rate", "loss", "noise", "severity", "chips_per_batch", "seed")
    said = ", ".join(f"{key} {settings[key]}" for key in named if settings.get(key) is not None)
    parts: list[Any] = [Text(f"fine-tuned with {found['method']}: {said}"), Text(), table]
    weighed = [f"{key.removeprefix('lambda_')} {value:g}" for key, value in settings.items()
               if key.startswith("lambda_") and value]
    if weighed:
        parts.insert(1, Text(f"L_physics: {', '.join(weighed)}"))
    if found.get("stopped_early"):
        parts += [Text(), Text(f"stopped early, after {found['steps']} steps: no judgement was better any more")]
    if found.get("kept_epoch") == 0 and found["epochs"] > 0:
        parts += [Text(), Text("no epoch was better than the start: the network is unchanged; try more data or epochs")]
    return Group(*parts)


def _interval(ends: Sequence[float] | None, show_value: Any) -> str:
    if ends is None:
        return DASH
    if show_value is percent:  # the t-interval of a share may reach over 0 or 1
        ends = [min(max(end, 0.0), 1.0) for end in ends]
    low, high = (show_value(end) for end in ends)
    return f"{low.removesuffix(' %')} to {high}"


def _number(value: float | None) -> str:
    return DASH if value is None else f"{value:.4g}"


def _spaced(parts: Sequence[RenderableType]) -> Iterator[RenderableType]:
    for index, part in enumerate(parts):
        if index:
            yield Text()
        yield part


def _table(*, header: bool = True, gap: int = 2) -> Table:
    return Table(box=None, pad_edge=False, show_header=header, header_style="bold", padding=(0, gap, 0, 0))
