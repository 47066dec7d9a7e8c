"""``pinat-compile targets`` and ``pinat-compile operators``: what there is."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import click

from pinat_compile.cli.completion import targets
from pinat_compile.cli.options import common
from pinat_compile.cli.output import Output
from pinat_compile.reporting.printable import printable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from pinat_compile.hardware.schema import Target


@click.command("targets", short_help="List the targets; show one with the source of each number.")
@click.argument("name", required=False, metavar="[NAME|FILE.toml]", shell_complete=targets)
@common
@click.pass_context
def targets_command(ctx: click.Context, name: str | None) -> None:
    """List the shipped targets, or show one: every value, and where it comes from.

    A value marked ? is an assumption, or its source was not looked up.
    """
    from pinat_compile.hardware.loader import list_targets, load_target

    out = Output.of(ctx)
    if name is None:
        out.show(_target_list([load_target(name) for name in list_targets()]))
    else:
        out.show(*_target_page(load_target(name)))


def _target_list(targets: list[Target]) -> RenderableType:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("target", no_wrap=True)
    table.add_column("what it is")
    for target in targets:
        table.add_row(target.name, printable(target.title))
    return table


def _target_page(target: Target) -> list[RenderableType]:
    from rich.table import Table
    from rich.text import Text

    from pinat_compile.hardware.loader import is_verified
    from pinat_compile.hardware.names import sections
    from pinat_compile.hardware.writer import toml_value

    parts: list[RenderableType] = [Text.assemble((target.name, "bold"), f"  {printable(target.title)}")]
    doubtful = 0
    for name in sections():
        section = getattr(target, name)
        if section is None:
            continue
        table = Table(title=f"[{name}]", title_justify="left", title_style="bold", box=None, pad_edge=False,
                      show_header=False, padding=(0, 2, 0, 0))
        table.add_column(width=1)
        table.add_column(no_wrap=True, width=20)
        table.add_column(width=14)
        table.add_column(style="dim")
        previous = ""
        for item in fields(section):
            value, source = getattr(section, item.name), target.sources.get(f"{name}.{item.name}", "")
            if value is None:
                continue
            mark = "" if not source or source == "default" or is_verified(source) else "?"
            doubtful += bool(mark)
            table.add_row(mark, item.name, printable(toml_value(value)),
                          "as above" if source and source == previous else printable(source))
            previous = source
        parts.append(table)
    if doubtful:
        parts.append(Text(f"? {doubtful} values are assumptions, or their source was not looked up"))
    return parts


@click.command("operators", short_help="What runs on arrays, what in digital logic.")
@common
@click.pass_context
def operators_command(ctx: click.Context) -> None:
    """List the ONNX operators that run; -v says what each does. A network with any other is refused by name."""
    from rich.columns import Columns
    from rich.table import Table
    from rich.text import Text

    from pinat_compile.simulator.operators import supported_operators

    out = Output.of(ctx)
    kinds = {
        "analog": "on arrays, where one operand is constant; else digital",
        "digital": "in digital logic",
    }
    parts: list[RenderableType] = []
    for kind, meaning in kinds.items():
        found = [item for item in supported_operators() if item.where == kind]
        parts.append(Text.assemble((kind, "bold"), f"  {len(found)} operators {meaning}"))
        if out.verbose or kind == "analog":
            table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 2))
            table.add_column(no_wrap=True)
            table.add_column()
            for item in found:
                table.add_row(item.name, item.summary.replace("``", ""))
            parts.append(table)
        else:
            parts.append(Columns([item.name for item in found], padding=(0, 2), equal=True, column_first=True))
    note = "ONNX opset 20, domain ai.onnx; other opsets are converted. Any other operator: the network is refused."
    parts.append(Text(note))
    out.show(*parts)
