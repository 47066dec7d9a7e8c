"""Names for contents: what has the same digest is the same, so that a result that is known need not be found again."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
from pathlib import Path
from typing import Any

LIBRARIES = ("torch", "numpy", "onnxruntime")
"""Their versions are part of what a result depends on."""


def digest(*said: Any) -> str:
    """SHA-256 of plain JSON values."""
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


@functools.cache
def code_digest() -> str:
    """SHA-256 of every source file of this package, and of the versions of the libraries that compute."""
    found = hashlib.sha256(repr([(name, importlib.metadata.version(name)) for name in LIBRARIES]).encode())
    top = Path(__file__).parents[1]
    for folder, below, files in os.walk(top, followlinks=True):  # passes and targets may be links
        below.sort()
        for name in sorted(files):
            if name.endswith((".py", ".toml")):
                path = Path(folder, name)
                found.update(str(path.relative_to(top)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()
