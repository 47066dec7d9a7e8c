"""The environments that other tools run in: of their own, made by venv and pip, the same torch in each."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / "constraints.txt"


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool and how it is had: ``package`` ``None``: where the user has installed ``module``, else nowhere.

    ``needs`` are installed first, in the versions that ``constraints.txt`` pins; then the package, without what it asks
    for: another torch.
    """

    name: str
    module: str
    package: str | None = None
    needs: tuple[str, ...] = ()


TOOLS = {
    tool.name: tool
    for tool in (
        Tool("torch-float32", "torch"),
        Tool("pinat-compile", "pinat_compile"),
        Tool("aihwkit-lightning", "aihwkit_lightning", "aihwkit-lightning==2.1.0", ("torch", "numpy", "tqdm")),
        Tool("analogvnn", "analogvnn", "analogvnn==1.0.8", ("torch", "numpy", "scipy", "networkx")),
        Tool("aihwkit", "aihwkit"),
        Tool("crosssim", "simulator"),
    )
}


def python_for(tool: Tool, folder: Path, given: str | None = None) -> str | None:
    """The interpreter that has ``tool``: ``given``, of an environment made in ``folder``, this one, or ``None``."""
    if given is not None:
        return given
    if tool.package is not None:
        return str(_environment(tool, folder))
    return sys.executable if find_spec(tool.module) is not None else None


def _environment(tool: Tool, folder: Path) -> Path:
    """The interpreter of ``folder``/<tool>, where the tool is installed if it is not yet."""
    assert tool.package is not None
    wanted = sha256((repr(tool) + CONSTRAINTS.read_text("utf-8")).encode()).hexdigest()
    home = folder / tool.name
    python, stamp = home / "bin" / "python", home / "installed"
    if not stamp.is_file() or stamp.read_text() != wanted:
        print(f"making {home} with {tool.package}", file=sys.stderr)
        _run(sys.executable, "-m", "venv", "--clear", str(home))
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        pip += shlex.split(os.environ.get("PIP_ARGS", ""))
        _run(*pip, "-c", str(CONSTRAINTS), *tool.needs)
        _run(*pip, "--no-deps", tool.package)
        stamp.write_text(wanted)
    return python


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=sys.stderr)
