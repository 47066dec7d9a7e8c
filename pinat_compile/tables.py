"""Results as tables: for pandas where it is installed, and for a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from pinat_compile.errors import extra_needed

if TYPE_CHECKING:
    import pandas

Record = Mapping[str, Any]

SHOWN = 60
"""Rows of a table in a notebook; of more, the last line says how many are left out."""


def dataframe(records: Sequence[Record]) -> pandas.DataFrame:
    """A row per record; OptionError where pandas is missing."""
    try:
        import pandas
    except ImportError:
        raise extra_needed("to_dataframe", "pandas", "notebook") from None
    return pandas.DataFrame.from_records([dict(record) for record in records])


def html(title: str, records: Sequence[Record], note: str = "") -> str:
    """A title, a table with a row per record, and a note, as HTML; all text is escaped."""
    parts = [f"<p><b>{escape(title)}</b>{' ' if note else ''}{escape(note)}</p>"]
    if records:
        head = "".join(f"<th>{escape(key)}</th>" for key in records[0])
        rows = ["".join(f"<td>{_cell(value)}</td>" for value in record.values()) for record in records[:SHOWN]]
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
    if len(records) > SHOWN:
        parts.append(f"<p>and {len(records) - SHOWN} more</p>")
    return "".join(parts)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return escape(f"{value:.4g}" if isinstance(value, float) else str(value))
