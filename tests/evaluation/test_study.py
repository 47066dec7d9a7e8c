"""Studies: stages in order, nothing looked at too early, resumable at any point, statistics from the raw rows."""

from __future__ import annotations

import csv
import json
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from scipy import stats

from pinat_compile.data import Dataset
from pinat_compile.engines import InProcess
from pinat_compile.errors import FolderError, OptionError
from pinat_compile.evaluation.studies import networks as networks_room
from pinat_compile.evaluation.studies import run as room
from pinat_compile.evaluation.studies.file import read_study
from pinat_compile.evaluation.studies.inference import Difference, area, corrected, difference
from pinat_compile.evaluation.studies.rows import Rows
from pinat_compile.evaluation.studies.run import study, write_summary
from pinat_compile.evaluation.studies.units import validate
from pinat_compile.reporting.studies import markdown, write_plots
from pinat_compile.simulator.conditions import VALIDATION_CHIPS
from pinat_compile.simulator.module import Simulator
from pinat_compile.training.finetune import finetune
from tests.cli.conftest import small_network

STUDIES = sorted((Path(__file__).parents[2] / "examples" / "studies").glob("*.toml"))

FILE = """
schema = 1
name = "tiny"

[network]
model = "small.onnx"
train = "train.npz"
test = "test.npz"

[protocol]
seeds = 2
chips = 2
severities = [0.0, 1.0, 2.0]
dynamic = ["shift"]
trials = 2
rauc = true
validation_images = 4
validation_chips = 1
validation_severities = [1.0]
samples = 8

[training]
epochs = 1
batch_size = 18
validation_chips = 1

[[target]]
name = "reram_128x128"
set = ["adc.bits=6"]

[[mode]]
name = "a"

[[mode]]
name = "b"
deploy = ["moments"]
tuned_like = "a"

[[method]]
method = "pinat"
tune = { severity = [0.5, 1.0] }

[[method]]
method = "nt"

[[method]]
method = "ptq"
modes = ["a"]
tune = { plan = [["mapping.clip=none"], ["mapping.clip=rms", "mapping.clip_rms=3"]] }
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    onnx.save(small_network(), folder / "small.onnx")
    rng = np.random.default_rng(0)
    for name, count in (("train", 40), ("test", 12)):
        np.savez(folder / f"{name}.npz", x=rng.random((count, 1, 28, 28), np.float32), y=rng.integers(0, 10, count))
    (folder / "tiny.toml").write_text(FILE)
    study(folder / "tiny.toml", folder / "whole")
    return folder


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with open(folder / f"{name}.csv", newline="") as file:
        return list(csv.DictReader(file))


def without_seconds(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    for comparison in found["comparisons"]:
        for method in comparison["methods"]:
            del method["seconds"]
    return found


def test_every_unit_is_there_once(place: Path) -> None:
    found = rows(place / "whole", "results")
    keys = [(r["mode"], r["method"], r["seed"], r["condition"], r["severity"], r["chip"]) for r in found]
    assert len(set(keys)) == len(keys)
    judged = [row for row in found if row["condition"] not in ("reference", "ideal")]
    alone = [row for row in judged if row["method"].startswith("nt for ")]
    assert {(row["method"], row["severity"]) for row in alone} == {(f"nt for {m}", f"{m}.0") for m in range(3)}
    assert len(alone) == 3 * 2 * 2 and {row["mode"] for row in alone} == {"a"}
    assert len(judged) - len(alone) == 5 * 2 * 4 * 2  # (mode, method), seeds, conditions, chips
    assert {row["chip"] for row in judged} == {"0", "1"}
    tuned = rows(place / "whole", "tuning")
    assert {(row["mode"], row["method"]) for row in tuned} == {("a", "pinat"), ("a", "ptq")}
    assert len({row["key"] for row in rows(place / "whole", "networks")}) == len(rows(place / "whole", "networks"))


def test_no_test_image_and_no_test_chip_before_the_last_network_is_trained(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    view, read, train = Simulator.view, Dataset._read, finetune

    def viewing(self: Simulator, conditions: Any, **given: Any) -> Simulator:
        if conditions.chip is not None and conditions.chip < VALIDATION_CHIPS:
            told.append("test chip")
        return view(self, conditions, **given)

    def reading(self: Dataset, which: Any) -> Any:
        if "test.npz" in self.name:
            told.append("test image")
        return read(self, which)

    def training(*words: Any, **given: Any) -> Any:
        told.append("training")
        return train(*words, **given)

    monkeypatch.setattr(Simulator, "view", viewing)
    monkeypatch.setattr(Dataset, "_read", reading)
    monkeypatch.setattr(networks_room, "finetune", training)
    study(place / "tiny.toml", tmp_path / "again")
    last = max(index for index, what in enumerate(told) if what == "training")
    assert {"test chip", "test image"} <= set(told[last:])
    assert set(told[: last + 1]) == {"training"}


def test_a_study_that_is_broken_off_goes_on_to_the_same(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, limits, calls = tmp_path / "broken", [5, 20, 45, 70], 0
    original = room._Run._saying

    def stumbling(self: Any, text: str) -> None:
        nonlocal calls
        calls += 1
        if limits and calls == limits[0]:
            raise KeyboardInterrupt
        original(self, text)

    monkeypatch.setattr(room._Run, "_saying", stumbling)
    while limits:
        with pytest.raises(KeyboardInterrupt):
            study(place / "tiny.toml", output)
        with open(output / "results.csv", "a") as file:
            file.write("reram_128x128,a,pin")  # a write that was broken off
        del limits[0]
        calls = 0
    assert study(place / "tiny.toml", output).complete
    assert without_seconds(output) == without_seconds(place / "whole")
    for name in ("tuning", "results"):
        assert sorted(map(str, rows(output, name))) == sorted(map(str, rows(place / "whole", name)))


def test_a_budget_of_minutes_stops_cleanly(place: Path, tmp_path: Path) -> None:
    result = study(place / "tiny.toml", tmp_path / "short", minutes=0.0)
    assert not result.complete and result.done < result.units
    assert all(not comparison["methods"] for comparison in result.summary["comparisons"])


def test_the_summary_follows_from_the_rows_alone(place: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("results.csv", "networks.csv", "study.toml"):
        shutil.copy(place / "whole" / name, copy / name)
    found = write_summary(read_study(place / "tiny.toml"), copy)
    assert json.loads((place / "whole" / "summary.json").read_text()) == json.loads(json.dumps(found))
    [a, b] = found["comparisons"]
    assert [entry["name"] for entry in b["methods"]] == ["pinat", "nt"] and len(a["methods"]) == 3
    pinat = next(entry for entry in a["methods"] if entry["name"] == "pinat")
    raw = [r for r in rows(copy, "results") if (r["mode"], r["method"], r["condition"]) == ("a", "pinat", "static")]
    means = [np.mean([100 * float(r["top1"]) for r in raw if float(r["severity"]) == m]) for m in (0.0, 1.0, 2.0)]
    assert list(pinat["accuracy"].values()) == pytest.approx(means)
    assert pinat["auc"] == pytest.approx((means[0] / 2 + means[1] + means[2] / 2) / 2)
    each = [np.mean([100 * float(r["top1"]) for r in rows(copy, "results") if r["method"] == f"nt for {m}"
                     and r["condition"] == "static"]) for m in range(3)]
    assert pinat["rauc"] == pytest.approx(pinat["auc"] / ((each[0] / 2 + each[1] + each[2] / 2) / 2))
    assert b["methods"][0]["rauc"] is None


def test_settings_are_tuned_one_after_the_other(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = FILE.replace("trials = 2", "trials = 4").replace(
        "tune = { severity = [0.5, 1.0] }", "tune = { severity = [0.5, 1.0], kappa = [0.7, 0.2, 0.9] }"
    )
    (place / "tuned.toml").write_text(text)
    scores = iter([0.5, 0.6, 0.6, 0.7])  # the second severity is better, and 0.9 is the best kappa with it
    tried: list[dict[str, Any]] = []

    class Scoring(InProcess):
        """Trains nothing, and gives the scores above."""

        def run(self, work: Any, units: Any, tell: Any = None) -> Iterator[tuple[int, Any]]:
            for index, (_, entry, _, severities) in enumerate(units if work is validate else ()):
                assert entry.method.title == "pinat"
                yield index, [next(scores) for _ in severities]

    def training(self: Any, entry: Any, tuned: Any, seed: int, share: float = 1.0) -> Any:
        tried.append(dict(tuned))
        return original(self, entry, tuned, seed, share)

    original = room._Run._training
    monkeypatch.setattr(room._Run, "_training", training)
    made = room._Run(read_study(place / "tuned.toml"), tmp_path, Scoring(), None, None)
    entry = made.entries[0]
    made._tune([entry])
    assert tried == [
        {"severity": 0.5, "kappa": 0.7}, {"severity": 1.0, "kappa": 0.7}, {"severity": 1.0, "kappa": 0.2},
        {"severity": 1.0, "kappa": 0.9},
    ]
    assert made._chosen(entry) == {"severity": 1.0, "kappa": 0.9}


class Backwards(InProcess):
    """Units from the last to the first, each with a copy of what is shared, as in a process of its own."""

    units = 0

    def run(self, work: Any, units: Any, tell: Any = None) -> Iterator[tuple[int, Any]]:
        for index in reversed(range(len(units))):
            self.units += 1
            yield index, work(*pickle.loads(pickle.dumps(units[index])), tell=None)


def test_a_study_is_the_same_on_any_engine(place: Path, tmp_path: Path) -> None:
    engine = Backwards()
    study(place / "tiny.toml", tmp_path / "backwards", engine=engine)
    assert without_seconds(tmp_path / "backwards") == without_seconds(place / "whole")
    for name in ("tuning", "results", "histories"):
        assert sorted(map(str, rows(tmp_path / "backwards", name))) == sorted(map(str, rows(place / "whole", name)))
    before = engine.units
    assert study(place / "tiny.toml", tmp_path / "backwards", engine=engine).complete
    assert engine.units == before > 50  # nothing is done twice


def test_each_chip_may_see_images_of_its_own(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = 'seeds = 1\nimages_per_chip = 6\nfirst_chip = 7\ndynamic_for = ["pinat"]\n'
    text = FILE.replace("seeds = 2\n", own)
    (place / "shares.toml").write_text(text.replace("rauc = true", "rauc = false"))
    seen: dict[int, set[int]] = {}
    run = Simulator.run

    def running(self: Simulator, inputs: Any, **given: Any) -> Any:
        chip = self.conditions.chip
        if chip is not None and chip < VALIDATION_CHIPS and not self.conditions.gain_drift:
            x = next(iter(inputs.values()))
            seen.setdefault(chip, set()).update(round(float(image.sum()) * 1e3) for image in x)
        return run(self, inputs, **given)

    monkeypatch.setattr(Simulator, "run", running)
    study(place / "shares.toml", tmp_path / "shares")
    test = np.load(place / "test.npz")["x"]
    sums = [round(float(image.sum()) * 1e3) for image in test]
    for share, chip in enumerate((7, 8)):  # deployments in mode b also run on training images
        others = set(sums[6 * (1 - share) : 6 * (2 - share)])
        assert set(sums[6 * share : 6 * (share + 1)]) <= seen[chip]
        assert not others & seen[chip]
    assert set(seen) == {7, 8}
    [mode, _] = json.loads((tmp_path / "shares" / "summary.json").read_text())["comparisons"]
    assert [entry["name"] for entry in mode["methods"]] == ["pinat", "nt", "ptq"]
    found = rows(tmp_path / "shares", "results")
    ideal = [row for row in found if row["condition"] == "ideal"]
    still = [row for row in found if row["severity"] == "0.0" and row["mode"] == "a" and row["method"] == "pinat"]
    assert len(ideal) == 5 and len(still) == 2
    assert {row["method"] for row in found if row["condition"] == "shift"} == {"pinat"}
    of_pinat = next(row for row in ideal if row["mode"] == "a" and row["method"] == "pinat")
    assert float(of_pinat["top1"]) == pytest.approx(np.mean([float(row["top1"]) for row in still]))


def test_too_few_test_images_are_said_before_anything_runs(place: Path, tmp_path: Path) -> None:
    (place / "many.toml").write_text(FILE.replace("seeds = 2\n", "seeds = 2\nimages_per_chip = 7\n"))
    with pytest.raises(OptionError, match="14 test images for 2 chips, .* has 12"):
        study(place / "many.toml", tmp_path / "many")


def test_table_and_plots(place: Path) -> None:
    text = markdown(json.loads((place / "whole" / "summary.json").read_text()))
    assert "## reram_128x128, mode b (per chip: moments), 2 seeds" in text and "| pinat |" in text
    drawn = write_plots(place / "whole")
    assert [path.name for path in drawn] == ["curves.png", "training.png", "histograms.png"]
    shares = rows(place / "whole", "histograms")
    sums: dict[tuple[str, ...], float] = {}
    for row in shares:
        key = (row["mode"], row["method"], row["when"], row["kind"])
        sums[key] = sums.get(key, 0.0) + float(row["share"])
    assert {key[3] for key in sums} == {"weight", "conductance", "activation"}
    assert list(sums.values()) == pytest.approx([1.0] * len(sums))


def test_other_folders_and_changed_files_are_refused(place: Path, tmp_path: Path) -> None:
    changed = place / "changed.toml"
    changed.write_text(FILE.replace("seeds = 2", "seeds = 1"))
    with pytest.raises(FolderError, match="holds another study"):
        study(changed, place / "whole")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(FolderError):
        study(place / "tiny.toml", tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(("old", "new", "said"), [
    ("schema = 1", "schema = 2", "schema = 2"),
    ("chips = 2\n", "chips = 0\n", "protocol.chips = 0"),
    ("seeds = 2", "sedes = 2", "protocol: unknown key sedes"),
    ('method = "nt"', 'method = "magic"', "method 'magic' is not known"),
    ('dynamic = ["shift"]', 'dynamic = ["shaft"]', "protocol.dynamic: 'shaft'"),
    ('tuned_like = "a"', 'tuned_like = "z"', "tuned_like = 'z'"),
    ('modes = ["a"]', 'modes = ["z"]', "no mode 'z'"),
    ("severity = [0.5, 1.0]", "strength = [1.0]", "fine-tuning has no setting strength"),
    ('method = "pinat"', 'method = "qat"', "protocol.proposal = 'pinat'"),
    ("severities = [0.0, 1.0, 2.0]", "severities = [1.0]", "protocol.severities"),
    ("trials = 2", "trials = 1", "tune asks for 2 trials"),
    ("chips = 2\n", "chips = 2\nimages_per_chip = 0\n", "protocol.images_per_chip = 0"),
    ("chips = 2\n", "chips = 2\nfirst_chip = -1\n", "protocol.first_chip = -1"),
    ("chips = 2\n", 'chips = 2\ndynamic_for = ["magic"]\n', "no method 'magic'"),
    ("[[target]]", "[[tarket]]", "unknown key tarket"),
])
def test_mistakes_in_a_study_file_are_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in FILE
    path = tmp_path / "study.toml"
    path.write_text(FILE.replace(old, new, 1))
    with pytest.raises(OptionError, match=said):
        read_study(path)


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_shipped_study_files_are_read(path: Path) -> None:
    found = read_study(path)
    assert found.protocol.proposal in [method.title for method in found.methods]
    tuned = {m.trials for m in found.methods if not m.ablation}
    assert tuned == {found.protocol.trials}, "every method has the same number of trials"


# --- statistics ---


def test_differences_are_paired_and_over_seeds() -> None:
    rng = np.random.default_rng(0)
    chips = rng.normal(0.0, 10.0, (1, 25))  # what chips differ by, the same for both
    seeds = rng.normal(0.0, 1.0, (5, 1))
    theirs = 80.0 + chips + rng.normal(0.0, 0.1, (5, 25))
    ours = theirs + 1.0 + 0.2 * seeds
    found = difference(ours, theirs)
    per_seed = (ours - theirs).mean(axis=1)
    expected = stats.ttest_1samp(per_seed, 0.0)
    assert found.mean == pytest.approx(per_seed.mean())
    assert found.p == pytest.approx(expected.pvalue)
    assert found.ci95 == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert found.verdict == "better" and found.bootstrap95 is not None


def test_holm_and_verdicts() -> None:
    def made(mean: float, low: float, high: float, p: float) -> Difference:
        return Difference(mean=mean, ci95=(low, high), p=p, p_holm=p, bootstrap95=None, seeds=5)

    found = corrected([made(1.0, 0.1, 1.9, 0.03), made(1.0, 0.5, 1.5, 0.001), made(0.2, 0.1, 0.3, 0.02)])
    assert [item.p_holm for item in found] == pytest.approx([0.04, 0.003, 0.04])
    assert [item.verdict for item in found] == ["better", "better", "at least as good"]
    assert made(-1.0, -1.5, -0.5, 0.001).verdict == "worse"
    assert made(0.1, -0.8, 1.0, 0.7).verdict == "tie" and made(0.1, -0.4, 0.6, 0.7).verdict == "at least as good"
    alone = difference(np.ones((1, 3)), np.zeros((1, 3)))
    assert alone.ci95 is None and alone.verdict == "one seed"
    assert [item.p_holm for item in corrected([alone])] == [None]


def test_the_area_is_a_mean_over_severities() -> None:
    assert area([0.0, 1.0, 3.0], np.array([[90.0], [80.0], [40.0]])) == pytest.approx([(85.0 + 2 * 60.0) / 3])


def test_rows_survive_a_torn_line(tmp_path: Path) -> None:
    kept = Rows(tmp_path / "x.csv", ("a", "b"))
    kept.add([{"a": 1, "b": 0.1}, {"a": "x,y", "b": None}])
    with open(tmp_path / "x.csv", "a") as file:
        file.write('3,"half')
    again = Rows(tmp_path / "x.csv", ("a", "b"))
    assert again.rows == [{"a": "1", "b": "0.1"}, {"a": "x,y", "b": ""}]
    again.add([{"a": 4}])
    assert [row["a"] for row in Rows(tmp_path / "x.csv", ("a", "b")).rows] == ["1", "x,y", "4"]
    with pytest.raises(FolderError, match="other columns"):
        Rows(tmp_path / "x.csv", ("a", "c"))
