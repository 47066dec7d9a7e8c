"""``pinat-compile export``: files for other tools, and one line for what stands in the way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.cli.conftest import Cli
from tests.cli.test_errors import check


def test_everything_at_once(cli: Cli, compiled: Path, tmp_path: Path) -> None:
    done = cli("export", compiled, "-o", "m.onnx", "--annotated", "a.onnx", "--conductances", "g",
               "--spice", "t.cir", "--tile", "conv2/0.0.0", "--chip", "3", "--time", "1d")  # fmt: skip
    assert done.code == 0, done.err
    assert done.out.splitlines() == ["wrote t.cir", "wrote m.onnx", "wrote a.onnx", "wrote g"]
    onnx.checker.check_model(onnx.load("m.onnx"))
    assert any(node.metadata_props for node in onnx.load("a.onnx").graph.node)
    index = json.loads(Path("g/index.json").read_text())
    assert {name for entry in index["arrays"] for name in (entry["npy"], entry["csv"])} | {"index.json"} == {
        path.name for path in Path("g").iterdir()
    }
    assert "chip 3, 86400 s after programming" in Path("t.cir").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.onnx", "g", "m.onnx", "t.cir"]


def test_files_are_replaced_and_quiet_says_nothing(cli: Cli, compiled: Path) -> None:
    Path("m.onnx").write_text("old")
    assert cli("export", compiled, "-o", "m.onnx", "-q").out == ""
    onnx.load("m.onnx")


@pytest.mark.parametrize(("words", "says"), [
    ((), "nothing to export: give -o, --annotated, --conductances or --spice"),
    (("--spice", "t.cir"), "--spice and --tile go together"),
    (("-o", "m.onnx", "--tile", "fc/0.0.0"), "--spice and --tile go together"),
    (("-o", "m.onnx", "--chip", "1"), "--chip and --time are for --conductances and --spice"),
    (("--conductances", "g", "--time", "1h"), "--time needs --chip"),
    (("--spice", "t.cir", "--tile", "fc/0.0.0", "--time", "1h"), "--time needs --chip"),
])
def test_wrong_usage(cli: Cli, compiled: Path, tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    done = cli("export", compiled, *words)
    assert done.code == 2 and says in done.err and not list(tmp_path.iterdir())


def test_unknown_tile(cli: Cli, compiled: Path, tmp_path: Path) -> None:
    done = cli("export", compiled, "-o", "m.onnx", "--spice", "t.cir", "--tile", "conv9/0.0.0")
    check(done, "tile 'conv9/0.0.0': the network has no such tile", "conv1/0.0.0")
    assert not list(tmp_path.iterdir())


def test_conductances_of_a_chip(cli: Cli, compiled: Path) -> None:
    """As the chip holds them: near what is asked for, not there, and farther from it a day later."""
    assert cli("export", compiled, "--conductances", "asked").code == 0
    assert cli("export", compiled, "--conductances", "early", "--chip", "3").code == 0
    assert cli("export", compiled, "--conductances", "late", "--chip", "3", "--time", "1d").code == 0
    held = json.loads(Path("late/index.json").read_text())["held_by"]
    assert (held["chip"], held["time_s"]) == (3, 86400.0)
    assert json.loads(Path("asked/index.json").read_text())["held_by"] is None
    asked, early, late = (np.load(Path(folder) / "array_0000.npy") for folder in ("asked", "early", "late"))
    used = asked != asked.min()
    errors = [float(np.abs(found - asked)[used].mean()) for found in (early, late)]
    assert 0.3 < errors[0] < errors[1] < 5.0


def test_impossible_chips_and_times(cli: Cli, compiled: Path, tmp_path: Path) -> None:
    tile = "--spice", "t.cir", "--tile", "fc/0.0.0"
    check(cli("export", compiled, *tile, "--chip", "-1"), "chip = -1")
    check(cli("export", compiled, *tile, "--chip", "1", "--time", "soon"), "time 'soon'")
    check(cli("export", compiled, "-o", "m.onnx", "--conductances", "g", "--chip", "-1"), "chip = -1")
    assert not list(tmp_path.iterdir())


def test_places_that_cannot_be_written(cli: Cli, compiled: Path, tmp_path: Path) -> None:
    """Found before anything is written: the file that could be is not there either."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("")
    (tmp_path / "link").symlink_to("mine")
    ok = "-o", "m.onnx"
    check(cli("export", compiled, *ok, "--conductances", "full"), "full: holds files that this export did not make")
    check(cli("export", compiled, *ok, "--annotated", "none/a.onnx"), "there is no folder none")
    check(cli("export", compiled, *ok, "--annotated", "full"), "full: cannot be written: it exists")
    check(cli("export", compiled, *ok, "--annotated", "link"), "link: cannot be written: it exists")
    check(cli("export", compiled, *ok, "--annotated", "m.onnx"), "m.onnx: is --output too")
    check(cli("export", compiled, *ok, "--annotated", compiled / "a.onnx"), "it lies inside")
    check(cli("export", compiled, *ok, "--conductances", compiled), "it lies inside")
    assert not (tmp_path / "m.onnx").exists()


def test_not_a_compiled_folder(cli: Cli) -> None:
    check(cli("export", "nothing", "-o", "m.onnx"), "nothing: there is no such folder")
