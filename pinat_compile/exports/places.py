"""Files that are written for other tools: what stands in the way is said before anything is computed."""

from __future__ import annotations

import os
from pathlib import Path

from pinat_compile.compiler.places import obstacle, write_aside
from pinat_compile.errors import OptionError


def check_file(path: Path, what: str) -> None:
    """Raise OptionError where no regular file can be written at ``path``; one that exists may be replaced."""
    reason = obstacle(path.parent)
    if reason is None and not path.parent.is_dir():
        reason = f"there is no folder {path.parent}"
    if reason is None and os.path.lexists(path) and (path.is_symlink() or not path.is_file()):
        reason = "it exists and is not a regular file"
    if reason is not None:
        raise OptionError(f"{what} {path}: cannot be written: {reason}", hint="name another file")


def write(path: Path, data: bytes, what: str) -> Path:
    """Write a file whole or not at all; OptionError where that is not possible."""
    check_file(path, what)
    try:
        write_aside(path, lambda file: file.write(data))
    except OSError as error:
        reason = error.strerror or error
        raise OptionError(f"{what} {path}: cannot be written: {reason}", hint="check space and rights") from None
    return path
