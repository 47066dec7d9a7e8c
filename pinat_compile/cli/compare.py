"""``pinat-compile compare`` and ``pinat-compile explore``: targets beside each other, and variants of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pinat_compile.cli.completion import keys
from pinat_compile.cli.completion import targets as known_targets
from pinat_compile.cli.options import PathOf, bindings, common, engine_options, json_option, known_data
from pinat_compile.cli.output import Output
from pinat_compile.errors import need_extra
from pinat_compile.reporting.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable

_DATA = "Also judge accuracy on these samples; as --data elsewhere."
_SET = "Change every target, for example adc.bits=6."


def _shared(function: Callable[..., None]) -> Callable[..., None]:
    """What both commands take to compile and judge a network."""
    for option in (
        click.option("--preprocess", metavar="KEY=VALUE,…", help="From raw samples to the network's input."),
        click.option("--bind", multiple=True, callback=bindings, metavar="NAME=VALUE", help="Size of a dimension."),
        click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", shell_complete=keys, help=_SET),
        click.option("--metric", metavar="NAME", help="As in evaluate."),
        click.option("--chips", type=click.IntRange(min=1), default=3, show_default=True, metavar="N",
                     help="Chips that --data is judged on."),
        click.option("--data", metavar="DATA", shell_complete=known_data, help=_DATA),
        click.option("--calibrate", "calibration", metavar="DATA", shell_complete=known_data,
                     help="Samples from which ranges are set."),
    ):
        function = option(function)
    return function


def _compile_options(options: dict[str, Any]) -> dict[str, Any]:
    from pinat_compile.data import Preprocess

    text = options.pop("preprocess")
    return {**options, "preprocess": None if text is None else Preprocess.parse(text)}


@click.command("compare", short_help="One network on several targets, beside each other and beside digital chips.")
@click.argument("model", metavar="MODEL.onnx", type=PathOf())
@click.option(
    "--target", "targets", multiple=True, required=True, metavar="NAME|FILE.toml", shell_complete=known_targets,
    help="Give it twice.",
)
@_shared
@json_option
@common
@click.pass_context
def compare_command(
    ctx: click.Context, /, model: Path, targets: tuple[str, ...], as_json: bool, **options: Any
) -> None:
    """Compile MODEL onto every target and show what it costs on each, and on digital hardware."""
    from pinat_compile.evaluation.comparing import compare
    from pinat_compile.reporting.comparison import comparison

    out = Output.of(ctx, as_json=as_json)
    with out.progress(f"comparing {model.name}") as tell:
        found = compare(model, targets, progress=tell, **_compile_options(options))
    document = found.to_dict()
    out.show(*comparison(printable(document)))
    if as_json:
        out.document(document)


@click.command("explore", short_help="Variants of a target: energy, latency, area and accuracy, and the best of them.")
@click.argument("model", metavar="MODEL.onnx", type=PathOf())
@click.option("--target", default="reram_128x128", show_default=True, metavar="NAME|FILE.toml",
              shell_complete=known_targets, help="The chip whose values vary.")
@click.option(
    "--vary", multiple=True, required=True, metavar="KEY=V1,V2,…", shell_complete=keys,
    help="Values of a key of the target, for example array.rows=64,128 or adc.bits=5..8.",
)
@click.option(
    "--samples", type=click.IntRange(min=1), default=64, show_default=True, metavar="N",
    help="Points at most; more combinations than that are searched, which needs the extra explore.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the search.")
@click.option("--plot", type=PathOf(), metavar="FILE.png", help="Draw energy against accuracy, or against latency.")
@_shared
@engine_options
@json_option
@common
@click.pass_context
def explore_command(ctx: click.Context, /, model: Path, as_json: bool, plot: Path | None, **options: Any) -> None:
    """Plan MODEL for every combination of values and show what each costs; * marks those that no other beats."""
    from pinat_compile.evaluation.exploring import explore
    from pinat_compile.reporting.comparison import exploration, plot_exploration

    if plot is not None:
        need_extra("a plot", ("matplotlib",), "plots")
    out = Output.of(ctx, as_json=as_json)
    out.keeps_results(options["store"])
    with out.progress(f"exploring {model.name}") as tell:
        found = explore(model, progress=tell, **_compile_options(options))
    document = found.to_dict()
    out.show(*exploration(printable(document)))
    if plot is not None:
        plot_exploration(document, plot)
        out.note(printable(f"wrote {plot}"))
    if as_json:
        out.document(document)
