"""What characterisation found, on a terminal; made from its document alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pinat_compile.reporting.units import count

Document = Mapping[str, Any]


def characterization(document: Document, *, everything: bool = False) -> list[RenderableType]:
    """Headline, fitted parameters, what was kept, what lies outside; ``everything``: also long lists of parameters."""
    devices = "" if document["devices"] is None else f" of {count(document['devices'])} devices"
    head = Text.assemble((document["source"], "bold"), f"  {count(document['measurements'])} measurements{devices}, "
                         f"models of ", (document["like"], "bold"))
    parts: list[RenderableType] = [head]
    for fit in document["fits"]:
        parts.append(_fit(fit, everything))
    if document["kept"]:
        parts.append(_list("not fitted", [(item["section"], item["why"]) for item in document["kept"]]))
    outside = [(item["section"], f"{count(item['count'])} {item['what']}") for item in document["outside"]]
    parts.append(_list("outside the models", outside) if outside else Text("nothing was found outside the models"))
    return parts


SHOWN = 16


def _fit(fit: Document, everything: bool) -> Group:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column(f"[{fit['section']}]")
    for name in ("value", "std error", "95 % interval"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("unit")
    rows = fit["parameters"] if everything else fit["parameters"][:SHOWN]
    for each in rows:
        low, high = (f"{end:.4g}" for end in each["ci95"])
        table.add_row(each["name"], f"{each['value']:.4g}", f"{each['error']:.2g}", f"{low} to {high}", each["unit"])
    left = len(fit["parameters"]) - len(rows)
    more = [Text(f"and {left} more parameters: -v")] if left else []
    bad = sum(each["deviates"] for each in fit["bins"])
    checked = f"; {bad} of {len(fit['bins'])} bins deviate" if fit["bins"] else ""
    return Group(table, *more, Text(f"{count(fit['measurements'])} measurements, {fit['how']}{checked}", style="dim"))


def _list(title: str, rows: list[tuple[str, str]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column(title, no_wrap=True)
    table.add_column("")
    for name, text in rows:
        table.add_row(name, text)
    return table
