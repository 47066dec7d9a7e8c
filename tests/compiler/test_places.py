"""Places that are written: one process at a time, a killed one holds nothing and leaves nothing for long."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from pinat_compile.compiler.manifest import note
from pinat_compile.compiler.places import aside, held, write_aside
from pinat_compile.errors import FolderError

HOLDER = """
import sys
from pathlib import Path
from pinat_compile.compiler.places import aside, held
place = Path(sys.argv[1])
with held(place), aside(place) as unfinished:
    unfinished.write_text("half")
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process(place: Path) -> Iterator[subprocess.Popen[str]]:
    """One that holds ``place`` and has begun to write there."""
    words = [sys.executable, "-c", HOLDER, str(place)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_place_that_is_held_is_refused_and_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    place = tmp_path / "out"
    with another_process(place) as process:
        with pytest.raises(FolderError, match="another pinat-compile is writing there"):
            with held(place):
                pass
        with held(tmp_path / "other"):
            pass
        process.kill()
        process.wait()
        assert len(names(tmp_path)) == 2  # its lock and what it had begun
        with held(place):
            assert all(name.endswith(".lock") for name in names(tmp_path))
    assert names(tmp_path) == set()


def test_who_waits_gets_the_place(tmp_path: Path) -> None:
    with another_process(tmp_path / "out") as process:
        assert process.stdin is not None
        process.stdin.close()  # it ends, in its own time
        with held(tmp_path / "out", patience=60.0):
            assert len(names(tmp_path)) == 1


def test_a_process_may_hold_a_place_twice(tmp_path: Path) -> None:
    with held(tmp_path / "out"):
        with held(tmp_path / "out"):
            pass
        assert len(names(tmp_path)) == 1
    assert names(tmp_path) == set()


def test_two_names_of_a_folder_are_one_place(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with another_process(tmp_path / "real"), pytest.raises(FolderError, match="another pinat-compile"):
        with held(tmp_path / "link"):
            pass


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path, code: int) -> None:
    path = tmp_path / "kept.txt"
    path.write_text("old")

    def write(file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError(code, "said by the system")

    with pytest.raises(OSError, match="said by the system"):
        write_aside(path, write)
    assert path.read_text() == "old" and names(tmp_path) == {"kept.txt"}


def test_a_long_name_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 250)
    write_aside(path, lambda file: file.write(b"x"))
    with aside(path) as unfinished:
        assert len(unfinished.name) < 50
    assert names(tmp_path) == {path.name}


def test_a_note_names_plain_files_only(tmp_path: Path) -> None:
    from pinat_compile.compiler.manifest import noted, sweep

    (tmp_path / "outside.txt").write_text("precious")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "graph.txt").write_text("ours")
    note(folder, ["graph.txt", "../outside.txt", "", str(tmp_path / "outside.txt")])
    assert noted(folder) == {"graph.txt"}
    sweep(folder)
    assert names(folder) == set() and names(tmp_path) == {"folder", "outside.txt"}
