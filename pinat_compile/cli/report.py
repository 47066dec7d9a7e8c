"""``pinat-compile report``: the saved report of a compiled network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pinat_compile.cli.options import PathOf, common, folder_argument, json_option
from pinat_compile.cli.output import Output
from pinat_compile.reporting.printable import printable

if TYPE_CHECKING:
    from rich.console import RenderableType


@click.command("report", short_help="The saved report: layers, arrays, energy.")
@folder_argument
@click.option(
    "--explain", metavar="KEY", help="Where a total comes from, for example energy_j.adc, latency_s or area_mm2."
)
@click.option("-o", "--output", type=PathOf(), metavar="FILE.html", help="Write the report as one HTML file.")
@click.option(
    "--results", multiple=True, type=PathOf(), metavar="FILE.json",
    help="What evaluate or sweep wrote with --json on this network; beside what they kept with --save.",
)
@click.option("--against", type=PathOf(), metavar="DIR2", help="Another network beside it: differences are marked.")
@click.option(
    "--against-results", multiple=True, type=PathOf(), metavar="FILE.json", help="As --results, of DIR2."
)
@json_option
@common
@click.pass_context
def report_command(
    ctx: click.Context, /, folder: Path, explain: str | None, as_json: bool, output: Path | None, **page: Any
) -> None:
    """Print the tables of the report that was saved in DIR; -v lists every layer.

    With -o the report is one HTML file instead, which opens anywhere and needs no network: verdict, costs, floor plan,
    histograms, accuracy where it was measured, and the source of every number.

    With --explain, one figure: how it is computed, and from which numbers of the target, each with its source; a number
    that is an assumption is marked ?.
    """
    from pinat_compile.compiler.folder import read_report, understood
    from pinat_compile.reporting import terminal

    if output is None and any(page.values()):
        raise click.UsageError("--results and --against need -o FILE.html")
    if output is not None and (as_json or explain is not None):
        raise click.UsageError("-o FILE.html goes without --json and --explain")
    out = Output.of(ctx, as_json=as_json)
    if output is not None:
        _write(out, folder, output, page)
        return
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


def _write(out: Output, folder: Path, output: Path, page: Mapping[str, Any]) -> None:
    from rich.text import Text

    from pinat_compile.reporting.page.report import report

    report(folder, output, **page)
    out.note(Text(printable(f"wrote {output}")))


def _explain(out: Output, folder: Path, document: Mapping[str, Any], key: str) -> None:
    from dataclasses import asdict

    from pinat_compile.compiler.folder import load
    from pinat_compile.cost.provenance import explain
    from pinat_compile.reporting.explanation import explanation

    found = explain(document, load(folder).target, key)
    out.show(*explanation(found))
    if out.as_json:
        out.document(asdict(found))
