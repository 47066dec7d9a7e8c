"""A store of results: an SQLite file of rows by kind and key, each there at most once, whoever writes it.

Rows are added in transactions that are on disk when they end. Several processes of one machine may write at once, and
any of them may be killed: a row is then there whole, once, or not at all. Rows never change.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pinat_compile.errors import StoreError

APPLICATION = 0x70696E61
"""Marks the file as ours ("pina")."""
VERSION = 1
WAIT_S = 120.0
"""How long a writer waits for others, at most."""

_TABLE = """
create table if not exists results (
    number integer primary key,  -- order of arrival
    kind text not null,
    key text not null,
    value text not null,         -- JSON
    unique (kind, key)
)
"""


class Store:
    """The results in the file ``path``, which is made where it is missing. Use it in one thread, and `close` it.

    Raises StoreError where the file is not a store of this version, or cannot be read or written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with self._trouble():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(self.path, timeout=WAIT_S, isolation_level=None)
            self._file.execute("pragma synchronous = full")
        try:
            with self._trouble():
                self._open()
        except BaseException:
            self._file.close()
            raise

    def _open(self) -> None:
        ask = ("pragma application_id", "pragma user_version", "select count(*) from sqlite_master")
        mark, version, tables = (self._file.execute(query).fetchone()[0] for query in ask)
        if (mark, version) == (APPLICATION, VERSION):
            return
        if mark or version or tables:
            what = f"version {version}, this one reads {VERSION}" if mark == APPLICATION else "not a store of results"
            raise StoreError(f"{self.path}: {what}", hint="name another file")
        self._file.execute("pragma journal_mode = wal")
        with self.writing():
            self._file.execute(_TABLE)
            self._file.execute(f"pragma application_id = {APPLICATION}")
            self._file.execute(f"pragma user_version = {VERSION}")

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *what: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    # --- writing ---

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """All or nothing of what is added inside; no other process writes meanwhile."""
        with self._trouble():
            self._file.execute("begin immediate")
        try:
            yield
            with self._trouble():
                self._file.execute("commit")
        except BaseException:
            if self._file.in_transaction:
                self._file.execute("rollback")
            raise

    def add(self, kind: str, rows: Mapping[str, Any]) -> list[str]:
        """Keep ``rows``, plain JSON values by key, together; the keys that are new. Others stay as they are."""
        if self._file.in_transaction:
            return self._add(kind, rows)
        with self.writing():
            return self._add(kind, rows)

    def _add(self, kind: str, rows: Mapping[str, Any]) -> list[str]:
        statement = "insert or ignore into results (kind, key, value) values (?, ?, ?)"
        with self._trouble():
            return [
                key for key, value in rows.items()
                if self._file.execute(statement, (kind, key, json.dumps(value))).rowcount
            ]

    # --- reading ---

    def known(self, kind: str, keys: Sequence[str]) -> dict[str, Any]:
        """Those of ``keys`` that are there, with their values."""
        ask = "select value from results where kind = ? and key = ?"
        with self._trouble():
            found = ((key, self._file.execute(ask, (kind, key)).fetchone()) for key in keys)
            return {key: json.loads(row[0]) for key, row in found if row is not None}

    def rows(self, kind: str) -> list[tuple[str, Any]]:
        """Keys and values, in the order in which they arrived."""
        with self._trouble():
            found = self._file.execute("select key, value from results where kind = ? order by number", (kind,))
            return [(key, json.loads(value)) for key, value in found]

    @contextlib.contextmanager
    def _trouble(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise StoreError(f"{self.path}: {reason}", hint="check space and rights, or name another file") from None


@contextlib.contextmanager
def store_for(store: str | Path | Store | None) -> Iterator[Store | None]:
    """The store of that name, closed at the end; one that is open is left open; ``None``: none."""
    if store is None or isinstance(store, Store):
        yield store
        return
    with Store(store) as made:
        yield made
