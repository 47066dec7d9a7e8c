"""compare, explore, --explain and what the compiler may do with the layout, as a user types them."""

from pathlib import Path

import pytest

from tests.cli.conftest import Cli


def test_compare(cli: Cli, model: Path) -> None:
    done = cli("compare", model, "--target", "reram_128x128", "--target", "isaac", "--set", "adc.bits=7")
    assert done.code == 0
    for text in ("reram_128x128", "isaac", "TOPS/W", "Edge TPU", "digital / analog", "16, 16, 7"):
        assert text in done.out, text
    both = cli("compare", model, "--target", "isaac", "--json")
    assert both.document["schema"] == "pinat-comparison/1" and len(both.document["targets"]) == 1


def test_compare_needs_a_target_that_exists(cli: Cli, model: Path) -> None:
    assert cli("compare", model).code == 2
    done = cli("compare", model, "--target", "isac")
    assert done.code == 1 and "did you mean isaac?" in done.err


def test_explore(cli: Cli, model: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    words = ("explore", model, "--target", "isaac", "--vary", "adc.bits=6,8", "--plot", "points.png")
    done = cli(*words)
    assert done.code == 0 and "every combination" in done.out and "* 6" in done.out
    assert (tmp_path / "points.png").stat().st_size > 1000
    assert max(map(len, done.out.splitlines())) <= 80
    document = cli(*words, "--json").document
    assert [point["pareto"] for point in document["points"]] == [True, False]


def test_explore_says_what_is_wrong(cli: Cli, model: Path) -> None:
    done = cli("explore", model, "--vary", "adc.bits")
    assert done.code == 1 and "section.key=V1,V2" in done.err and "adc.bits=5..8" in done.err


def test_a_figure_is_explained(cli: Cli, compiled: Path) -> None:
    done = cli("report", compiled, "--explain", "energy_j.adc")
    assert done.code == 0 and "energy.adc_pj" in done.out and "Accelergy ADC plug-in" in done.out
    assert "? 1 of 7 are assumptions" in done.out
    document = cli("report", compiled, "--explain", "energy_j.adc", "--json").document
    assert document["key"] == "energy_j.adc" and document["constants"]
    assert cli("report", compiled, "--explain", "nothing").code == 1


def test_layout_flags_are_overrides(cli: Cli, model: Path) -> None:
    done = cli(model, "-o", "a", "--pack", "--place", "--replicate", "throughput", "--set", "chip.tiles=1", "--json")
    gains = {record["name"]: record["gain"] for record in done.document["passes"] if record["gain"]}
    assert {"replicate-matrices", "pack-tiles", "place-matrices"} <= set(gains)
    assert "arrays instead of" in gains["pack-tiles"] and gains["pack-tiles"] in done.err.replace("\n", " ")
    plain = cli(model, "-o", "b", "--json").document
    assert not [record for record in plain["passes"] if record["gain"]]
    assert {layer["replicas"] for layer in plain["layers"] if layer["where"] == "analog"} == {1}
    assert max(layer["replicas"] or 0 for layer in done.document["layers"]) > 1
    assert cli(model, "--replicate", "sometimes").code == 2


def test_replication_needs_a_board(cli: Cli, model: Path) -> None:
    done = cli(model, "--target", "ideal_128x128", "--replicate", "latency")
    assert done.code == 1 and "layout.replicate" in done.err and "[chip]" in done.err
