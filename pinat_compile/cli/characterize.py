"""``pinat-compile characterize``: a target from measurements of devices."""

from __future__ import annotations

from pathlib import Path

import click

from pinat_compile.cli.completion import targets
from pinat_compile.cli.options import PathOf, common, json_option
from pinat_compile.cli.output import Output
from pinat_compile.reporting.printable import printable


@click.command("characterize", short_help="Fit a target's device models to measurements.")
@click.argument("measurements", metavar="MEASUREMENTS.csv", type=PathOf())
@click.option("--like", required=True, metavar="TARGET", shell_complete=targets,
              help="Whose models are fitted; all that is not, it lends.")
@click.option("-o", "--output", required=True, metavar="NEW.toml", type=PathOf(), help="The target to write.")
@click.option("--plot", "picture", metavar="FILE", type=PathOf(),
              help="Data and fits, as .png, .svg or .pdf.  [default: beside NEW.toml, as .png]")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a value of TARGET first.")
@json_option
@common
@click.pass_context
def characterize_command(
    ctx: click.Context, measurements: Path, like: str, output: Path, picture: Path | None, overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Fit programming error, drift, relaxation, read noise and temperature to MEASUREMENTS.csv.

    The file has a line per read and the columns g_target_us, g_us, time_s (since programming) and, where known,
    temperature_k and device. Each number gets its 95 % interval; data that the models do not describe are listed.
    """
    from pinat_compile.characterization.characterize import characterize, target_name
    from pinat_compile.characterization.plots import check_plot
    from pinat_compile.characterization.target_file import check_target
    from pinat_compile.reporting.characterization import characterization

    out = Output.of(ctx, as_json=as_json)
    picture = output.with_suffix(".png") if picture is None else picture
    check_target(output, inputs=(measurements, Path(like)))
    check_target(picture, inputs=(measurements, Path(like), output))
    check_plot(picture)
    with out.progress("fitting"):
        result = characterize(measurements, like, overrides=overrides, name=target_name(output.stem))
        written = str(result.save(output))
        out.keeps(lambda: f"kept {written}")
        document = {**result.to_dict(), "output": written, "plot": str(result.plot(picture))}
    shown = printable(document)
    out.show(*characterization(shown, everything=out.verbose), f"written: {shown['output']}, {shown['plot']}")
    if as_json:
        out.document(document)
