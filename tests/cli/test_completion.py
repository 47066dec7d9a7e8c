"""What the shell offers after TAB."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pinat_compile.cli.completion import VARIABLE
from pinat_compile.hardware.loader import list_targets
from tests.cli.conftest import Cli


def offered(cli: Cli, monkeypatch: pytest.MonkeyPatch, line: str) -> list[str]:
    """What bash is told of the last word of ``line``."""
    monkeypatch.setenv(VARIABLE, "bash_complete")
    monkeypatch.setenv("COMP_WORDS", f"pinat-compile {line}")
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" "))))
    done = cli()
    assert done.code == 0 and done.err == ""
    return done.out.split()


@pytest.mark.parametrize(("line", "found"), [
    ("ev", ["plain,evaluate"]),
    ("-v ev", ["plain,evaluate"]),
    ("networks/re", ["file,networks/re"]),
    ("net.onnx --ta", ["plain,--target"]),
    ("net.onnx --target reram", ["plain,reram_128x128", "plain,reram_256x256"]),
    ("net.onnx --target mine/", ["file,mine/"]),
    ("net.onnx --set adc.bi", ["plain,adc.bits="]),
    ("targets isa", ["plain,isaac"]),
    ("evaluate re", ["dir,re"]),
    ("evaluate out --data fashion-mnist-mini@te", ["plain,fashion-mnist-mini@test"]),
    ("evaluate out --deploy mo", ["plain,moments"]),
    ("finetune out --method n", ["plain,nt", "plain,nan"]),
])
def test_words(cli: Cli, monkeypatch: pytest.MonkeyPatch, line: str, found: list[str]) -> None:
    assert offered(cli, monkeypatch, line) == found


def test_the_first_word(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"plain,compile", "plain,study"} <= set(offered(cli, monkeypatch, ""))


def test_lists_written_down_are_those_of_the_library(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Methods and steps are named in the options, so that the shell need not wait for torch."""
    from pinat_compile.evaluation.deploying import STEPS
    from pinat_compile.training.settings import METHODS

    def plain(line: str) -> set[str]:
        return {word.removeprefix("plain,") for word in offered(cli, monkeypatch, line)}

    assert plain("finetune out --method ") == set(METHODS)
    assert plain("evaluate out --deploy ") == {*STEPS, "kept"}
    assert plain("net.onnx --target ") == set(list_targets())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shells_script(shell: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pinat_compile"]
    environment = {**os.environ, VARIABLE: f"{shell}_source", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0 and f"{shell}_complete" in done.stdout and "pinat-compile" in done.stdout
