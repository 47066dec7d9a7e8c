"""``pinat-compile evaluate``: accuracy of a compiled network on chips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pinat_compile.cli.completion import words
from pinat_compile.cli.deployment import check_deploy, deploy_argument, deploy_options, keep
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


@click.command("evaluate", short_help="Accuracy on test data: reference, ideal devices, and chips.")
@folder_argument
@data_option
@click.option("--chips", type=int, default=10, show_default=True, metavar="N", help="Chips 0 to N - 1.")
@click.option(
    "--reads", type=int, default=1, show_default=True, metavar="R", help="Reads of each product, averaged."
)
@seed_option
@conditions
@deploy_options
@click.option(
    "--metric", metavar="NAME", shell_complete=words("top1", "agreement", "mse", "psnr", "cosine"),
    help="top1, agreement, mse, psnr, cosine or module:function. Default: top1; without labels, agreement.",
)
@click.option("--per-layer", is_flag=True, help="Also each layer alone on arrays: its SNR, and what it costs.")
@click.option(
    "--dynamic", metavar="KIND", shell_complete=words("per-sample", "ou", "shift", "gain-drift"),
    help="Conditions that change meanwhile: per-sample or ou (severities vary along the data), shift (fitted at "
    "severity 1, judged at 2), gain-drift. --severity multiplies them, --seed draws them.",
)
@save_option
@click.option("--batch-size", type=click.IntRange(min=1), metavar="N", help="Samples that run together.")
@device_option
@engine_options
@json_option
@common
@click.pass_context
def evaluate_command(ctx: click.Context, /, folder: Path, data: str, as_json: bool, **options: Any) -> None:
    """Judge the compiled network in DIR on test data.

    The same network runs in onnxruntime (the reference), on the mapped graph with ideal devices, and on chips. A data
    set with splits gives its test split. With --deploy each chip is compensated as real chips are, and runs without
    that too.
    """
    check_deploy(options)
    from rich.text import Text

    from pinat_compile.compiler.folder import load
    from pinat_compile.compiler.results import save_result
    from pinat_compile.compiler.summary import SCHEMA, report_document
    from pinat_compile.evaluation import evaluate
    from pinat_compile.reporting import terminal
    from pinat_compile.simulator.conditions import check_device

    out = Output.of(ctx, as_json=as_json)
    compiled = load(folder)
    options["device"] = check_device(options["device"])
    kept, saved = options.pop("keep"), options.pop("save")
    options["deploy"] = deploy_argument(options["deploy"], folder, range(options["chips"]))
    out.keeps_results(options["store"])
    with out.progress("evaluating") as tell:
        result = evaluate(compiled, data, progress=tell, **options)
    out.remark_temperature(compiled.target, options["temperature"])
    accuracy = result.to_dict()
    shown = printable(
        {"accuracy": accuracy, "name": compiled.name, "calibration": {"source": compiled.calibration.source}}
    )
    out.show(terminal.short_headline(shown["name"], compiled.target.name), terminal.accuracy(shown))
    if kept and result.deployment is not None:
        out.note(Text(printable(keep(result.deployment.made, folder))))
    if saved:
        found = {"schema": SCHEMA, "model": {"name": compiled.name}, "target": {"name": compiled.target.name},
                 "accuracy": accuracy}  # fmt: skip
        out.note(Text(printable(f"wrote {save_result(compiled, found, folder)}")))
    if as_json or options["per_layer"]:
        document = report_document(compiled, accuracy=accuracy)
        if document["suggestions"]:
            out.note(terminal.suggestions(printable(document)))
    if as_json:
        out.document(document)
