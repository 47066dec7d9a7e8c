"""Short runs of the scripts that kill commands and feed them hostile files; the long runs stand in docs/trust.md."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the scripts fork")


def script(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-m", f"benchmarks.trust.{name}", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_killed_commands_leave_a_sound_state_and_go_on() -> None:
    pytest.importorskip("statsmodels")
    done = script("kill_injection", "--kills", "4", "compile", "compile again")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("| 4 |") >= 2


def test_hostile_and_damaged_files() -> None:
    pytest.importorskip("statsmodels")
    kinds = ("targets (TOML)", "data (NPZ)", "data (CIFAR pickles)", "folders: manifest.json", "checkpoints")
    done = script("fuzz", "--count", "24", "--seconds", "20", *kinds)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| targets (TOML) |" in done.stdout  # as many as there was time for
