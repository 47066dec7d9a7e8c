"""``pinat-compile run``: a compiled network's outputs on one chip."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pinat_compile.cli.options import common, conditions, folder_argument, seed_option
from pinat_compile.cli.output import Output
from pinat_compile.errors import OptionError

if TYPE_CHECKING:
    from pinat_compile.graph import Array


@click.command("run", short_help="Outputs for your inputs, on one chip.")
@folder_argument
@click.option("--input", "source", required=True, metavar="X.npz", help="Inputs by name, or x where there is one.")
@click.option(
    "--output", required=True, type=click.Path(path_type=Path, dir_okay=False), metavar="Y.npz",
    help="The outputs, by name.",
)
@click.option("--chip", type=int, metavar="N", help="Which chip.  [default: 0]")
@seed_option
@click.option("--ideal", is_flag=True, help="Ideal devices: converters and quantised weights, no noise.")
@conditions
@common
@click.pass_context
def run_command(
    ctx: click.Context,
    folder: Path,
    source: str,
    output: Path,
    chip: int | None,
    seed: int,
    ideal: bool,
    time: str | None,
    temperature: float,
    severity: float,
) -> None:
    """Run the compiled network in DIR on inputs from a file."""
    if ideal and chip is not None:
        raise click.UsageError("--ideal has no chip: give one of --ideal and --chip")
    from rich.text import Text

    from pinat_compile.compiler.folder import load
    from pinat_compile.data import load_data
    from pinat_compile.evaluation import outputs_of
    from pinat_compile.reporting.units import duration

    out = Output.of(ctx)
    compiled = load(folder)
    data = load_data(source, inputs=compiled.source.inputs, preprocess=compiled.options.preprocess)
    simulator = compiled.simulator(
        chip=chip or 0, seed=seed, noise=not ideal, time=time, temperature=temperature, severity=severity
    )
    with out.progress("running") as tell:
        found = outputs_of(compiled, simulator, data, progress=tell)
    _write(output, found)
    shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in found.items())
    where = "ideal devices" if ideal else f"chip {chip or 0}, {duration(simulator.conditions.time_s)} after programming"
    out.note(Text(f"{where}\nwrote {output}: {shapes}"))


def _write(path: Path, arrays: dict[str, Array]) -> None:
    """Aside first, so that nothing half-written is left."""
    import numpy as np

    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(aside, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        os.replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        what = f"--output {path}: cannot be written: {error.strerror}"
        raise OptionError(what, hint="check folder and rights") from None
