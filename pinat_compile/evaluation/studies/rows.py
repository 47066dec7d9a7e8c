"""Raw results as CSV: rows are appended in one write and flushed; a torn last line is cut off when they are read."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pinat_compile.compiler.places import write_aside
from pinat_compile.errors import FolderError

Row = dict[str, str]


class Rows:
    """The rows of one file with fixed columns."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.columns = tuple(columns)
        self.rows: list[Row] = []
        if path.exists():
            self._read()
        else:
            header = ",".join(self.columns) + "\n"
            write_aside(path, lambda file: file.write(header.encode()))

    def _read(self) -> None:
        text = self.path.read_text("utf-8")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:  # a write was broken off
            with open(self.path, "r+b") as file:
                file.truncate(len(whole.encode()))
        reader = csv.DictReader(io.StringIO(whole))
        if tuple(reader.fieldnames or ()) != self.columns:
            raise FolderError(f"{self.path}: other columns than this version writes", hint="choose another -o")
        self.rows = [dict(row) for row in reader]

    def add(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Append rows that belong together; on disk when this returns."""
        made = [{name: as_text(row.get(name)) for name in self.columns} for row in rows]
        stream = io.StringIO()
        csv.DictWriter(stream, self.columns, lineterminator="\n").writerows(made)
        self._write(stream.getvalue())
        self.rows += made

    def _write(self, text: str) -> None:
        data = text.encode()
        with open(self.path, "ab", buffering=0) as file:
            start = file.seek(0, os.SEEK_END)
            try:
                while data:
                    data = data[file.write(data) :]
                os.fsync(file.fileno())
            except OSError:  # a full disk: all of the rows or none
                file.truncate(start)
                raise

    def where(self, **wanted: object) -> list[Row]:
        """The rows with these values."""
        texts = {name: as_text(value) for name, value in wanted.items()}
        return [row for row in self.rows if all(row[name] == text for name, text in texts.items())]


def as_text(value: object) -> str:
    """As it stands in the file."""
    if value is None:
        return ""
    return repr(value) if isinstance(value, float) else str(value)
