"""Results on disk: ``results/<kind>-<hash>.json`` in the compiled folder, for its report.

They are not named in the manifest: each stands for itself and says which network it belongs to. A folder that is
compiled again keeps the files; the new network leaves them aside.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.places import obstacle, write_aside
from pinat_compile.errors import FolderError

FIGURES = ("reference", "ideal", "mean", "std", "ci95", "worst", "p5", "top5", "top5_detail", "per_chip", "per_layer",
           "energy_j", "without", "gain", "per_step", "arrays", "planned_anew")  # fmt: skip
"""Keys that hold what was found; all others say what was asked."""


def save_result(compiled: Compiled, document: Mapping[str, Any], folder: str | Path) -> Path:
    """Write a result (the JSON document of `evaluate` or `sweep`); an earlier one of the same question is replaced.

    Raises FolderError where the folder cannot be written.
    """
    kind = "sweep" if "points" in document else "evaluate"
    digest = hashlib.sha256(json.dumps(_question(document), sort_keys=True).encode()).hexdigest()[:12]
    path = Path(folder) / "results" / f"{kind}-{digest}.json"
    text = json.dumps({**document, "fingerprint": compiled.fingerprint}, indent=1, allow_nan=False) + "\n"
    reason = obstacle(path.parent)
    try:
        if reason is None:
            path.parent.mkdir(exist_ok=True)
            write_aside(path, lambda file: file.write(text.encode()))
    except OSError as error:
        reason = error.strerror or str(error)
    if reason is not None:
        raise FolderError(f"{path}: cannot be written: {reason}", hint="check space and rights")
    return path


def saved_results(compiled: Compiled, folder: str | Path) -> list[Path]:
    """The results of this very network in its folder, the oldest first."""
    found = sorted((Path(folder) / "results").glob("*.json"), key=lambda path: (path.stat().st_mtime_ns, path.name))
    return [path for path in found if _fingerprint(path) == compiled.fingerprint]


def _fingerprint(path: Path) -> Any:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return document.get("fingerprint") if isinstance(document, dict) else None


def _question(document: Any) -> Any:
    """What was asked: the document without its figures."""
    if isinstance(document, Mapping):
        return {key: _question(value) for key, value in document.items() if key not in FIGURES}
    return [_question(value) for value in document] if isinstance(document, list) else document
