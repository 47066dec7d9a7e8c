"""``pinat-compile MODEL.onnx``: compile a network onto a target."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pinat_compile.cli.completion import keys, targets
from pinat_compile.cli.options import PathOf, bindings, common, json_option, known_data
from pinat_compile.cli.output import Output
from pinat_compile.errors import OptionError
from pinat_compile.reporting.printable import printable

if TYPE_CHECKING:
    from pinat_compile.compiler.compiled import Compiled

PASSES = 22
"""How many passes the bar expects; with more it just stays full."""


@click.command("compile", short_help="Compile MODEL onto a target (the word compile may be left out).")
@click.argument("model", metavar="MODEL.onnx", type=PathOf())
@click.option(
    "--target", default="reram_128x128", show_default=True, metavar="NAME|FILE.toml", shell_complete=targets,
    help="The chip; `pinat-compile targets` lists those shipped.",
)
@click.option(
    "-o", "--output", type=PathOf(), metavar="DIR", help="Folder to write.  [default: MODEL.TARGET]"
)
@click.option("--calibrate", metavar="DATA", shell_complete=known_data,
              help="Samples from which converter ranges are set; as --data elsewhere.")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", shell_complete=keys,
    help="Change the target, for example adc.bits=6."
)
@click.option("--pack", is_flag=True, help="Let tiles that do not fill an array share one: --set layout.pack=true.")
@click.option(
    "--replicate", type=click.Choice(["throughput", "latency"]),
    help="Copies of slow layers on spare arrays: --set layout.replicate=MODE.",
)
@click.option("--place", is_flag=True, help="Put layers that talk to each other close: --set layout.place=true.")
@click.option("--digital", multiple=True, metavar="NODE", help="Keep this node off the arrays.")
@click.option("--analog", multiple=True, metavar="NODE", help="Put this node onto arrays, or say why it cannot be.")
@click.option(
    "--repeat", multiple=True, callback=bindings, metavar="NODE=COPIES",
    help="Put this node onto arrays so often and go on with the mean: redundancy against noise.",
)
@click.option(
    "--bind", multiple=True, callback=bindings, metavar="NAME=VALUE",
    help="Size of a named dimension, or value of an input (an If that depends on it is decided).",
)
@click.option(
    "--preprocess", metavar="KEY=VALUE,…",
    help="scale=, mean=, std=, resize=, layout=: from raw samples to the network's input; recorded in DIR.",
)
@click.option(
    "--report", type=PathOf(), metavar="FILE.html", help="Also write the report as one HTML file."
)
@json_option
@click.option("--tiles", is_flag=True, help="Put every tile into the JSON document.")
@common
@click.pass_context
def compile_command(
    ctx: click.Context,
    /,
    model: Path,
    target: str,
    output: Path | None,
    as_json: bool,
    tiles: bool,
    report: Path | None,
    **options: Any,
) -> None:
    """Compile MODEL onto a target and write the result into a folder.

    A folder that this tool made is replaced; any other that is not empty is left alone.
    """
    if tiles and not as_json:
        raise click.UsageError("--tiles needs --json (tiles are always in DIR/tiles.jsonl)")
    from pinat_compile.hardware.loader import load_target

    options["overrides"] = (*options["overrides"], *_layout(options))
    out = Output.of(ctx, as_json=as_json)
    folder = output or Path(f"{model.stem}.{load_target(target, options['overrides']).name}")
    if model.is_file() and model.resolve().is_relative_to(folder.resolve()):
        raise OptionError(f"-o {folder}: contains the network {model}", hint="choose another -o")
    compiled = _compile(out, model, target, folder, options)
    _show(out, compiled, folder, tiles)
    if report is not None:
        from pinat_compile.reporting.page.report import report as write

        write(folder, report)
        out.note(printable(f"wrote {report}"))


def _layout(options: dict[str, Any]) -> list[str]:
    """``--pack``, ``--replicate`` and ``--place`` as what ``--set`` takes."""
    flags = [f"layout.{key}=true" for key in ("pack", "place") if options[key]]
    return flags + ([f"layout.replicate={options['replicate']}"] if options["replicate"] else [])


def _compile(out: Output, model: Path, target: str, folder: Path, options: dict[str, Any]) -> Compiled:
    from pinat_compile.compiler.build import compile
    from pinat_compile.compiler.folder import check_writable, save
    from pinat_compile.data import Preprocess
    from pinat_compile.graph import Graph
    from pinat_compile.passes import PassRecord

    check_writable(folder)
    done: list[str] = []
    with out.progress(f"compiling {model.name}") as tell:

        def watch(record: PassRecord, graph: Graph) -> None:
            done.append(record.name)
            tell(len(done), max(PASSES, len(done)), record.name)

        text = options["preprocess"]
        compiled = compile(
            model,
            target,
            calibration=options["calibrate"],
            digital=options["digital"],
            analog=options["analog"],
            repeat=options["repeat"],
            bind=options["bind"],
            overrides=options["overrides"],
            preprocess=None if text is None else Preprocess.parse(text),
            observer=watch,
        )
        tell(1, 1, f"writing {folder}")
        save(compiled, folder)
    return compiled


def _show(out: Output, compiled: Compiled, folder: Path, tiles: bool) -> None:
    from rich.text import Text

    from pinat_compile.compiler.folder import read_report
    from pinat_compile.compiler.summary import tiles as tiles_of
    from pinat_compile.reporting import terminal
    from pinat_compile.reporting.warnings import warnings

    document = read_report(folder)
    shown = printable(document)
    out.note(
        terminal.headline(shown),
        terminal.passes(shown),
        terminal.layers(shown, everything=out.verbose),
        terminal.totals(shown),
        *([terminal.suggestions(shown)] if shown["suggestions"] else []),
        *([said] if (said := warnings(shown)) else []),
        Text(printable(f"wrote {folder}; next: pinat-compile evaluate {folder} --data DATA")),
    )
    if out.as_json:
        out.document({**document, "tiles": list(tiles_of(compiled))} if tiles else document)
