"""Packaging: passes/ and targets/ stand beside the package here and inside it when installed; every package listed."""

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import pinat_compile.passes
import pinat_compile.targets

ROOT = Path(__file__).parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
BESIDE = ("passes", "targets")


def folders(top: Path) -> Iterator[Path]:
    """A folder and those below it, without following links or entering caches."""
    for path, below, _ in os.walk(top):
        below[:] = sorted(name for name in below if name != "__pycache__")
        yield Path(path)


def packages() -> set[str]:
    """The dotted name of every package found in the three places."""
    inside = {".".join(path.relative_to(ROOT).parts)
              for path in folders(ROOT / "pinat_compile") if (path / "__init__.py").is_file()}
    beside = {".".join(("pinat_compile", *path.relative_to(ROOT).parts))
              for name in BESIDE for path in folders(ROOT / name) if (path / "__init__.py").is_file()}
    return inside | beside


def test_every_package_is_listed() -> None:
    assert sorted(SETUPTOOLS["packages"]) == sorted(packages())


def test_every_folder_of_modules_is_a_package() -> None:
    for top in ("pinat_compile", *BESIDE):
        for path in folders(ROOT / top):
            if any(path.glob("*.py")):
                assert (path / "__init__.py").is_file(), f"{path.relative_to(ROOT)} needs an __init__.py"


def test_every_module_has_a_docstring_and_typing_is_declared() -> None:
    assert (ROOT / "pinat_compile" / "py.typed").is_file()
    for top in ("pinat_compile", *BESIDE):
        for module in (module for path in folders(ROOT / top) for module in path.glob("*.py")):
            assert module.read_text("utf-8").startswith('"""'), f"{module.relative_to(ROOT)} needs a docstring"


@pytest.mark.parametrize("name", BESIDE)
def test_folder_is_not_importable_by_its_bare_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    with pytest.raises(ImportError, match=f"import pinat_compile.{name}"):
        __import__(name)


@pytest.mark.parametrize("name", BESIDE)
def test_the_package_and_the_folder_are_one(name: str) -> None:
    module = getattr(pinat_compile, name)
    assert Path(module.__file__).resolve().parent == ROOT / name
    assert SETUPTOOLS["package-dir"][f"pinat_compile.{name}"] == name


def test_the_version_is_semantic_and_the_changelog_and_a_tag_agree_with_it() -> None:
    version = pinat_compile.__version__
    assert re.fullmatch(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?", version), version
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] == version
    asked = ["git", "tag", "--points-at", "HEAD"]
    tags = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True).stdout.split()
    assert [tag for tag in tags if tag.startswith("v")] in ([], [f"v{version}"])
