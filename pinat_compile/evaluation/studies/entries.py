"""What takes part in a study: each method on each target in each mode, and the conditions that it is judged under."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pinat_compile.evaluation.studies.file import Contestant, Mode, On, Study
from pinat_compile.evaluation.studies.summary import trained_at


@dataclass(frozen=True, slots=True)
class Entry:
    """One method on one target in one mode; ``at``: trained for this severity, and judged at it alone."""

    target: On
    mode: Mode
    method: Contestant
    at: float | None = None

    @property
    def where(self) -> dict[str, str]:
        title = self.method.title if self.at is None else trained_at(self.method.title, self.at)
        return {"target": self.target.title, "mode": self.mode.name, "method": title}

    @property
    def tuned(self) -> bool:
        """Whether it has trials of its own."""
        return self.mode.tuned_like is None and self.at is None

    @property
    def rounds(self) -> list[list[tuple[int, str, Any]]]:
        """Trials after the first one: number, setting and value; those of one setting do not wait for each other."""
        changes = ((trial, name, value) for trial, (name, value) in enumerate(self.method.changes(), 1))
        return [list(group) for _, group in itertools.groupby(changes, lambda change: change[1])]

    def __str__(self) -> str:
        return ", ".join((self.target.title, f"mode {self.mode.name}", self.where["method"]))


def entries(study: Study) -> Iterator[Entry]:
    """All of them, in the order of the file."""
    for target in study.targets:
        for mode in study.modes:
            for method in study.methods:
                if study.takes_part(method, mode):
                    yield Entry(target, mode, method)
            if study.reference is not None and mode is study.modes[0]:
                yield from (Entry(target, mode, study.reference, m) for m in study.protocol.severities)


def conditions(study: Study, entry: Entry) -> list[tuple[str, float]]:
    """Conditions and severities that an entry is judged under."""
    if entry.at is not None:
        return [("static", entry.at)]
    static = [("static", m) for m in study.protocol.severities]
    chosen = study.protocol.dynamic_for
    if chosen and entry.method.title not in chosen:
        return static
    return static + [(kind, 1.0) for kind in study.protocol.dynamic]
