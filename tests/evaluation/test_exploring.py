"""compare and explore: the same figures as single compilations, and a front that nothing beats."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pinat_compile as pc
from pinat_compile.compiler.summary import report_document
from pinat_compile.errors import OptionError
from pinat_compile.evaluation.exploring import LEAST, Point, explore, mark_front
from pinat_compile.evaluation.varying import grid, parse_varied
from tests.cli.conftest import small_network
from tests.reporting.schema import TOTALS, _check


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exploring") / "small.onnx"
    onnx.save(small_network(), path)
    return path


def test_each_point_is_what_compiling_it_gives(model: Path) -> None:
    found = explore(model, "reram_128x128", vary=["adc.bits=5..6", "array.rows=16,128"])
    assert [point.overrides for point in found.points] == [
        ("adc.bits=5", "array.rows=16"), ("adc.bits=5", "array.rows=128"),
        ("adc.bits=6", "array.rows=16"), ("adc.bits=6", "array.rows=128"),
    ]  # fmt: skip
    for point in found.points:
        totals = report_document(pc.compile(model, "reram_128x128", overrides=point.overrides))["totals"]
        assert point.energy_j == pytest.approx(totals["energy_j"]["total"])
        assert (point.arrays, point.latency_s, point.area_mm2) == (
            totals["arrays"], totals["latency_s"], totals["area_mm2"]
        )
    assert len({point.energy_j for point in found.points}) == 4
    assert found.front and found.to_dict()["schema"] == "pinat-exploration/1"


def test_a_variant_that_cannot_be_says_why(model: Path) -> None:
    found = explore(model, "reram_128x128", vary={"array.cols": [1, 128]})
    assert found.points[0].problem is not None and "array.cols = 1" in found.points[0].problem
    assert found.points[1].problem is None and found.front == (found.points[1],)


def test_a_large_space_is_searched_and_repeats(model: Path) -> None:
    pytest.importorskip("optuna")
    vary = ["adc.bits=4..9", "array.rows=16,32,64,128", "array.cols=32,64,128"]
    one, again = (explore(model, "reram_128x128", vary=vary, samples=6, seed=3) for _ in range(2))
    assert one == again and len(one.points) == len({point.overrides for point in one.points}) == 6
    assert "6 of 72 combinations" in one.how


def test_accuracy_is_judged_where_there_are_data(model: Path) -> None:
    found = explore(model, "reram_128x128", vary=["adc.bits=2,8"], data="fashion-mnist-mini@test[:64]", chips=1)
    assert all(point.accuracy is not None for point in found.points)


FIGURES = st.sampled_from([1.0, 2.0, 3.0])


@settings(max_examples=60)
@given(st.lists(st.builds(Point, overrides=st.just(()), energy_j=FIGURES, latency_s=FIGURES, area_mm2=FIGURES,
                          accuracy=FIGURES), max_size=6))  # fmt: skip
def test_the_front_is_what_nothing_dominates(points: list[Point]) -> None:
    def figures(point: Point) -> list[float]:
        return [getattr(point, name) for name in LEAST] + [-(point.accuracy or 0.0)]

    for marked, point in zip(mark_front(points), points, strict=True):
        worse = [all(a <= b for a, b in zip(figures(o), figures(point), strict=True)) and figures(o) != figures(point)
                 for o in points]  # fmt: skip
        assert marked == replace(point, pareto=not any(worse))


WRONG = ["adc.bits", "adc=5", "adc.bits=", "adc.bits=8..5", "adc.bits=1..99999", "adc.bits=5,"]


@pytest.mark.parametrize("text", WRONG)
def test_what_cannot_be_varied(text: str) -> None:
    with pytest.raises(OptionError, match="--vary"):
        parse_varied([text])


def test_values_to_try() -> None:
    varied = parse_varied(["adc.bits=5..7", "layout.replicate=none,throughput"])
    assert varied == {"adc.bits": ("5", "6", "7"), "layout.replicate": ("none", "throughput")}
    assert len(grid(varied)) == 6 and grid(varied)[1] == ("adc.bits=5", "layout.replicate=throughput")
    with pytest.raises(OptionError, match="twice"):
        parse_varied(["adc.bits=5", "adc.bits=6"])
    assert parse_varied({"mapping.per_column": [True]}) == {"mapping.per_column": ("true",)}


def test_compare_holds_every_target(model: Path) -> None:
    found = pc.compare(model, ["reram_128x128", "isaac"], data="fashion-mnist-mini@test[:64]", chips=1)
    document: dict[str, Any] = found.to_dict()
    assert [entry["target"]["name"] for entry in document["targets"]] == ["reram_128x128", "isaac"]
    for entry in document["targets"]:
        _check(entry["totals"], TOTALS, "totals")
        assert 0.0 <= entry["accuracy"] <= 1.0
        alone = report_document(pc.compile(model, entry["target"]["name"]))["totals"]
        assert entry["totals"]["energy_j"] == pytest.approx(alone["energy_j"])
    edge = document["digital"][0]
    assert edge["energy_j"] == pytest.approx(document["model"]["macs"] * 1e-12)  # 2 TOPS/W: 1 pJ per MAC
    with pytest.raises(OptionError, match="nothing to compare"):
        pc.compare(model, [])
