"""The command line: parses, calls one function, prints. Heavy imports stand inside the commands.

Exit codes: 0 done, 1 the user can mend it (one line and a hint), 2 wrong usage, 130 interrupted. With ``--json`` one
document goes to stdout and nothing else.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click

from pinat_compile.cli.app import State, app
from pinat_compile.cli.completion import complete
from pinat_compile.errors import DataError, FolderError, GraphError, ModelError, OptionError, PassError, PinatError
from pinat_compile.reporting.printable import LONGEST_MESSAGE, one_line, printable
from pinat_compile.reporting.units import shortened

HINTS: dict[type[PinatError], str] = {
    ModelError: "check the file with onnx.checker, or export the network again",
    DataError: "--preprocess resize=…,layout=… says how samples become the network's input",
    FolderError: "compile the network again",
    GraphError: "compile the network again",
    PassError: "this is a bug in the pass; -v shows where",
    OptionError: "see --help",
}
"""What to try where an error does not say it itself."""


MEMORY_HINT = "a smaller --batch-size, fewer samples as in DATA@[:1000], or a machine with more"

NO_MEMORY = re.compile(r"can't allocate memory|not enough memory|CUDA out of memory|failed to allocate|bad_alloc", re.I)
"""What torch and onnxruntime say; neither raises a MemoryError."""


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, whoever says so."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and bool(NO_MEMORY.search(str(error))))


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit."""
    _never_fail_to_print()
    state = State()
    try:
        _run(state, list(sys.argv[1:] if arguments is None else arguments))
    except SystemExit as stop:
        sys.exit(_flushed(state, stop.code))


def _run(state: State, given: list[str]) -> NoReturn:
    # Threads that wait for work sleep: spinning makes torch many times slower where the machine has other work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    complete(app)
    try:
        with app.make_context("pinat-compile", given or ["--help"], obj=state) as context:
            app.invoke(context)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        said = io.StringIO()
        error.show(said)
        click.echo("\n".join(shortened(printable(line), LONGEST_MESSAGE) for line in said.getvalue().split("\n")),
                   err=True, nl=False)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(0)  # whoever read our output has seen enough
    except (click.Abort, KeyboardInterrupt):
        click.echo(f"interrupted: {one_line(state.kept())}", err=True)
        sys.exit(130)
    except PinatError as error:
        _tell(state, error, error.message, error.hint or HINTS.get(type(error), "see --help"))
        sys.exit(1)
    except OSError as error:
        _tell(state, error, _said(error), "check path, rights and space")
        sys.exit(1)
    except Exception as error:
        if out_of_memory(error):
            _tell(state, error, "not enough memory", MEMORY_HINT)
            sys.exit(1)
        what = " ".join(f"{type(error).__name__}: {error}".split())
        told = "the traceback above" if state.verbose else "the same command with -v for the traceback"
        _tell(state, error, f"unexpected {what}", f"this is a bug in pinat-compile; please report it, with {told}")
        sys.exit(1)
    sys.exit(0)


def _tell(state: State, error: BaseException, message: str, hint: str) -> None:
    if state.verbose:
        for line in "".join(traceback.format_exception(error)).split("\n"):
            click.echo(printable(line), err=True)
    click.echo(f"{click.style('error:', fg='red', bold=True)} {one_line(message)}", err=True)
    click.echo(f"  {click.style('hint:', bold=True)} {one_line(hint)}", err=True)


def _said(error: OSError) -> str:
    """What the system said: ``FILE: Permission denied``."""
    reason = error.strerror or str(error) or type(error).__name__
    return f"{os.fsdecode(error.filename)}: {reason}" if isinstance(error.filename, str | bytes) else reason


def _flushed(state: State, code: str | int | None) -> str | int | None:
    """The exit code once all output has arrived: 1 where it cannot be written; a reader who left is no error."""
    try:
        sys.stdout.flush()
        return code
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the interpreter's own flush
        if isinstance(error, BrokenPipeError):
            return code
        _tell(state, error, f"standard output: {error.strerror}", "make space, or send the output elsewhere")
        return 1


def _never_fail_to_print() -> None:
    """Characters that the terminal cannot show become question marks; closed streams take output and lose it."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  for the rest of the process
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError, ValueError):
                stream.reconfigure(errors="replace")
