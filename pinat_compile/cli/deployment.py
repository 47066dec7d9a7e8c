"""``--deploy`` and what belongs to it: options of the commands that run chips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pinat_compile.cli.completion import words
from pinat_compile.cli.options import known_data

if TYPE_CHECKING:
    from pinat_compile.simulator.deployment import Deployment

F = TypeVar("F", bound=Callable[..., Any])

KEPT = "kept"
"""The word that stands for the deployments in the folder."""


def deploy_options(function: F) -> F:
    """``--deploy``, ``--deploy-data``, ``--deploy-samples``, ``--deploy-time``, ``--keep``."""
    for option in (
        click.option("--keep", is_flag=True, help="Write each chip's deployment to DIR/chips."),
        click.option("--deploy-time", metavar="T", help="When it is made, after programming.  [default: --time]"),
        click.option(
            "--deploy-samples", type=int, metavar="N", help="Samples of it that are used, at most.  [default: 200]"
        ),
        click.option(
            "--deploy-data", metavar="DATA", shell_complete=known_data,
            help="Unlabelled training samples.  [default: the training split of the data, where it has one]",
        ),
        click.option(
            "--deploy", metavar="STEP,…",
            shell_complete=words("faults", "drift", "drift_per_tile", "moments", "bias", "affine", "low_rank", "distil",
                                 KEPT),
            help="Compensate: faults, drift, drift_per_tile, moments, bias, affine, low_rank, distil; or kept, "
            "as in DIR/chips.",
        ),
    ):
        function = option(function)
    return function


def check_deploy(options: dict[str, Any]) -> None:
    """UsageError where no step is named, or something is said of a deployment that is not made."""
    if options["deploy"] is not None and not options["deploy"].strip():
        raise click.UsageError("--deploy: no step is named")
    made = options["deploy"] not in (None, KEPT)
    for name in ("deploy_data", "deploy_samples", "deploy_time", "keep"):
        if options[name] is not None and options[name] is not False and not made:
            why = "kept ones are not made again" if options["deploy"] else "it needs --deploy"
            raise click.UsageError(f"--{name.replace('_', '-')}: {why}")


def deploy_argument(text: str | None, folder: Path, chips: Sequence[int]) -> str | Sequence[Deployment]:
    """What `evaluate` takes as ``deploy``: the steps, or the deployments that ``folder`` keeps for ``chips``."""
    if text != KEPT:
        return () if text is None else text
    from pinat_compile.compiler.deployments import load_deployment

    return [load_deployment(folder, chip) for chip in chips]


def keep(deployments: Sequence[Deployment], folder: Path) -> str:
    """Write them into ``folder``; says so."""
    from pinat_compile.compiler.deployments import save_deployment

    paths = [save_deployment(deployment, folder) for deployment in deployments]
    return f"wrote {paths[0]}" if len(paths) == 1 else f"wrote {len(paths)} deployments to {paths[0].parent}"
