"""A figure down to the numbers that made it, on a terminal."""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pinat_compile.cost.provenance import Explanation
from pinat_compile.hardware.writer import toml_value
from pinat_compile.reporting.printable import printable
from pinat_compile.reporting.units import DASH, count, engineering, percent, plain

UNITS = {"energy_j": "J", "write_energy_j": "J", "digital_energy_j": "J", "latency_s": "s", "interval_s": "s"}


def explanation(found: Explanation) -> list[RenderableType]:
    """Value and rule, what it is the sum of, the layers that contribute most, the target's numbers with sources."""
    head = Text.assemble((found.key, "bold"), f" = {shown(found.key, found.value)}\n{found.how}")
    parts: list[RenderableType] = [head]
    for title, entries in (("component", found.parts), ("largest layers", found.layers)):
        if entries:
            parts.append(_shares(title, entries, found))
    if found.constants:
        parts.append(_constants(found))
    if found.doubtful:
        doubtful = len(found.doubtful)
        parts.append(Text(f"? {doubtful} of {len(found.constants)} are assumptions, or their source was not looked up"))
    return parts


def shown(key: str, value: float | None) -> str:
    if value is None:
        return f"{DASH} (not computed: the target does not give what it needs)"
    unit = UNITS.get(key.partition(".")[0])
    if unit is not None:
        return engineering(value, unit)
    return count(value) if isinstance(value, int) else plain(value)


def _shares(title: str, entries: tuple[tuple[str, float], ...], found: Explanation) -> Table:
    table = _table(title, "", "")
    for name, value in entries:
        share = percent(value / found.value, 0) if found.value else DASH
        energy = "energy_j" if title == "component" else found.key
        table.add_row(printable(name), shown(energy, value), share)
    return table


def _constants(found: Explanation) -> Table:
    table = _table("", "number", "value", "source")
    for constant in found.constants:
        value = toml_value(constant.value) if not isinstance(constant.value, str) else constant.value
        mark = "" if constant.verified else "?"
        table.add_row(mark, constant.key, printable(value), printable(constant.source))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name, overflow="fold")
    return table
