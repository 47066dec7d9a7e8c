"""The manifest of a compiled folder: which files it consists of; and the note of a save that is under way.

    {"schema": "pinat-compiled/1", "tool_version": …, "model": …, "target": …, "files": {NAME: {"file", "sha256"}}}
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pinat_compile import __version__
from pinat_compile.compiler.places import write_aside
from pinat_compile.errors import FolderError

SCHEMA = "pinat-compiled/1"
MANIFEST = "manifest.json"
UNFINISHED = ".pinat-unfinished"
"""Names the files that a save adds and removes, for as long as it is under way."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the folder as the manifest names it."""

    file: str
    sha256: str


def read_manifest(folder: Path) -> dict[str, Entry]:
    """The files of a compiled folder by their role; FolderError where it is none, or of another schema."""
    if not folder.is_dir():
        raise FolderError(f"{folder}: there is no such folder", hint="pinat-compile MODEL.onnx -o DIR makes one")
    document = _document(folder)
    if document is None:
        raise FolderError(f"{folder}: not a compiled folder (no {MANIFEST})", hint="give what -o named when compiling")
    if document["schema"] != SCHEMA:
        what = f"{folder}: written in schema {document['schema']}, this version reads {SCHEMA}"
        raise FolderError(what, hint=_remedy(document))
    files = document.get("files")
    if not isinstance(files, dict) or not all(isinstance(entry, dict) for entry in files.values()):
        raise FolderError(f"{folder / MANIFEST}: is damaged: it lists no files", hint="compile the network again")
    entries: dict[str, Entry] = {}
    for name, entry in files.items():
        file = str(entry.get("file", ""))
        if not _is_name(file):
            raise FolderError(f"{folder}: its manifest names a file outside the folder: {file!r}")
        entries[name] = Entry(file, str(entry.get("sha256", "")))
    return entries


def schema_of(folder: Path) -> str | None:
    """The schema that the folder's manifest states; ``None`` where there is no manifest of ours."""
    document = _document(folder)
    return None if document is None else str(document["schema"])


def _document(folder: Path) -> dict[str, Any] | None:
    path = folder / MANIFEST
    try:
        document = json.loads(path.read_bytes()) if path.is_file() else None
    except (OSError, ValueError, RecursionError):
        return None
    schema = document.get("schema") if isinstance(document, dict) else None
    return document if isinstance(schema, str) and schema.startswith("pinat-compiled/") else None


def _remedy(document: Mapping[str, Any]) -> str:
    """What to do with a folder of another schema: a later one needs a later version, an earlier one a new start."""
    number, version = document["schema"].partition("/")[2], str(document.get("tool_version", "?"))
    if number.isdecimal() and int(number[:9]) > int(SCHEMA.partition("/")[2]):
        return f"install pinat-compile {version} or later; this is {__version__}"
    return f"compile the network again, or read it with pinat-compile {version}; this is {__version__}"


# --- the note of a save that is under way ---


def note(folder: Path, names: Iterable[str]) -> None:
    """Write down which files a save adds and removes, before it does."""
    data = json.dumps(sorted(names)).encode()
    write_aside(folder / UNFINISHED, lambda file: file.write(data))


def noted(folder: Path) -> set[str]:
    """The files that a save which was cut off added or meant to remove; plain names only."""
    try:
        names = json.loads((folder / UNFINISHED).read_bytes())
    except (OSError, ValueError, RecursionError):
        return set()
    return {name for name in names if isinstance(name, str) and _is_name(name)} if isinstance(names, list) else set()


def sweep(folder: Path) -> None:
    """After a save, whole or cut off: of the files that it noted, those that the manifest does not name go."""
    kept = {entry.file for entry in read_manifest(folder).values()} if schema_of(folder) is not None else set()
    for name in noted(folder) - kept - {MANIFEST}:
        with contextlib.suppress(OSError):
            (folder / name).unlink(missing_ok=True)
    (folder / UNFINISHED).unlink(missing_ok=True)


def is_unfinished(folder: Path) -> bool:
    """Whether a folder without a manifest holds nothing but what a save that was cut off left."""
    ours = {UNFINISHED, *noted(folder)}
    names = [path.name for path in folder.iterdir()]
    return bool(names) and all(name in ours or name.startswith(".pinat-") for name in names)


# --- files ---


def is_plain(path: Path) -> bool:
    """Whether it is a file, and no link to one."""
    return path.is_file() and not path.is_symlink()


def sha256(path: Path) -> str:
    """Of a file's contents, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_name(text: str) -> bool:
    return bool(text) and Path(text).name == text
