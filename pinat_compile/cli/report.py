"""``pinat-compile report``: the saved report of a compiled network."""

from __future__ import annotations

from pathlib import Path

import click

from pinat_compile.cli.options import common, folder_argument, json_option
from pinat_compile.cli.output import Output


@click.command("report", short_help="The saved report: layers, arrays, energy.")
@folder_argument
@json_option
@common
@click.pass_context
def report_command(ctx: click.Context, folder: Path, as_json: bool) -> None:
    """Print the tables of the report that was saved in DIR; -v lists every layer."""
    from pinat_compile.compiler.folder import read_report
    from pinat_compile.reporting import terminal

    out = Output.of(ctx, as_json=as_json)
    document = read_report(folder)
    if as_json:
        out.document(document)
        return
    out.show(
        terminal.headline(document),
        terminal.layers(document, everything=out.verbose),
        terminal.totals(document),
        *([terminal.training(document)] if "training" in document else []),
    )
