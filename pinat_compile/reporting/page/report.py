"""``report``: a compiled network, or two beside each other, as one HTML file that opens without a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.places import obstacle, write_aside
from pinat_compile.errors import OptionError


def report(
    compiled: Compiled | str | Path,
    path: str | Path,
    *,
    results: Sequence[Any] = (),
    against: Compiled | str | Path | None = None,
    against_results: Sequence[Any] = (),
) -> Path:
    """Write the report on ``compiled`` (or the folder of a compiled network) to the HTML file ``path``.

    ``results``: what `evaluate` and `sweep` found on it, or JSON files of it, beside those that a folder keeps
    (``evaluate --save``). ``against``: another compiled network
    whose differences from ``compiled`` are marked, with its own ``against_results``. The file holds everything that it
    shows and loads nothing. Raises FolderError, OptionError.
    """
    from pinat_compile.reporting.page.document import page
    from pinat_compile.reporting.page.run import run_of

    path = Path(path)
    run = run_of(compiled, results)
    other = None if against is None else run_of(against, against_results)
    _write(path, page(run, other))
    return path


def _write(path: Path, text: str) -> None:
    """The whole file or nothing."""
    reason = obstacle(path.parent) or ("is a folder" if path.is_dir() else None)
    try:
        if reason is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_aside(path, lambda file: file.write(text.encode("utf-8", "backslashreplace")))
    except OSError as error:
        reason = error.strerror or str(error)
    if reason is not None:
        raise OptionError(f"report {path}: cannot be written: {reason}", hint="name another file")
