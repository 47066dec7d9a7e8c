"""Where something is to be written: what stands in the way is found before anything is computed."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO


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
def aside(folder: Path) -> Iterator[Path]:
    """A file name in ``folder`` for what is not finished; what still stands there at the end is removed."""
    path = folder / f".pinat-{secrets.token_hex(4)}"
    try:
        yield path
    finally:
        with contextlib.suppress(OSError):  # what went wrong first is what counts
            path.unlink(missing_ok=True)


def write_aside(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write beside ``path``, flush to disk, then take its place: so that nothing half-written is ever there."""
    with aside(path.parent) as unfinished:
        with open(unfinished, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
