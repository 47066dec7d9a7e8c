"""Results as CSV files in benchmarks/results: rows of one kind replace the same rows of an earlier run."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
BUILD = ROOT / "build" / "networks"
"""Where compiled networks are kept between runs."""

Row = Mapping[str, object]


def write(name: str, rows: Sequence[Row], keys: Sequence[str]) -> None:
    """Add ``rows`` to ``name``.csv, in place of those with the same values of ``keys``."""
    new = [{key: _text(value) for key, value in row.items()} for row in rows]
    measured = {tuple(row[key] for key in keys) for row in new}
    kept = [row for row in read(name) if tuple(row[key] for key in keys) not in measured]
    with (RESULTS / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(new[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows([*kept, *new])


def read(name: str) -> list[dict[str, str]]:
    """The rows of ``name``.csv; none where it is not there yet."""
    path = RESULTS / f"{name}.csv"
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _text(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else "" if value is None else str(value)
