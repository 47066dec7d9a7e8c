"""What a page is made of: a compiled network, its report document and tiles, and results that were measured on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.folder import load, read_report, read_tiles
from pinat_compile.compiler.results import saved_results
from pinat_compile.compiler.summary import report_document, tiles
from pinat_compile.reporting.page.results import Measured, measured
from pinat_compile.reporting.printable import printable

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """One compiled network as a page shows it. ``place``: what commands name, its folder where it has one."""

    compiled: Compiled
    document: Document
    tiles: Sequence[Document]
    measured: Measured
    place: str

    @property
    def title(self) -> str:
        return f"{self.document['model']['name']} on {self.document['target']['name']}"


def run_of(source: Compiled | str | Path, results: Sequence[Any] = ()) -> Run:
    """The run of a compiled network or its folder; ``results``: what `evaluate` and `sweep` found, or JSON files of it,
    beside those that the folder keeps.

    Raises FolderError as `load` does, and OptionError for a result of another network.
    """
    if isinstance(source, Compiled):
        document: Document = report_document(source)
        compiled, found, place = source, list(tiles(source)), "DIR"
    else:
        compiled, document = load(source), read_report(source)
        found, place = list(read_tiles(source)), str(source)
        results = [*saved_results(compiled, source), *results]
    shown = printable(document)
    return Run(compiled, shown, found, measured(results, shown), printable(place))
