"""Where something is written: what stands in the way is found before anything is computed; one process at a time.

Whatever is written appears whole or not at all. Files that are not finished are called ``.pinat-…``; what a process
that was killed left of them is removed by the next one that writes in the same place.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from pinat_compile.errors import FolderError

PATIENCE_S = 10.0
"""How long a short write waits for another process to finish its own, in seconds."""


def obstacle(path: Path) -> str | None:
    """Why no file or folder can be made at ``path``, in words; ``None`` where nothing stands in the way.

    ``path`` itself may be a folder; the nearest folder that exists must be one that we may write in.
    """
    for place in (path, *path.absolute().parents):
        try:
            os.lstat(place)
        except FileNotFoundError:
            continue
        except NotADirectoryError:
            continue  # the file in the way is met further up
        except (OSError, ValueError) as error:
            return getattr(error, "strerror", None) or str(error)
        if place.is_symlink() and not place.exists():
            return f"{place} is a link to nowhere"
        if not place.is_dir():
            return f"{place} is not a folder"
        return None if os.access(place, os.W_OK | os.X_OK) else f"no right to write in {place}"
    return "there is no such place"


@contextlib.contextmanager
def held(place: Path, *, patience: float = 0.0) -> Iterator[None]:
    """While this lasts, no other process writes at ``place``, a file or a folder that need not exist yet.

    The lock is the operating system's (flock or its like) on a file beside ``place``: it ends with the process, however
    that ends, so that none is ever stale. One process may hold a place several times. What a killed process left
    unfinished there is removed. Raises FolderError where another process holds it for longer than ``patience`` seconds.
    """
    from filelock import FileLock, Timeout

    file = _lock_file(place)
    lock = FileLock(file, is_singleton=True)
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        raise FolderError(
            f"{place}: another pinat-compile is writing there{_holder(file)}", hint="let it finish, or name another -o"
        ) from None
    try:
        if lock.lock_counter == 1:
            with contextlib.suppress(OSError):  # it only serves the message above
                file.write_text(str(os.getpid()))
            _remove_leftovers(place)
        yield
    finally:
        if lock.lock_counter == 1:  # removed while it is held: who waits for it sees that and makes a new one
            with contextlib.suppress(OSError):
                file.unlink()
        lock.release()


def _lock_file(place: Path) -> Path:
    """Beside the place; inside, where it is a folder and nothing may be written beside it."""
    beside = place.resolve().parent
    inside = place.is_dir() and not os.access(beside, os.W_OK)
    return (place.resolve() if inside else beside) / f"{_prefix(place)}.lock"


def _holder(file: Path) -> str:
    with contextlib.suppress(OSError, ValueError):
        return f" (process {int(file.read_text()[:20])})"
    return ""


def _prefix(place: Path) -> str:
    """How unfinished files for ``place`` begin; short, however long its own name is."""
    return f".pinat-{hashlib.sha256(os.fsencode(place.resolve().name)).hexdigest()[:12]}"


def _remove_leftovers(place: Path) -> None:
    for folder in (place.resolve().parent, place):
        for path in folder.glob(f"{_prefix(place)}-*"):
            _remove(path)


def remove_unfinished(folder: Path) -> None:
    """Everything unfinished in ``folder``, for whoever holds it and so is the only one to write there."""
    for path in folder.glob(".pinat-*"):
        if path != _lock_file(folder):
            _remove(path)


def _remove(path: Path) -> None:
    """A file or a folder of ours, if it is there; nothing is said where that fails: something else went wrong first."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


@contextlib.contextmanager
def aside(place: Path, folder: Path | None = None) -> Iterator[Path]:
    """A path in ``folder`` (default: beside ``place``) for what will be at ``place``, or in it; removed at the end."""
    unfinished = (place.parent if folder is None else folder) / f"{_prefix(place)}-{secrets.token_hex(4)}"
    try:
        yield unfinished
    finally:
        _remove(unfinished)


def write_aside(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write beside ``path``, flush to disk, then take its place: so that nothing half-written is ever there."""
    with held(path, patience=PATIENCE_S), aside(path) as unfinished:
        with open(unfinished, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
        flush_names(path.parent)


def remove_file(path: Path) -> None:
    """Remove a file that `write_aside` wrote, if it is there, and what a killed process left while it wrote it."""
    with held(path, patience=PATIENCE_S):
        path.unlink(missing_ok=True)


def flush_names(folder: Path) -> None:
    """To disk: which files a folder holds (their contents are flushed by who writes them)."""
    with contextlib.suppress(OSError):  # Windows opens no folders, and flushes names itself
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
