"""``pinat-compile report``: the saved report of a compiled network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pinat_compile.cli.options import common, folder_argument, json_option
from pinat_compile.cli.output import Output
from pinat_compile.reporting.printable import printable

if TYPE_CHECKING:
    from rich.console import RenderableType


@click.command("report", short_help="The saved report: layers, arrays, energy.")
@folder_argument
@json_option
@common
@click.pass_context
def report_command(ctx: click.Context, folder: Path, as_json: bool) -> None:
    """Print the tables of the report that was saved in DIR; -v lists every layer."""
    from pinat_compile.compiler.folder import read_report, understood
    from pinat_compile.reporting import terminal

    out = Output.of(ctx, as_json=as_json)
    document = read_report(folder)
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
