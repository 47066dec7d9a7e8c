"""A hook of mkdocs: pages link to files of the repository, and the site carries those files with it.

A link to ``../passes/base.py`` works where the repository is browsed. In the site it leads to a copy below ``source/``;
a link to a folder leads to a list of its files.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(?<=\]\()((?:\.\./)+[^)#\s]+)(?=[)#])")


def target_of(page: str, link: str) -> str | None:
    """The path in the repository that ``link`` on ``page`` (a path in docs) leads to; None where it stays in docs."""
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), link))
    return None if path.startswith("docs/") else path


def place_of(path: str) -> str:
    """Where a file of the repository stands in the site; folders, and pages in Markdown, as text."""
    if (ROOT / path).is_dir():
        return f"source/{path}/files.txt"
    return f"source/{path}.txt" if path.endswith((".md", ".py", ".toml")) else f"source/{path}"


def on_files(files: Files, config: Any) -> Files:
    """Add every file that a page links to and that lies outside docs."""
    for page in [file for file in files if file.is_documentation_page()]:
        for link in LINK.findall(page.content_string):
            path = target_of(page.src_uri, link)
            if path is None or files.get_file_from_path(place_of(path)) is not None:
                continue
            if (ROOT / path).is_dir():
                listing = "\n".join(sorted(entry.name for entry in (ROOT / path).iterdir()))
                files.append(File.generated(config, place_of(path), content=f"{path}\n\n{listing}\n"))
            elif (ROOT / path).exists():
                files.append(File.generated(config, place_of(path), abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: Any, files: Files) -> str:
    """Turn such links towards the copies. A link to what is not there stays as it is: mkdocs then says so."""

    def turned(match: re.Match[str]) -> str:
        path = target_of(page.file.src_uri, match[1])
        if path is None or not (ROOT / path).exists():
            return match[1]
        return posixpath.relpath(place_of(path), posixpath.dirname(page.file.src_uri) or ".")

    return LINK.sub(turned, markdown)
