"""The group of commands, and what all of them share."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass

import click
from click.shell_completion import CompletionItem

from pinat_compile import __version__
from pinat_compile.cli.characterize import characterize_command
from pinat_compile.cli.compare import compare_command, explore_command
from pinat_compile.cli.compile import compile_command
from pinat_compile.cli.evaluate import evaluate_command
from pinat_compile.cli.export import export_command
from pinat_compile.cli.finetune import finetune_command
from pinat_compile.cli.inspect import inspect_command
from pinat_compile.cli.lists import operators_command, targets_command
from pinat_compile.cli.options import State, common
from pinat_compile.cli.plan import plan_command
from pinat_compile.cli.report import report_command
from pinat_compile.cli.run import run_command
from pinat_compile.cli.study import study_command
from pinat_compile.cli.sweep import sweep_command

__all__ = ["State", "app"]

FLAGS = ("-v", "--verbose", "-q", "--quiet")


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of a command line: flags of the group, then the rest."""

    flags: list[str]
    rest: list[str]


def _split(words: list[str]) -> _Words:
    count = next((index for index, word in enumerate(words) if word not in FLAGS), len(words))
    return _Words(words[:count], words[count:])


class ModelFirst(click.Group):
    """A group whose ``compile`` command works without its name: ``pinat-compile MODEL.onnx …``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words = _split(args)
        first = words.rest[0] if words.rest else "--help"
        if ctx.resilient_parsing and not words.rest:  # the shell asks for the first word
            return super().parse_args(ctx, args)
        if first not in ("-h", "--help", "--version") and first not in self.commands:
            if not (first.startswith("-") or _looks_like_a_file(first)):
                if ctx.resilient_parsing:
                    return super().parse_args(ctx, args)
                near = difflib.get_close_matches(first, [*self.commands], n=1)
                ctx.fail(f"no command and no file {first!r}" + (f"; did you mean {near[0]}?" if near else ""))
            args = [*words.flags, "compile", *words.rest]
        return super().parse_args(ctx, args)


    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands, or the file that is to be compiled."""
        return super().shell_complete(ctx, incomplete) or [CompletionItem(incomplete, type="file")]


def _looks_like_a_file(word: str) -> bool:
    return "." in word or os.sep in word or os.path.exists(word)


@click.group(
    cls=ModelFirst,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    subcommand_metavar="MODEL.onnx … | COMMAND …",
    options_metavar="",
    epilog="COMMAND --help says more; `pinat-compile compile --help` is for MODEL.onnx.",
)
@click.version_option(__version__, prog_name="pinat-compile")
@common
def app() -> None:
    """Compile trained networks onto analog crossbars and photonic arrays."""


for command in (
    compile_command,
    evaluate_command,
    plan_command,
    finetune_command,
    run_command,
    sweep_command,
    study_command,
    report_command,
    export_command,
    inspect_command,
    targets_command,
    operators_command,
    characterize_command,
    compare_command,
    explore_command,
):
    app.add_command(command)
