"""The documentation is true: every block of code runs, in a tiny form; the site builds without a warning.

Blocks in ``python`` and ``sh`` run page by page, top to bottom, in a folder that holds ``examples`` and the shipped
network compiled as ``resnet8``; ``console`` is for what cannot run here (installation, a study of minutes), and a block
with a title of another tool is that tool's. Sizes are cut: few samples, one chip, one epoch, the CPU for a GPU, this
process for Ray.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from markdown_it import MarkdownIt

import pinat_compile
from pinat_compile.cli import main

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"])
OTHERS = ("aihwkit", "CrossSim", "NeuroSim")
SMALLER = (
    (re.compile(r"fashion-mnist-mini@test(\[:\d+\])?"), "fashion-mnist-mini@test[:16]"),
    (re.compile(r"fashion-mnist-mini@train(\[:\d+\])?"), "fashion-mnist-mini@train[:64]"),
    (re.compile(r"--chips \d+"), "--chips 1"),
    (re.compile(r"chips=\d+"), "chips=1"),
    (re.compile(r"--epochs \d+"), "--epochs 1"),
    (re.compile(r"epochs=\d+"), "epochs=1"),
    (re.compile(r"adc\.bits=4\.\.8"), "adc.bits=4,8"),
    (re.compile(r"--device cuda"), "--device cpu"),
    (re.compile(r"--engine ray --threads 1"), ""),
    (re.compile(r"--engine ray"), ""),
    (re.compile(r'device="cuda"'), 'device="cpu"'),
)


@dataclass(frozen=True)
class Block:
    """A fenced block: language, title, text."""

    language: str
    title: str
    code: str


def blocks(page: Path) -> Iterator[Block]:
    for token in MarkdownIt().parse(page.read_text("utf-8")):
        if token.type == "fence":
            language, _, rest = token.info.partition(" ")
            yield Block(language, rest.strip().removeprefix("title=").strip('"'), token.content)


def smaller(code: str) -> str:
    for pattern, instead in SMALLER:
        code = pattern.sub(instead, code)
    return code


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped network compiled; only to be copied."""
    compiled = pinat_compile.compile(ROOT / "examples" / "resnet8_fashion_mnist.onnx", target="reram_128x128")
    folder: Path = compiled.save(tmp_path_factory.mktemp("docs") / "resnet8")
    return folder


@pytest.fixture
def desk(shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which a page's blocks run."""
    shutil.copytree(shipped, tmp_path / "resnet8")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", [p for p in PAGES if p.name != "README.md"], ids=lambda p: str(p.relative_to(ROOT)))
def test_blocks_run(
    page: Path, desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = ModuleType(f"page_{page.stem}")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # dataclasses look their module up
    for block in blocks(page):
        if block.title.endswith(".toml"):
            (desk / block.title).write_text(block.code, "utf-8")
        if block.title in OTHERS:
            continue
        if block.language == "python":
            exec(compile(smaller(block.code), str(page), "exec", dont_inherit=True), vars(module))
        elif block.language == "sh":
            for line in block.code.splitlines():
                command(line, capsys)


def command(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Run a line in this process; it must succeed."""
    words = shlex.split(smaller(line), comments=True)
    if not words:
        return
    assert words[0] == "pinat-compile", f"not a command of ours: {line}"
    with pytest.raises(SystemExit) as stopped:
        main(words[1:])
    assert not stopped.value.code, f"{line}\n{capsys.readouterr().err}"


def test_languages() -> None:
    """Blocks are run, or of a kind that nobody could run."""
    for page in PAGES:
        for block in blocks(page):
            assert block.language in ("python", "sh", "text", "toml", "console", "csv"), (page.name, block.language)


def test_other_tools_code_is_python() -> None:
    found = [block for page in PAGES for block in blocks(page) if block.title in OTHERS]
    assert len(found) >= 2
    for block in found:
        compile(block.code, block.title, "exec")


def test_the_reference_has_every_public_name() -> None:
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    listed = {line.rpartition(".")[2] for line in page.splitlines() if line.startswith("::: ")}
    assert set(pinat_compile.__all__) - {"__version__"} <= listed


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    """Strict: a broken link, a missing anchor, a page outside the navigation or a docstring that is not found fails."""
    pytest.importorskip("mkdocs")
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 20
    outside = re.compile(r"""<(?:script|link|img)[^>]+(?:src|href)=["']?(?:https?:)?//""")
    assert not [path.name for path in pages if outside.search(path.read_text("utf-8"))], "the site opens offline"
