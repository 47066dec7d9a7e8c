"""``pinat-compile run``: a compiled network's outputs on one chip."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from pinat_compile.cli.deployment import check_deploy, deploy_argument, deploy_options, keep
from pinat_compile.cli.options import PathOf, common, conditions, folder_argument, seed_option
from pinat_compile.cli.output import Output
from pinat_compile.errors import OptionError
from pinat_compile.reporting.printable import printable

if TYPE_CHECKING:
    from pinat_compile.graph import Array


@click.command("run", short_help="Outputs for your inputs, on one chip.")
@folder_argument
@click.option("--input", "source", required=True, metavar="X.npz", help="Inputs by name, or x where there is one.")
@click.option(
    "--output", required=True, type=PathOf(), metavar="Y.npz",
    help="The outputs, by name.",
)
@click.option("--chip", type=int, metavar="N", help="Which chip.  [default: 0]")
@seed_option
@click.option("--ideal", is_flag=True, help="Ideal devices: converters and quantised weights, no noise.")
@conditions
@deploy_options
@common
@click.pass_context
def run_command(
    ctx: click.Context,
    /,
    folder: Path,
    source: str,
    output: Path,
    chip: int | None,
    seed: int,
    ideal: bool,
    time: str | None,
    temperature: float,
    severity: float,
    **deploying: Any,
) -> None:
    """Run the compiled network in DIR on inputs from a file."""
    if ideal and chip is not None:
        raise click.UsageError("--ideal has no chip: give one of --ideal and --chip")
    if ideal and deploying["deploy"] is not None:
        raise click.UsageError("--ideal has nothing to make up for: give one of --ideal and --deploy")
    check_deploy(deploying)
    from rich.text import Text

    from pinat_compile.compiler.folder import load
    from pinat_compile.data import load_data
    from pinat_compile.evaluation import outputs_of
    from pinat_compile.evaluation.deploying import deployments_for
    from pinat_compile.reporting.units import duration

    out = Output.of(ctx)
    _check_output(output, source, folder)
    compiled = load(folder)
    data = load_data(source, inputs=compiled.source.inputs, preprocess=compiled.options.preprocess)
    number = chip or 0
    when: dict[str, Any] = {"seed": seed, "time": time, "temperature": temperature, "severity": severity}
    made = deployments_for(
        compiled,
        compiled.simulator(noise=False, **when),
        [number],
        deploy_argument(deploying["deploy"], folder, [number]),
        deploying["deploy_data"],
        judged=source,
        samples=deploying["deploy_samples"],
        time=deploying["deploy_time"],
    )
    simulator = compiled.simulator(chip=number, noise=not ideal, deployment=made.get(number), **when)
    with out.progress("running") as tell:
        found = outputs_of(compiled, simulator, data, progress=tell)
    _write(output, found)
    out.remark_temperature(compiled.target, temperature)
    shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in found.items())
    where = "ideal devices" if ideal else f"chip {number}, {duration(simulator.conditions.time_s)} after programming"
    if made:
        where += f", deployed with {', '.join(step.name for step in made[number].steps)}"
    out.note(Text(f"{where}\n{printable(f'wrote {output}: {shapes}')}"))
    if deploying["keep"]:
        out.note(Text(printable(keep([made[number]], folder))))


def _check_output(path: Path, source: str, folder: Path) -> None:
    """Raise OptionError where the outputs could not be written, or would take the place of something else."""
    from pinat_compile.compiler.places import obstacle
    from pinat_compile.data.spec import Spec

    reason = obstacle(path.parent)
    if reason is None and not path.parent.is_dir():
        reason = f"there is no folder {path.parent}"
    if reason is None and os.path.lexists(path):
        if path.is_symlink() or not path.is_file():
            reason = "it exists and is not a regular file"
        elif os.path.exists(given := os.path.expanduser(Spec.parse(source).name)) and path.samefile(given):
            reason = "it is the --input"
    if reason is None and path.resolve().is_relative_to(folder.resolve()):
        reason = f"it lies inside {folder}"
    if reason is not None:
        raise OptionError(f"--output {path}: cannot be written: {reason}", hint="name another file")


def _write(path: Path, arrays: dict[str, Array]) -> None:
    """An NPZ file, whatever the arrays are called (numpy.savez has names of its own)."""
    from pinat_compile.compiler.places import write_aside

    def write(file: BinaryIO) -> None:
        import numpy as np

        with zipfile.ZipFile(file, "w") as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, array, allow_pickle=False)

    try:
        write_aside(path, write)
    except OSError as error:
        what = f"--output {path}: cannot be written: {error.strerror}"
        raise OptionError(what, hint="check folder and rights") from None
