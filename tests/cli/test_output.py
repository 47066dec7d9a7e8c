"""What a terminal shows beside results: progress with time left, in one line of 80 columns, and nothing elsewhere."""

from __future__ import annotations

import io
import re

import pytest
from rich.text import Text

from pinat_compile.cli.output import Output
from pinat_compile.reporting.units import approximately
from pinat_compile.reporting.warnings import warnings


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Standard error from here on (pytest puts its own in place between a fixture and its test)."""
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return stream


def test_progress_says_what_how_much_and_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = terminal(monkeypatch)
    with Output(quiet=False, verbose=False, as_json=False).progress("study") as tell:
        tell(30, 100, "train pinat on reram_128x128, seed 2, severity 1.4, mode b, deployed with moments and distil")
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue().replace("\r", "\n")).split("\n")
    last = [line for line in shown if line.strip()][-1]
    assert last.startswith("train pinat on …") and "moments and distil" in last
    assert "30%" in last and re.search(r"\d+:\d\d|-:--:--", last)
    assert max(map(len, shown)) <= 80


def test_quiet_and_no_terminal_show_none(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = terminal(monkeypatch)
    with Output(quiet=True, verbose=False, as_json=False).progress("study") as tell:
        tell(1, 2)
    monkeypatch.setattr("sys.stderr", elsewhere := io.StringIO())
    with Output(quiet=False, verbose=False, as_json=False).progress("study") as tell:
        tell(1, 2)
    assert stream.getvalue() == elsewhere.getvalue() == ""


def document(**changed: object) -> dict[str, object]:
    """The parts of a report that warnings look at, of a network that needs none."""
    layers = [{"name": "conv1", "where": "analog", "macs": 90, "why": "constant weights"}]
    return {"calibration": {"source": "256 samples"}, "schedule": None, "totals": {"arrays": 3}, "layers": layers,
            **changed}


def test_no_warning_without_cause() -> None:
    assert not warnings(document())
    chosen = {"name": "fc", "where": "digital", "macs": 10, "why": "chosen with --digital"}
    assert not warnings(document(layers=[chosen]))


def test_warnings_name_the_layer_and_the_remedy() -> None:
    attention = {"name": "attention", "where": "digital", "macs": 30, "why": "both operands are computed"}
    layers = [{"name": "conv1", "where": "analog", "macs": 90, "why": "constant weights"}, attention]
    assert str(warnings(document(layers=layers))) == (
        "warning: 25.0 % of the MACs stay digital: attention (both operands are computed); --analog LAYER says what is "
        "in the way")
    assert "--calibrate DATA" in str(warnings(document(calibration={"source": "random inputs"})))
    board = {"rounds": 2, "capacity": 2, "lifetime_s": 717.273}
    found = warnings(document(schedule=board))
    assert isinstance(found, Text) and str(found).startswith(
        "warning: too large for the chip: 3 arrays on a board of 2, written anew in 2 rounds per sample, devices last "
        "12 min of it; try --pack")


@pytest.mark.parametrize(("seconds", "said"), [(717.273, "12 min"), (90000.0, "1 d"), (4e8, "13 y"), (2.5, "2.50 s")])
def test_lengths_of_time(seconds: float, said: str) -> None:
    assert approximately(seconds) == said
