"""The command line: parses, calls one function, prints. Heavy imports stand inside the commands.

Exit codes: 0 done, 1 the user can mend it (one line and a hint), 2 wrong usage, 130 interrupted. With ``--json`` one
document goes to stdout and nothing else.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click

from pinat_compile.cli.app import State, app
from pinat_compile.errors import DataError, FolderError, GraphError, ModelError, OptionError, PassError, PinatError

HINTS: dict[type[PinatError], str] = {
    ModelError: "check the file with onnx.checker, or export the network again",
    DataError: "--preprocess resize=…,layout=… says how samples become the network's input",
    FolderError: "compile the network again",
    GraphError: "compile the network again",
    PassError: "this is a bug in the pass; -v shows where",
    OptionError: "see --help",
}
"""What to try where an error does not say it itself."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit."""
    _never_fail_to_print()
    # Threads that wait for work sleep: spinning makes torch many times slower where the machine has other work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    given = list(sys.argv[1:] if arguments is None else arguments)
    state = State()
    try:
        app.main(given or ["--help"], prog_name="pinat-compile", standalone_mode=False, obj=state)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except PinatError as error:
        _tell(state, error, error.message, error.hint or HINTS.get(type(error), "see --help"))
        sys.exit(1)
    except MemoryError as error:
        _tell(state, error, "not enough memory", "fewer --chips, or a smaller network")
        sys.exit(1)
    except Exception as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        told = "the traceback above" if state.verbose else "the same command with -v for the traceback"
        _tell(state, error, f"unexpected {what}", f"this is a bug in pinat-compile; please report it, with {told}")
        sys.exit(1)
    sys.exit(0)


def _tell(state: State, error: BaseException, message: str, hint: str) -> None:
    if state.verbose:
        traceback.print_exception(error, file=sys.stderr)
    click.echo(f"{click.style('error:', fg='red', bold=True)} {' '.join(message.split())}", err=True)
    click.echo(f"  {click.style('hint:', bold=True)} {' '.join(hint.split())}", err=True)


def _never_fail_to_print() -> None:
    """Characters that the terminal cannot show become question marks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError, ValueError):
                stream.reconfigure(errors="replace")
