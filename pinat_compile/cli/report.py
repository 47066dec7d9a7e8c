"""``pinat-compile report``: the saved report of a compiled network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pinat_compile.cli.options import common, folder_argument, json_option
from pinat_compile.cli.output import Output
from pinat_compile.reporting.printable import printable

if TYPE_CHECKING:
    from rich.console import RenderableType


@click.command("report", short_help="The saved report: layers, arrays, energy.")
@folder_argument
@click.option(
    "--explain", metavar="KEY", help="Where a total comes from, for example energy_j.adc, latency_s or area_mm2."
)
@json_option
@common
@click.pass_context
def report_command(ctx: click.Context, folder: Path, explain: str | None, as_json: bool) -> None:
    """Print the tables of the report that was saved in DIR; -v lists every layer.

    With --explain, one figure: how it is computed, and from which numbers of the target, each with its source; a number
    that is an assumption is marked ?.
    """
    from pinat_compile.compiler.folder import read_report, understood
    from pinat_compile.reporting import terminal

    out = Output.of(ctx, as_json=as_json)
    document = read_report(folder)
    if explain is not None:
        _explain(out, folder, document, explain)
        return
    if as_json:
        out.document(document)
        return
    with understood(folder):
        shown = printable(document)
        parts: list[RenderableType] = [
            terminal.headline(shown),
            terminal.layers(shown, everything=out.verbose),
            terminal.totals(shown),
            *([terminal.training(shown)] if "training" in shown else []),
        ]
    out.show(*parts)


def _explain(out: Output, folder: Path, document: Mapping[str, Any], key: str) -> None:
    from dataclasses import asdict

    from pinat_compile.compiler.folder import load
    from pinat_compile.cost.provenance import explain
    from pinat_compile.reporting.explanation import explanation

    found = explain(document, load(folder).target, key)
    out.show(*explanation(found))
    if out.as_json:
        out.document(asdict(found))
