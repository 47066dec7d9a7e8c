"""``report -o FILE.html``: what it takes, what it keeps and what it refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Cli


@pytest.fixture
def folder(compiled: Path, tmp_path: Path) -> Path:
    """A copy that may be written into."""
    return Path(shutil.copytree(compiled, tmp_path / "small"))


def test_what_was_measured_is_in_the_report(cli: Cli, folder: Path, images: Path, tmp_path: Path) -> None:
    assert "nothing was measured" in report(cli, folder, tmp_path)
    for severity in ("2", "1", "1"):  # the same question twice is kept once
        done = cli("evaluate", folder, "--data", images, "--chips", "1", "--severity", severity, "--save")
        assert done.code == 0 and "results/evaluate-" in done.out.replace("\n", "")
    assert len(list((folder / "results").iterdir())) == 2
    done = cli("sweep", folder, "--data", images, "--chips", "1", "--vary", "severity=0,1", "--json")
    (tmp_path / "sweep.json").write_text(done.out)
    text = report(cli, folder, tmp_path, "--results", "sweep.json")
    for said in ("What accuracy on a chip?", "severity 2", "Over severity"):
        assert said in text
    assert cli("report", folder).code == 0  # the folder is still whole


def report(cli: Cli, folder: Path, tmp_path: Path, *words: str) -> str:
    done = cli("report", folder, "-o", "report.html", *words)
    assert done.code == 0 and "wrote report.html" in done.out
    return (tmp_path / "report.html").read_text("utf-8")


def test_results_of_other_values_are_left_aside(cli: Cli, model: Path, folder: Path, images: Path) -> None:
    cli("evaluate", folder, "--data", images, "--chips", "1", "--save")
    assert cli(model, "--target", "reram_128x128", "--set", "adc.bits=6", "-o", folder, "--report", "r.html").code == 0
    assert len(list((folder / "results").iterdir())) == 1
    assert "nothing was measured" in Path("r.html").read_text("utf-8")
