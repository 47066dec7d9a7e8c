"""The examples run, in a tiny form; each says in its first lines how it is called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from examples import compile_and_report, custom_target, drift_over_a_year, finetune, photonic_or_reram, which_adc

ROOT = Path(__file__).parents[2]
FEW = ["--samples", "20", "--chips", "1"]


@pytest.mark.parametrize(("main", "words", "says"), [
    (compile_and_report.main, [], ["reference", "µJ per image", "block1.conv1"]),
    (finetune.main, ["--images", "64", "--epochs", "1"], ["ptq", "nt", "pinat"]),
    (drift_over_a_year.main, ["--times", "1y", "--plot", "drift.png"], ["nothing", "moments", "wrote drift.png"]),
    (which_adc.main, ["--bits", "4,8", "--rows", "128"], ["bits  rows", "*     8   128"]),
    (custom_target.main, ["--devices", "150", "--folder", "lab"], ["drift.", "lab.toml     a day after programming"]),
    (photonic_or_reram.main, ["--targets", "reram_128x128,photonic_pcm_64x64"], ["mm²", "are assumptions)"]),
], ids=lambda value: value.__module__.rpartition(".")[2] if callable(value) else "")
def test_example(
    main: Callable[[list[str]], None], words: list[str], says: list[str],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    main([*words, *FEW])
    printed = capsys.readouterr().out
    for text in says:
        assert text in printed


def test_every_example_says_how_it_is_called() -> None:
    for path in (ROOT / "examples").glob("*.py"):
        text = path.read_text("utf-8")
        called = (f"python examples/{path.name}", f"python -m examples.{path.stem}")
        assert "__main__" not in text or any(words in text for words in called), path.name
