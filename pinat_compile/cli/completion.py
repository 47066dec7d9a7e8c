"""Completion of commands, options and their values in bash, zsh and fish.

    eval "$(_PINAT_COMPILE_COMPLETE=bash_source pinat-compile)"     # zsh_source; fish: fish_source, piped into source
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

import click
from click.shell_completion import CompletionItem, shell_complete

VARIABLE = "_PINAT_COMPILE_COMPLETE"
"""Set by the shell's completion script: what it wants to know."""

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def complete(command: click.Command) -> None:
    """Answer the shell and exit, where it is the shell that asks."""
    asked = os.environ.get(VARIABLE)
    if asked:
        sys.exit(shell_complete(command, {}, "pinat-compile", VARIABLE, asked))


def words(*known: str, files: bool = False) -> Complete:
    """Complete one of ``known``; with ``files`` the shell offers files where none of them fits."""

    def find(ctx: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
        return matching(known, start, files=files)

    return find


def targets(ctx: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """The shipped targets, or a file."""
    from pinat_compile.hardware.loader import list_targets

    return matching(list_targets(), start, files=True)


def keys(ctx: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """``section.key=`` of targets, for --set and --vary."""
    from pinat_compile.hardware.names import section_keys

    return matching([f"{key}=" for key in section_keys()], start)


def matching(known: Sequence[str], start: str, *, files: bool = False) -> list[CompletionItem]:
    """Those of ``known`` that begin so."""
    found = [CompletionItem(word) for word in known if word.startswith(start)]
    return found or ([CompletionItem(start, type="file")] if files else [])
