"""``pinat-compile sweep``: values of a target against accuracy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pinat_compile.cli.completion import keys
from pinat_compile.cli.deployment import check_deploy, deploy_options
from pinat_compile.cli.options import (
    common,
    conditions,
    data_option,
    device_option,
    engine_options,
    folder_argument,
    json_option,
    save_option,
    seed_option,
)
from pinat_compile.cli.output import Output
from pinat_compile.reporting.printable import printable


@click.command("sweep", short_help="Accuracy over values of the target, on the same chips.")
@folder_argument
@data_option
@click.option(
    "--vary", multiple=True, required=True, metavar="KEY=V1,V2,…", shell_complete=keys,
    help="section.key of the target, or severity, time, temperature, reads. Several: all combinations.",
)
@click.option("--chips", type=int, default=10, show_default=True, metavar="N", help="Chips 0 to N - 1.")
@seed_option
@conditions
@deploy_options
@click.option("--metric", metavar="NAME", help="As for evaluate.")
@save_option
@device_option
@engine_options
@json_option
@common
@click.pass_context
def sweep_command(
    ctx: click.Context, /, folder: Path, data: str, vary: tuple[str, ...], as_json: bool, **options: Any
) -> None:
    """Judge the compiled network in DIR for every combination of values; the network in DIR stays as it is.

    Where converters, cells or arrays change, scales and ranges are planned anew with the calibration in DIR.
    """
    check_deploy(options)
    from rich.text import Text

    from pinat_compile.compiler.folder import load
    from pinat_compile.compiler.results import save_result
    from pinat_compile.evaluation.sweeping import sweep
    from pinat_compile.reporting.studies import sweep_table
    from pinat_compile.reporting.terminal import short_headline
    from pinat_compile.simulator.conditions import check_device

    if options["deploy"] == "kept" or options.pop("keep"):
        raise click.UsageError("--deploy kept and --keep are for one network: evaluate has them")
    out, saved = Output.of(ctx, as_json=as_json), options.pop("save")
    compiled = load(folder)
    options["device"] = check_device(options["device"])
    options["deploy"] = options["deploy"] or ()
    out.keeps_results(options["store"])
    with out.progress("sweeping") as tell:
        points = [point.to_dict() for point in sweep(compiled, data, vary, progress=tell, **options)]
    out.show(short_headline(printable(compiled.name), compiled.target.name), sweep_table(printable(points)))
    document = {"schema": "pinat-sweep/1", "model": compiled.name, "target": compiled.target.name, "points": points}
    if saved:
        out.note(Text(printable(f"wrote {save_result(compiled, document, folder)}")))
    if as_json:
        out.document(document)
