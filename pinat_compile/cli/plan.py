"""``pinat-compile plan``: search scales and ranges by the network's accuracy."""

from __future__ import annotations

from pathlib import Path

import click

from pinat_compile.cli.options import PathOf, common, data_option, device_option, folder_argument, json_option
from pinat_compile.cli.output import Output
from pinat_compile.errors import OptionError
from pinat_compile.reporting.printable import printable


@click.command("plan", short_help="Search clips, scales and converter ranges by accuracy on validation chips.")
@folder_argument
@data_option
@click.option("--chips", type=click.IntRange(min=1), default=8, show_default=True, help="Validation chips.")
@click.option("--samples", type=click.IntRange(min=1), default=1000, show_default=True, help="Held-out samples.")
@click.option("-o", "--output", required=True, type=PathOf(), metavar="DIR2", help="Folder to write.")
@device_option
@json_option
@common
@click.pass_context
def plan_command(
    ctx: click.Context, folder: Path, data: str, chips: int, samples: int, output: Path, device: str | None,
    as_json: bool,
) -> None:
    """Plan the network in DIR in several ways, keep the best, and write it into another folder.

    Training data alone are looked at: every tenth sample, which fine-tuning does not train on.
    """
    from pinat_compile.compiler.folder import check_writable, load, save
    from pinat_compile.evaluation.plan_search import search_plan
    from pinat_compile.reporting.studies import plan_table
    from pinat_compile.reporting.terminal import short_headline
    from pinat_compile.simulator.conditions import check_device

    out = Output.of(ctx, as_json=as_json)
    compiled = load(folder)
    if output.resolve().is_relative_to(folder.resolve()):
        raise OptionError(f"-o {output}: the search does not overwrite its input", hint="give a folder beside it")
    check_writable(output)
    with out.progress("searching the plan") as tell:
        found = search_plan(
            compiled, data, chips=chips, samples=samples, device=check_device(device), progress=tell
        )
        save(found.compiled, output)
    document = found.to_dict()
    out.show(short_headline(printable(compiled.name), compiled.target.name), plan_table(document))
    out.note(printable(f"wrote {output}: {' '.join(found.changes) or 'the plan as it was'}"))
    if as_json:
        out.document({"schema": "pinat-plan/1", **document})
