"""The speed benchmark runs, and what it writes is what it measured. No time is asserted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.speed.report import Case, Timing, quartiles, write_table

ROOT = Path(__file__).parents[1]
PAGE = "before\n<!-- begin speed -->\nold\n<!-- end speed -->\nafter\n"


def test_smoke(tmp_path: Path) -> None:
    """A tiny layer on this project and in plain torch, through workers, JSON and page."""
    found, page = tmp_path / "speed.json", tmp_path / "speed.md"
    page.write_text(PAGE, "utf-8")
    tools = ["--tool", "torch-float32", "pinat-compile"]
    command = [sys.executable, "-m", "benchmarks.speed", "--smoke", "--only", "conv", *tools]
    run = subprocess.run(
        [*command, "--variant", "channels", "512 rows", "--threads", "1", "--json", str(found), "--page", str(page)],
        cwd=ROOT, capture_output=True, text=True,
    )
    assert run.returncode == 0, run.stderr
    rows = json.loads(found.read_text("utf-8"))["timings"]
    names = {(row["workload"], row["tool"], row["variant"], row["train"]) for row in rows}
    ours = ("512 rows", "512 rows, state-dependent read noise")
    assert names == {
        *(("conv", "pinat-compile", name, train) for name in ours for train in (False, True)),
        *(("conv", "torch-float32", "channels last", train) for train in (False, True)),
    }
    assert all(row["plain_s"] > 0 and row["own_s"] > 0 for row in rows)
    written = page.read_text("utf-8")
    assert written.startswith("before\n") and written.endswith("after\n") and "old" not in written
    for row in rows:
        assert f"{row['ratio']['median']:.2f}× ({row['ratio']['q1']:.2f}–{row['ratio']['q3']:.2f})" in written


def test_ratio_is_of_pairs() -> None:
    """A slow round that hits both leaves the ratio alone; several chips count as so many runs of plain torch."""
    timing = Timing(Case("linear", "a", "b", False), runs=2, plain_s=[1.0, 10.0, 2.0], own_s=[4.0, 40.0, 8.0])
    assert timing.ratios == [2.0, 2.0, 2.0]


def test_quartiles() -> None:
    assert quartiles([5.0, 1.0, 2.0, 4.0, 3.0]) == {"median": 3.0, "q1": 2.0, "q3": 4.0}
    assert quartiles([7.0]) == {"median": 7.0, "q1": 7.0, "q3": 7.0}


def test_page_without_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("no marks\n", "utf-8")
    with pytest.raises(SystemExit, match="no place for the tables"):
        write_table({}, page)
    assert page.read_text("utf-8") == "no marks\n"
