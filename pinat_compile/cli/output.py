"""Where things are printed: results on stdout, or on stderr beside a JSON document; progress always on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from pinat_compile.cli.options import State, state_of
from pinat_compile.reporting.printable import printable
from pinat_compile.reporting.units import shortened

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from pinat_compile.hardware.schema import Target


DOING = 48
"""Columns for what is being done; bar, share and time left take the rest of 80."""
NARROWEST = 20
"""Columns below which a terminal's width is not believed."""


class Tell(Protocol):
    """Moves a progress bar: done of total, and a word on what is being done."""

    def __call__(self, done: float, total: float, text: str = "") -> None: ...


@dataclass(frozen=True, slots=True)
class Output:
    """One command's output. ``show`` for results, ``note`` for remarks, ``document`` for the JSON document."""

    quiet: bool
    verbose: bool
    as_json: bool
    state: State = field(default_factory=State)

    @classmethod
    def of(cls, ctx: click.Context, *, as_json: bool = False) -> Output:
        state = state_of(ctx)
        return cls(state.quiet, state.verbose, as_json, state)

    def keeps(self, kept: Callable[[], str]) -> None:
        """What is said, beside ``interrupted``, where the user breaks the command off from now on."""
        self.state.kept = kept

    def keeps_results(self, store: Path | None) -> None:
        """The same, where results go into a store one by one."""
        if store is not None:
            self.keeps(lambda: f"what was found is kept in {store}; the same command goes on from there")

    def console(self) -> Console:
        """Colour only on a terminal; 80 columns where there is none."""
        from rich.console import Console

        class Ours(Console):
            def on_broken_pipe(self) -> None:
                raise  # the error goes on: `main` knows what to do

        file = sys.stderr if self.as_json else sys.stdout
        console = Ours(file=file, highlight=False, markup=False, emoji=False)
        if console.width < NARROWEST:  # COLUMNS=0
            console.width = 80
        return console

    def show(self, *parts: RenderableType) -> None:
        """Results; with ``--json`` they are for people, on stderr, and ``--quiet`` leaves them out."""
        from pinat_compile.reporting.terminal import show

        if not (self.as_json and self.quiet):
            show(self.console(), *parts)

    def note(self, *parts: RenderableType) -> None:
        """Remarks: results that ``--quiet`` leaves out."""
        if not self.quiet:
            self.show(*parts)

    def remark_temperature(self, target: Target, temperature: float) -> None:
        """Say so where ``--temperature`` changes nothing."""
        if temperature != 300.0 and not target.feels_heat:
            self.note(f"note: {target.name} has no temperature section: --temperature changes nothing")

    def document(self, document: Mapping[str, Any]) -> None:
        """The JSON document, alone on stdout."""
        sys.stdout.write(json.dumps(document, indent=1, allow_nan=False) + "\n")

    @contextmanager
    def progress(self, text: str) -> Iterator[Tell]:
        """A bar on stderr that is gone when done; nothing where stderr is not a terminal, or with ``--quiet``."""
        if self.quiet or not sys.stderr.isatty():
            yield lambda done, total, text="": None
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=16),
            TaskProgressColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(shortened(printable(text), DOING), total=None)

            def tell(done: float, total: float, text: str = text) -> None:
                bar.update(task, completed=done, total=total, description=shortened(printable(text), DOING))

            yield tell
