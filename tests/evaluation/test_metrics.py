"""What outputs are judged by, and what is said where data and network do not fit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pinat_compile.data.classes import class_axis
from pinat_compile.errors import DataError, OptionError, PinatError
from pinat_compile.evaluation.metrics import metric_for, top5_of

SCORES = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.0, 0.1, 0.9], [0.4, 0.5, 0.1]], np.float32)
LABELS = np.array([1, 0, 1, 1])


def test_the_metric_follows_from_the_labels() -> None:
    assert metric_for(None, LABELS, SCORES, "d").name == "top1"
    assert metric_for(None, SCORES, SCORES, "d").name == "mse"
    assert metric_for(None, None, SCORES, "d").name == "agreement"


def test_top1_and_agreement() -> None:
    assert metric_for("top1", LABELS, SCORES, "d").score(SCORES, LABELS).tolist() == [1, 1, 0, 1]
    assert metric_for("agreement", None, SCORES, "d").score(SCORES[:, ::-1], SCORES).tolist() == [1, 0, 0, 1]


def test_top5_needs_more_than_five_classes() -> None:
    assert top5_of(SCORES, LABELS) is None
    scores = np.arange(7, dtype=np.float32)[None].repeat(7, axis=0)
    found = top5_of(scores, np.arange(7))
    assert found is not None and found.tolist() == [0, 0, 1, 1, 1, 1, 1]


def test_classes_may_stand_on_the_second_or_on_the_last_axis() -> None:
    image, text = np.zeros((2, 4, 6, 5), np.float32), np.zeros((2, 6, 4), np.float32)
    assert class_axis(image.shape, (2, 6, 5)) == 1
    assert class_axis(text.shape, (2, 6)) == 2
    assert (class_axis(image.shape), class_axis(text.shape), class_axis(SCORES.shape)) == (1, 2, 1)
    labels = np.array([[0, 0, 1], [0, 0, 0]])
    scores = np.zeros((2, 2, 3), np.float32)
    assert metric_for(None, labels, scores, "d").score(scores, labels).tolist() == pytest.approx([2 / 3, 1])


@pytest.mark.parametrize(("name", "expected"), [
    ("mse", [0.25, 0.0]),
    ("psnr", [10 * np.log10(4 / 0.25), np.inf]),
    ("cosine", [2.0 / np.sqrt(2 * 2.5), 1.0]),
])
def test_values(name: str, expected: list[float]) -> None:
    wanted, got = np.array([[1.0, -1.0], [1.0, 2.0]]), np.array([[1.5, -0.5], [1.0, 2.0]])
    metric = metric_for(name, None, got, "d")
    assert metric.against == "reference"
    assert metric.score(got, wanted).tolist() == pytest.approx(expected)
    assert metric.higher_is_better == (name != "mse")


def test_a_function_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_metric_module.py").write_text(
        "def first(outputs, expected):\n    return outputs[:, 0] == expected\n"
        "def mean(outputs, expected):\n    return outputs.mean()\n"
    )
    monkeypatch.chdir(tmp_path)
    metric = metric_for("my_metric_module:first", LABELS, SCORES, "d")
    assert metric.against == "labels"
    assert metric.score(np.ones((4, 3)), LABELS).tolist() == [1, 0, 1, 1]
    with pytest.raises(OptionError, match=r"gave shape \[\] for 4 samples"):
        metric_for("my_metric_module:mean", LABELS, SCORES, "d").score(SCORES, LABELS)
    with pytest.raises(OptionError, match="has no function nothing"):
        metric_for("my_metric_module:nothing", LABELS, SCORES, "d")
    with pytest.raises(OptionError, match="No module named 'no_such_module'"):
        metric_for("no_such_module:f", LABELS, SCORES, "d")


@pytest.mark.parametrize(("name", "labels", "outputs", "kind", "message"), [
    ("top1", None, SCORES, DataError, "d: it has no labels for metric top1"),
    ("top1", LABELS.astype(float), SCORES, DataError, "d: labels are float64, not class numbers"),
    (None, np.array([0, 3, 1, 7]), SCORES, DataError, "d: sample 1 has label 3, the network has 3 classes (0 to 2)"),
    (None, np.array([0, -1, 1, 1]), SCORES, DataError, "d: sample 1 has label -1, the network has 3 classes (0 to 2)"),
    (None, np.zeros((4, 2), int), SCORES, DataError, "d: labels of shape [2] per sample do not fit"),
    (None, np.zeros((4, 2)), SCORES, DataError, "d: a label has shape [2], the network's output [3]"),
    ("agreement", None, SCORES[:, :1], DataError, "metric agreement: the network's output [4, 1] holds no scores"),
    ("accuracy", LABELS, SCORES, OptionError, "unknown metric 'accuracy'"),
])
def test_what_does_not_fit(name: str | None, labels: Any, outputs: Any, kind: type[PinatError], message: str) -> None:
    with pytest.raises(kind) as raised:
        metric_for(name, labels, outputs, "d")
    assert raised.value.message.startswith(message)
    assert raised.value.hint
