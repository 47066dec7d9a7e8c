"""``pinat-compile plan``: search scales and ranges by the network's accuracy, or layers to repeat."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pinat_compile.cli.options import PathOf, common, data_option, device_option, folder_argument, json_option
from pinat_compile.cli.output import Output
from pinat_compile.errors import OptionError
from pinat_compile.reporting.printable import printable

if TYPE_CHECKING:
    from rich.table import Table

    from pinat_compile.compiler.compiled import Compiled


@click.command("plan", short_help="Search clips, scales and converter ranges by accuracy on validation chips.")
@folder_argument
@data_option
@click.option("--chips", type=click.IntRange(min=1), default=8, show_default=True, help="Validation chips.")
@click.option("--samples", type=click.IntRange(min=1), default=1000, show_default=True, help="Held-out samples.")
@click.option(
    "--redundancy", type=click.FloatRange(min=1.0), metavar="FACTOR",
    help="Keep scales and ranges as the target has them; put the layers that hurt most onto arrays twice, while a "
    "sample takes at most FACTOR times the energy.",
)
@click.option("-o", "--output", required=True, type=PathOf(), metavar="DIR2", help="Folder to write.")
@device_option
@json_option
@common
@click.pass_context
def plan_command(
    ctx: click.Context, /, folder: Path, data: str, redundancy: float | None, output: Path, device: str | None,
    as_json: bool, **amount: int,
) -> None:
    """Plan the network in DIR in several ways, keep the best, and write it into another folder.

    With --redundancy layers are repeated instead, where that gains most accuracy for the energy.

    Training data alone are looked at: every tenth sample, which fine-tuning does not train on.
    """
    from pinat_compile.compiler.folder import check_writable, load, save
    from pinat_compile.reporting.terminal import short_headline
    from pinat_compile.simulator.conditions import check_device

    out = Output.of(ctx, as_json=as_json)
    compiled = load(folder)
    if output.resolve().is_relative_to(folder.resolve()):
        raise OptionError(f"-o {output}: the search does not overwrite its input", hint="give a folder beside it")
    check_writable(output)
    with out.progress("searching the plan") as tell:
        given: dict[str, Any] = {**amount, "device": check_device(device), "progress": tell}
        if redundancy is None:
            found, table, said, document = _search(compiled, data, given)
        else:
            found, table, said, document = _repeat(compiled, data, {**given, "energy": redundancy})
        save(found, output)
    out.show(short_headline(printable(compiled.name), compiled.target.name), table)
    out.note(printable(f"wrote {output}: {said}"))
    if as_json:
        out.document({"schema": "pinat-plan/1", **document})


def _search(compiled: Compiled, data: str, given: dict[str, Any]) -> tuple[Compiled, Table, str, dict[str, Any]]:
    from pinat_compile.evaluation.plan_search import search_plan
    from pinat_compile.reporting.studies import plan_table

    found = search_plan(compiled, data, **given)
    document = found.to_dict()
    return found.compiled, plan_table(document), " ".join(found.changes) or "the plan as it was", document


def _repeat(compiled: Compiled, data: str, given: dict[str, Any]) -> tuple[Compiled, Table, str, dict[str, Any]]:
    from pinat_compile.evaluation.redundancy import add_redundancy
    from pinat_compile.reporting.studies import redundancy_table

    found = add_redundancy(compiled, data, **given)
    document = found.to_dict()
    said = " ".join(f"{name}={count}" for name, count in found.compiled.options.repeat.items())
    return found.compiled, redundancy_table(document), said or "no layer is worth its energy twice", document
