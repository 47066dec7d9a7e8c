"""``pinat-compile finetune``: train a compiled network on its own arrays."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pinat_compile.cli.completion import words
from pinat_compile.cli.options import (
    PathOf,
    common,
    data_option,
    device_option,
    folder_argument,
    json_option,
)
from pinat_compile.cli.output import Output
from pinat_compile.errors import OptionError
from pinat_compile.reporting.printable import printable

if TYPE_CHECKING:
    from pinat_compile.training.settings import Progress


@click.command("finetune", short_help="Train through the compiled plan, against the target's noise.")
@folder_argument
@data_option
@click.option(
    "--method", metavar="NAME", default="pinat",
    shell_complete=words("pinat", "nt", "vant", "distill", "qat", "nan", "ptq", "fp32"),
    help="pinat (the target's own physics), nt and vant (Gaussian noise, the same or varying), distill (nt with a "
    "teacher), qat (rounding alone), nan (statistics under noise), ptq (nothing), fp32.  [default: pinat]",
)
@click.option("--epochs", type=int, metavar="N", help="Passes over the training data.  [default: 3]")
@click.option("--batch-size", type=int, metavar="N", help="Samples per step.")
@click.option("--optimiser", metavar="NAME", help="adamw or sgd.")
@click.option("--learning-rate", type=float, metavar="R", help="Of the first steps; the schedule lowers it.")
@click.option("--schedule", metavar="NAME", help="Of the rate: cosine, linear or constant.")
@click.option("--loss", metavar="NAME", help="distill (with the original network's outputs), ce, mse or cosine.")
@click.option("--noise", metavar="NAME", help="chips, weights, outputs or none, where not the method's own.")
@click.option("--eta", type=float, metavar="E", help="Of noise on weights or outputs, as a share of their full scale.")
@click.option("--severity", type=float, metavar="M", help="Of the noise trained against.")
@click.option("--chips-per-batch", type=int, metavar="N", help="Virtual chips that every batch runs on.")
@click.option("--augment", metavar="KIND,…", help="mirror, shift or both, for images.")
@click.option("--clip-gradient", type=float, metavar="G", help="Largest norm of a gradient; 0: any.")
@click.option("--precision", metavar="NAME", help="float32, or bfloat16 for products.")
@click.option("--patience", type=int, metavar="N", help="Stop after N judgements without a better one.")
@click.option(
    "--wires-every", type=int, metavar="K",
    help="Solve what resistive wires take every K steps, and hold it in between.  [default: 8]",
)
@click.option(
    "--wires-tolerance", type=float, metavar="E",
    help="Solve wires on the fast path where its error is provably at most E of full scale.  [default: exactly]",
)
@click.option(
    "--with", "others", multiple=True, metavar="KEY=VALUE",
    help="Any other setting of pinat_compile.training.settings, for example lambda_saturation=1.",
)
@click.option("--seed", type=int, help="Of order, chips and noise.")
@device_option
@click.option("--replan", is_flag=True, default=None, help="Plan scales and ranges anew for what was trained.")
@click.option("--resume", is_flag=True, help="Go on where a run with the same -o was broken off.")
@click.option("--log", type=PathOf(), metavar="DIR", help="Write TensorBoard logs there.")
@click.option(
    "-o", "--output", type=PathOf(), metavar="DIR2", help="Folder to write.  [default: DIR.METHOD]"
)
@json_option
@common
@click.pass_context
def finetune_command(
    ctx: click.Context,
    /,
    folder: Path,
    data: str,
    output: Path | None,
    as_json: bool,
    others: tuple[str, ...],
    resume: bool,
    log: Path | None,
    **options: Any,
) -> None:
    """Fine-tune the compiled network in DIR and write the result into another folder.

    Only training data and training chips are used; a data set with splits gives its training split, of which every
    tenth sample is held out for validation. A run that was broken off leaves DIR2.checkpoint; --resume goes on from it.
    """
    from rich.text import Text

    from pinat_compile.compiler.folder import check_writable, load, read_report, save
    from pinat_compile.compiler.places import remove_file
    from pinat_compile.reporting import terminal
    from pinat_compile.training.finetune import finetune
    from pinat_compile.training.settings import Settings

    out = Output.of(ctx, as_json=as_json)
    compiled = load(folder)
    given = {name: value for name, value in options.items() if value is not None}
    if "augment" in given:
        given["augment"] = tuple(word.strip() for word in given["augment"].split(","))
    settings = Settings.of(**{**_others(others), **given})
    target = output or folder.with_name(f"{folder.resolve().name}.{settings.method}")
    if target.resolve() == folder.resolve():
        raise OptionError(f"-o {target}: fine-tuning does not overwrite its input", hint="give another folder")
    if folder.resolve() in target.resolve().parents:
        raise OptionError(f"-o {target}: it lies inside {folder}", hint="give a folder beside it")
    check_writable(target)
    checkpoint = target.with_name(f"{target.name}.checkpoint")
    out.keeps(lambda: (
        f"kept {checkpoint}; the same command with --resume goes on from there" if checkpoint.is_file()
        else "nothing was written"
    ))
    first = os.environ.get("RANK", "0") == "0"  # torchrun's word; the others help to train, and that is all
    with out.progress(f"fine-tuning with {settings.method}") as tell:

        def watch(progress: Progress) -> None:
            tell(progress.step, progress.steps, _described(progress))

        tuned = finetune(
            compiled, data, settings=settings, progress=watch, checkpoint=checkpoint, resume=resume, log=log
        )
        if not first:
            return
        save(tuned, target)
    remove_file(checkpoint)
    if compiled.target.wires is None and (options["wires_every"] or options["wires_tolerance"]) is not None:
        name = compiled.target.name
        out.note(f"note: {name} has no wires section: --wires-every and --wires-tolerance change nothing")
    document = read_report(target)
    out.note(
        terminal.short_headline(printable(compiled.name), compiled.target.name),
        terminal.training(printable(document)),
        Text(printable(f"wrote {target}")),
    )
    if as_json:
        out.document(document)


def _others(words: tuple[str, ...]) -> dict[str, Any]:
    """``KEY=VALUE`` words; values are TOML, or a plain word."""
    from pinat_compile.hardware.loader import literal

    found: dict[str, Any] = {}
    for word in words:
        key, equals, text = (part.strip() for part in word.partition("="))
        value = literal(text) if equals else None
        if not key or value is None and text.lower() != "none":
            raise OptionError(f"--with {word}: not of the form KEY=VALUE", hint="for example --with ema=0.99")
        found[key] = value
    return found


def _described(progress: Progress) -> str:
    validation = "" if progress.validation is None else f", validation {100 * progress.validation:.1f} %"
    return f"epoch {progress.epoch} of {progress.epochs}, loss {progress.loss:.3f}{validation}"
