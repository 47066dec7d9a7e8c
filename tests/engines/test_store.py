"""The store of results: a row is there once, whoever writes; nothing is lost when a writer is killed."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinat_compile.engines import Store
from pinat_compile.errors import StoreError

PLAIN: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=6,
)
WRITERS, ROWS, TOGETHER = 8, 600, 20


def test_rows_arrive_in_order_once_and_stay_as_they_were(tmp_path: Path) -> None:
    with Store(tmp_path / "new" / "results.sqlite") as store:
        assert store.add("a", {"x": 1, "y": [0.1, None]}) == ["x", "y"]
        assert store.add("a", {"y": "another", "z": {"p": 2}}) == ["z"]
        assert store.add("b", {"x": "of another kind"}) == ["x"]
        assert store.rows("a") == [("x", 1), ("y", [0.1, None]), ("z", {"p": 2})]
        assert store.known("a", ["z", "nowhere", "x"]) == {"z": {"p": 2}, "x": 1}
    with Store(tmp_path / "new" / "results.sqlite") as again:
        assert len(again.rows("a")) == 3 and again.rows("b") == [("x", "of another kind")]


@given(value=PLAIN)
def test_values_come_back_as_they_were_given(value: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    with Store(tmp_path_factory.mktemp("store") / "s") as store:
        store.add("a", {"x": value})
        assert store.rows("a") == [("x", value)]


def test_all_or_nothing(tmp_path: Path) -> None:
    with Store(tmp_path / "s") as store:
        with pytest.raises(KeyError), store.writing():
            store.add("a", {"x": 1})
            raise KeyError
        with pytest.raises(TypeError):
            store.add("a", {"x": 1, "y": object()})
        assert store.rows("a") == []


def _write(path: Path, writer: int) -> None:
    with Store(path) as store:
        for start in range(0, ROWS, TOGETHER):
            numbers = range(start, start + TOGETHER)
            store.add("own", {f"{writer}.{number}": [writer, number] for number in numbers})
            store.add("all", {str(number): number for number in numbers})


def test_several_writers_lose_and_double_nothing(tmp_path: Path) -> None:
    """Every writer adds rows of its own, and all of them the same others."""
    context, path = multiprocessing.get_context("spawn"), tmp_path / "s"
    writers = [context.Process(target=_write, args=(path, number)) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    with Store(path) as store:
        own, shared = store.rows("own"), store.rows("all")
    assert sorted(value for _, value in own) == [[w, n] for w in range(WRITERS) for n in range(ROWS)]
    assert sorted(value for _, value in shared) == list(range(ROWS))


def _write_until_killed(path: Path, ready: Any) -> None:
    with Store(path) as store:
        for number in range(1_000_000):
            store.add("a", {f"{number}.{part}": number for part in range(3)})
            if number == 20:
                ready.set()


def test_a_writer_that_is_killed_leaves_whole_groups_of_rows(tmp_path: Path) -> None:
    context, path = multiprocessing.get_context("spawn"), tmp_path / "s"
    ready = context.Event()
    writer = context.Process(target=_write_until_killed, args=(path, ready))
    writer.start()
    assert ready.wait(60) and writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join(60)
    with Store(path) as store:
        rows = store.rows("a")
        assert len(rows) % 3 == 0 and [value for _, value in rows] == [number // 3 for number in range(len(rows))]
        assert store.add("a", {"after": 1}) == ["after"]


def test_what_is_no_store_is_said_and_left_alone(tmp_path: Path) -> None:
    text, other, newer = tmp_path / "notes.txt", tmp_path / "other.sqlite", tmp_path / "newer.sqlite"
    text.write_text("these are my notes, and they are longer than a header\n" * 40)
    with sqlite3.connect(other) as file:
        file.execute("create table mine (x)")
    Store(newer).close()
    with sqlite3.connect(newer) as file:
        file.execute("pragma user_version = 99")
    for path, said in ((text, "file is not a database"), (other, "not a store of results"), (newer, "version 99")):
        before = path.read_bytes()
        with pytest.raises(StoreError, match=said):
            Store(path)
        assert path.read_bytes() == before
    with pytest.raises(StoreError, match=r"notes\.txt"):
        Store(text / "below")
    with pytest.raises(StoreError, match="unable to open"):
        Store(tmp_path)


def test_values_are_json_that_others_can_read(tmp_path: Path) -> None:
    with Store(tmp_path / "s") as store:
        store.add("a", {"x": {"top1": 0.5}})
    with sqlite3.connect(tmp_path / "s") as file:
        found = file.execute("select kind, key, value from results").fetchall()
    assert [(kind, key, json.loads(value)) for kind, key, value in found] == [("a", "x", {"top1": 0.5})]
