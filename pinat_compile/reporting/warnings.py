"""What a user had better know of a compiled network: each warning names layer or board, and what to try."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from pinat_compile.reporting.units import approximately, count, percent, shortened

Document = Mapping[str, Any]

NAMED = 3
"""Layers that a warning names."""


def warnings(document: Document) -> Text:
    """The warnings of a report document, a line each; empty where all is well."""
    text = Text()
    for said in (*_ranges(document), *_board(document), *_digital(document)):
        text.append("\n" if text else "").append("warning: ", style="bold yellow").append(said)
    return text


def _ranges(document: Document) -> Iterator[str]:
    """Converter ranges that do not come from data."""
    if document["calibration"]["source"].startswith("random"):
        yield "converter ranges come from random inputs and do not fit the data: compile with --calibrate DATA"


def _board(document: Document) -> Iterator[str]:
    """A network that is larger than the board."""
    schedule = document.get("schedule")
    if not schedule or schedule["rounds"] <= 1:
        return
    lifetime = schedule["lifetime_s"]
    worn = "" if lifetime is None else f", devices last {approximately(lifetime)} of it"
    yield (
        f"too large for the chip: {count(document['totals']['arrays'])} arrays on a board of "
        f"{count(schedule['capacity'])}, written anew in {schedule['rounds']} rounds per sample{worn}; try --pack, "
        f"--digital LAYER, or more chips: --set chip.chips={schedule['rounds']}"
    )


def _digital(document: Document) -> Iterator[str]:
    """Products that stay in digital logic though nobody asked for it, the largest first."""
    entries = [entry for entry in document["layers"] if entry["macs"]]
    total = sum(entry["macs"] for entry in entries)
    silent = [entry for entry in entries if entry["where"] == "digital" and "--digital" not in entry["why"]]
    silent.sort(key=lambda entry: -entry["macs"])
    if not silent:
        return
    named = ", ".join(f"{shortened(entry['name'], 30)} ({entry['why']})" for entry in silent[:NAMED])
    more = f" and {len(silent) - NAMED} more" if len(silent) > NAMED else ""
    share = percent(sum(entry["macs"] for entry in silent) / total)
    yield f"{share} of the MACs stay digital: {named}{more}; --analog LAYER says what is in the way"
