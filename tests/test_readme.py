"""The README is true: its code runs, its files exist, and its output is the one that the demo printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("code", BLOCKS, ids=lambda code: code.strip().splitlines()[-1][:40])
def test_python_blocks_run(code: str) -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_there_are_python_blocks() -> None:
    assert len(BLOCKS) >= 2


def test_the_pass_of_the_readme_is_a_pass() -> None:
    [code] = [block for block in BLOCKS if "class NameTheGraph" in block]
    names: dict[str, object] = {"__name__": "readme"}
    module = compile(code, "README.md", "exec", dont_inherit=True)
    sys.modules.setdefault("readme", type(sys)("readme"))
    exec(module, names)
    from pinat_compile.graph import Graph
    from pinat_compile.passes import run_passes

    make = names["NameTheGraph"]
    assert callable(make)
    graph, records = run_passes(Graph("net", [], []), [make()])
    assert graph.name == "mine" and records[0].name == "name-the-graph"


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(((?!https?:)[^)#]+)\)", README))))
def test_links_lead_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


def test_the_output_is_the_demos() -> None:
    quoted = README.split("<!-- begin demo output -->")[1].split("<!-- end demo output -->")[0]
    printed = {line.rstrip() for line in (ROOT / "docs" / "demo_output.txt").read_text("utf-8").splitlines()}
    lines = [line.rstrip() for line in quoted.strip().splitlines() if line.strip() and not line.startswith("```")]
    assert len(lines) > 20
    for line in lines:
        assert line in printed or line.strip() == "…", f"the demo did not print: {line}"
