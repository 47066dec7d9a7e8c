"""Sdist and the wheel made from it, of a checkout with and without the two links: complete, tidy, installed."""

import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from tests.test_layout import SETUPTOOLS, folders

ROOT = Path(__file__).parents[1]
LINKS = ("pinat_compile/passes", "pinat_compile/targets")


def copy_checkout(to: Path, *, links: bool) -> None:
    """What git tracks or would track. Without links they become text files, as git writes them on Windows."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                            check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        source, target = ROOT / name, to / name
        if name in LINKS and not links:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(f"../{Path(name).name}")
        elif source.is_symlink() or source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)


@pytest.fixture(scope="module", params=[True, False], ids=["links", "no-links"])
def wheel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    copy_checkout(folder / "source", links=request.param)
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), "source"]
    done = subprocess.run(build, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return path


def test_contents(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        assert not any(stat.S_ISLNK(entry.external_attr >> 16) for entry in archive.infolist())
    tops = {name.partition("/")[0] for name in names}
    assert sorted(top.partition("-")[0] for top in tops) == ["pinat_compile", "pinat_compile"], tops

    places = {"pinat_compile": ROOT / "pinat_compile", "pinat_compile/passes": ROOT / "passes",
              "pinat_compile/targets": ROOT / "targets"}
    wanted = {f"{place}/{file.relative_to(top).as_posix()}" for place, top in places.items() for path in folders(top)
              for file in path.iterdir() if file.suffix in (".py", ".toml", ".npz") and file.is_file()}
    assert {name for name in names if name.endswith((".py", ".toml", ".npz"))} == wanted
    assert {"pinat_compile/py.typed", "pinat_compile/data/fashion_mnist_mini.npz",
            "pinat_compile/data/LICENSE.fashion-mnist"} <= names
    assert not [name for name in names if "/tests/" in name or "/examples/" in name]


def test_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = next(name.partition("/")[0] for name in archive.namelist() if ".dist-info/" in name)
        metadata = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
        entry_points = archive.read(f"{info}/entry_points.txt").decode()
    assert metadata["License-Expression"] == "Apache-2.0" and metadata["Requires-Python"] == ">=3.11"
    assert set(metadata.get_all("License-File", [])) == {"LICENSE", "pinat_compile/data/LICENSE.fashion-mnist"}
    assert "pinat-compile = pinat_compile.cli:main" in entry_points


def test_it_runs_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = (f"import sys, importlib; sys.path.insert(0, {str(tmp_path / 'site')!r})\n"
            f"for name in {SETUPTOOLS['packages']!r}: print(importlib.import_module(name).__file__)\n"
            "from pinat_compile.data import load_data; print(len(load_data('fashion-mnist-mini@train')))")
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *files, count = done.stdout.split()
    assert all(Path(file).is_relative_to(tmp_path / "site") for file in files) and count == "5000"


def test_it_installs_into_an_environment_of_its_own(wheel: Path, tmp_path: Path) -> None:
    """A new environment, where pip puts the wheel and its command; what it depends on is lent by this one."""
    venv.create(tmp_path / "clean", symlinks=True)
    python = tmp_path / "clean" / "bin" / "python"
    (site,) = (tmp_path / "clean" / "lib").glob("python3.*/site-packages")
    (site / "lent.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index",
           "--force-reinstall", "--ignore-installed", str(wheel)]
    done = subprocess.run(pip, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    command = [str(python.with_name("pinat-compile")), "targets", "ideal_128x128"]
    given = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=tmp_path, env=given, capture_output=True, text=True)
    assert done.returncode == 0 and "ideal_128x128" in done.stdout, done.stderr
    where = subprocess.run([str(python), "-c", "import pinat_compile; print(pinat_compile.__file__)"], cwd=tmp_path,
                           env=given, capture_output=True, text=True).stdout.strip()
    assert Path(where).is_relative_to(site)
