"""``pinat-compile study``: methods against each other."""

from __future__ import annotations

from pathlib import Path

import click

from pinat_compile.cli.options import PathOf, common, json_option, work_options
from pinat_compile.cli.output import Output
from pinat_compile.errors import need_extra
from pinat_compile.reporting.printable import printable


@click.command("study", short_help="Methods, seeds, severities and targets against each other.")
@click.argument("file", metavar="FILE.toml", type=PathOf())
@click.option("-o", "--output", required=True, type=PathOf(), metavar="DIR", help="Folder of the study.")
@click.option("--minutes", type=float, metavar="M", help="Stop cleanly after so long; the same command goes on.")
@click.option("--table", "only_table", is_flag=True, help="Only make summary, table and plots of what is there.")
@work_options
@json_option
@common
@click.pass_context
def study_command(
    ctx: click.Context, file: Path, output: Path, minutes: float | None, only_table: bool, engine: str | None,
    as_json: bool,
) -> None:
    """Run the study in FILE.toml, or go on with it, in DIR.

    Everything is tuned on validation chips and trained before the first test chip is looked at. Whatever is done is
    kept at once: a study that is broken off goes on where it was. Study files: examples/studies.
    """
    from rich.text import Text

    from pinat_compile.compiler.places import write_aside
    from pinat_compile.evaluation.studies.file import read_study
    from pinat_compile.evaluation.studies.run import study, write_summary
    from pinat_compile.reporting.studies import markdown, study_parts, write_plots

    need_extra("a study", ("scipy", "statsmodels", "matplotlib"), "study")
    out = Output.of(ctx, as_json=as_json)
    state = ""
    if only_table:
        found = write_summary(read_study(file), output)
    else:
        out.keeps(lambda: f"what was done is kept in {output}; the same command goes on from there")
        with out.progress("study") as tell:
            result = study(file, output, minutes=minutes, engine=engine, progress=tell)
        found = result.summary
        if not result.complete:
            state = f"stopped after {result.done} of {result.units} units; the same command goes on\n"
    write_aside(output / "table.md", lambda stream: stream.write(markdown(found).encode()))
    pictures = write_plots(output)
    shown = printable(found)
    names = ", ".join(path.name for path in (output / "table.md", *pictures))
    out.show(*study_parts(shown), Text(printable(f"{state}wrote {output}: {names}")))
    if as_json:
        out.document(dict(found))
