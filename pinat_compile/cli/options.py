"""Options that several commands have, and how their text is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from pinat_compile.cli.completion import words

F = TypeVar("F", bound=Callable[..., Any])


class PathOf(click.Path):
    """A path as `Path`; an empty word is wrong usage, not the current folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the path is empty", param, ctx)
        return super().convert(value, param, ctx)


class FolderOf(PathOf):
    """The same, of a folder: the shell offers folders alone."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type="dir")]


LONGEST_SIZE = 12
"""Digits of a dimension's size, at most."""


def nothing_written() -> str:
    """What an interrupted command says that writes nothing, or writes all of it at the end."""
    return "nothing was written"


@dataclass(slots=True)
class State:
    """What the user wants to see, set by ``-v`` and ``-q`` before or after the command; what an interrupt leaves."""

    verbose: bool = False
    quiet: bool = False
    kept: Callable[[], str] = nothing_written


def state_of(ctx: click.Context) -> State:
    """The state of this run."""
    return ctx.find_root().ensure_object(State)


def common(function: F) -> F:
    """``-v`` and ``-q``."""

    def raise_flag(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
        if value and parameter.name is not None:
            setattr(state_of(ctx), parameter.name, True)

    for name, text in (
        ("quiet", "No progress and no notes: only what was asked for."),
        ("verbose", "Say more; show the traceback of an error."),
    ):
        option = click.option(
            f"-{name[0]}", f"--{name}", is_flag=True, expose_value=False, callback=raise_flag, is_eager=True, help=text
        )
        function = option(function)
    return function


folder_argument = click.argument("folder", metavar="DIR", type=FolderOf())
known_data = words("fashion-mnist-mini", "fashion-mnist-mini@test", "fashion-mnist-mini@train", files=True)
"""Completes DATA."""
json_option = click.option(
    "--json", "as_json", is_flag=True, help="One JSON document on stdout; everything else goes to stderr."
)


class DataText(click.types.StringParamType):
    """DATA, whose kinds are named where it is missing."""

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None) -> str | None:
        return param.help if isinstance(param, click.Option) else None


data_option = click.option(
    "--data",
    type=DataText(),
    required=True,
    metavar="DATA",
    shell_complete=known_data,
    help="FILE.npz, a folder (IDX, CIFAR, Tiny ImageNet, one image folder per class), fashion-mnist-mini, or "
    "module:function; @test, @train[:5000] and the like pick a part.",
)
seed_option = click.option("--seed", type=int, default=0, show_default=True, help="Of the read noise.")


save_option = click.option("--save", is_flag=True, help="Keep the result in DIR, for its report.")
device_option = click.option("--device", metavar="NAME", help="A torch device, for example cuda.  [default: cpu]")


def conditions(function: F) -> F:
    """``--time``, ``--temperature``, ``--severity``."""
    for option in (
        click.option(
            "--severity", type=float, default=1.0, show_default=True, metavar="M", help="Multiplies every deviation."
        ),
        click.option(
            "--temperature", type=float, default=300.0, show_default=True, metavar="K", help="Of the chip, in kelvin."
        ),
        click.option(
            "--time", metavar="T", help="After programming: 1s, 1h, 30d, 1y. Default: the first that is described."
        ),
    ):
        function = option(function)
    return function


def engine_options(function: F) -> F:
    """``--engine``, ``--threads``, ``--store``: where units of work run, and where their results are kept."""
    store = click.option(
        "--store", type=PathOf(), metavar="FILE",
        help="Keep each result there as it is found; what it holds already is not found again.",
    )
    return work_options(store(function))


def work_options(function: F) -> F:
    """``--engine``, ``--threads``: where units of work run."""

    def set_threads(ctx: click.Context, parameter: click.Parameter, value: int | None) -> None:
        if value is not None:
            import torch

            torch.set_num_threads(value)

    for option in (
        click.option(
            "--threads", type=click.IntRange(min=1), metavar="N", expose_value=False, callback=set_threads,
            help="Of each unit of work; last bits may depend on it.  [default: torch's]",
        ),
        click.option(
            "--engine", metavar="NAME",
            help="Where units of work run: ray (on this machine), ray:ADDRESS (a cluster).  [default: this process]",
        ),
    ):
        function = option(function)
    return function


def bindings(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, int]:
    """``NAME=VALUE`` options, each with a whole number."""
    found = {}
    for value in values:
        name, equals, number = (part.strip() for part in value.partition("="))
        if not (name and equals and number.isdecimal() and len(number) <= LONGEST_SIZE):
            raise click.BadParameter(f"{value!r} is not NAME=NUMBER, for example batch=1", ctx, parameter)
        found[name] = int(number)
    return found
