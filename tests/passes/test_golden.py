"""Every pass on small graphs in text form: before, ``=====``, after, each numbered case of its docstring.

A file begins with ``# cases 1, 2: what it shows`` and perhaps ``# options: {...}`` (see factories.py). What a pass
refuses stands as ``error: message`` in the place of the graph after. ``pytest --update-golden`` rewrites what stands
below ``=====``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pinat_compile.errors import PinatError
from pinat_compile.graph import dump, parse, verify
from tests.passes.factories import FACTORIES

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(GOLDEN.glob("*/*.txt"))
FLOATS = 64
"""Float tensors up to this size are written out."""


def split(file: Path) -> tuple[str, str, str]:
    """The comments at the top, the graph before, and what is expected."""
    text, _, after = file.read_text("utf-8").partition("\n=====\n")
    lines = text.splitlines()
    top = [line for line in lines if line.startswith("#")]
    return "\n".join(top) + "\n", "\n".join(lines[len(top):]) + "\n", after


def option_text(top: str) -> str:
    """The JSON after ``# options:``; lines that follow with ``#`` go on."""
    found = re.search(r"^# options:((?:.|\n#)*)", top, re.MULTILINE)
    return found[1].replace("\n#", "\n") if found else "{}"


def cases(file: Path) -> set[int]:
    found = re.match(r"# cases? ([\d, ]+): \S", split(file)[0])
    assert found, f"{file.parent.name}/{file.name}: begin with '# case N: what it shows'"
    return {int(number) for number in found[1].split(",")}


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_golden(file: Path, update_golden: bool) -> None:
    top, before, expected = split(file)
    graph = parse(before)
    verify(graph)
    assert dump(graph, inline_floats=FLOATS) == before, "the graph before is not in the form that dump gives"
    step = FACTORIES[file.parent.name](json.loads(option_text(top)))
    try:
        changed = step.run(graph)
        verify(changed)
        got = dump(changed, inline_floats=FLOATS)
    except PinatError as error:
        got = f"error: {error.message}\n" + (f"hint: {error.hint}\n" if error.hint else "")
    assert dump(graph, inline_floats=FLOATS) == before, "the pass changed the graph that it was given"
    if update_golden:
        file.write_text(f"{top}{before}=====\n{got}", "utf-8")
    else:
        assert got == expected


@pytest.mark.parametrize("name", sorted(FACTORIES))
def test_every_case_of_the_docstring_has_a_file(name: str) -> None:
    module = __import__(f"pinat_compile.passes.{name.replace('-', '_')}", fromlist=["x"])
    passes = [kind for kind in vars(module).values() if getattr(kind, "name", None) == name]
    assert len(passes) == 1
    numbers = {int(number) for number in re.findall(r"^ {4}(\d+)\. ", passes[0].__doc__ or "", re.MULTILINE)}
    shown = set[int]().union(*(cases(file) for file in FILES if file.parent.name == name))
    assert numbers == shown


def test_every_folder_is_a_pass() -> None:
    assert {folder.name for folder in GOLDEN.iterdir()} == set(FACTORIES)
