"""The report document: its schema to the letter, and sums that agree."""

import json
from pathlib import Path
from typing import Any

import pytest

from pinat_compile.compiler.build import compile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.folder import load, read_report, save
from pinat_compile.compiler.summary import report_document, tiles
from pinat_compile.evaluation import evaluate
from tests.reporting.schema import check_report, check_tile
from tests.zoo import NETWORKS, inputs_for, resnet18_imagenet


def compiled_from(name: str, target: str = "reram_128x128", **options: Any) -> Compiled:
    model = NETWORKS[name]()
    calibration = None if name == "two_inputs" else inputs_for(model, batch=8)  # an input y would be taken for labels
    return compile(model, target, calibration=calibration, **options)


@pytest.mark.parametrize("target", ["reram_128x128", "isaac", "ideal_128x128"])
@pytest.mark.parametrize("name", ["conv_bn_chain", "depthwise_conv", "shared_weights", "transformer", "two_inputs"])
def test_document_and_tiles_agree(name: str, target: str) -> None:
    compiled = compiled_from(name, target)
    document = json.loads(json.dumps(report_document(compiled, with_tiles=True), allow_nan=False))
    check_report(document)
    layers, totals, found = document["layers"], document["totals"], document["tiles"]
    owned = [layer for layer in layers if layer["where"] == "analog"]
    assert sum(layer["arrays"] for layer in owned) == totals["arrays"] == len({tile["array"] for tile in found})
    assert totals["cells"] == totals["arrays"] * 128 * 128
    used = sum(tile["utilisation"] for tile in found) * 128 * 128
    assert used == pytest.approx(totals["cells_used"])
    assert totals["ops"] == 2 * sum(layer["macs"] or 0 for layer in layers)
    energies = [layer["energy_j"]["total"] for layer in layers]
    if target == "ideal_128x128":
        assert totals["energy_j"]["total"] is None and set(energies) == {None}
        assert totals["tops_per_watt"] is None and totals["macs_per_joule"] is None
    else:
        assert totals["energy_j"]["total"] == pytest.approx(sum(energy or 0.0 for energy in energies))
        parts = [value for key, value in totals["energy_j"].items() if key != "total" and value is not None]
        assert totals["energy_j"]["total"] == pytest.approx(sum(parts))
        assert sum(tile["energy_j"] for tile in found) < totals["energy_j"]["total"]


def test_macs_follow_stride_and_window() -> None:
    document = report_document(compiled_from("strided_conv"))
    conv = document["layers"][0]
    assert (conv["op"], conv["mvms"], conv["macs"]) == ("Conv", 5 * 6, 5 * 6 * 8 * 27)
    assert document["model"]["macs"] == conv["macs"]


def test_shared_arrays_are_counted_at_their_owner() -> None:
    document = report_document(compiled_from("shared_weights"))
    first, second = (layer for layer in document["layers"] if layer["name"] in ("conv1", "conv2"))
    assert (first["arrays"], first["arrays_touched"]) == (1, 1)
    assert (second["arrays"], second["arrays_touched"]) == (0, 1)
    assert first["matrices"][0]["shared_with"] == ["conv2"] and second["matrices"][0]["shared_with"] == ["conv1"]


def test_a_tile_says_where_it_lies() -> None:
    compiled = compiled_from("lenet")
    found = [tile for tile in tiles(compiled) if tile["matrix"] == "fc1"]
    for tile in found:
        check_tile(tile)
    assert len({tile["id"] for tile in found}) == len(found) == 4 * 2
    covered = sum((t["row_range"][1] - t["row_range"][0]) * (t["col_range"][1] - t["col_range"][0]) for t in found)
    assert covered == 400 * 120
    assert max(tile["row_range"][1] for tile in found) == 400


def test_zeros_between_groups_are_not_used() -> None:
    document = report_document(compiled_from("depthwise_conv"), with_tiles=True)
    depthwise = next(layer for layer in document["layers"] if layer["name"] == "depthwise")
    assert depthwise["arrays"] == 1  # six groups of 9 x 1, block-diagonal
    assert depthwise["utilisation"] == pytest.approx(6 * 9 * 2 / 128**2)


def test_an_evaluation_is_put_in() -> None:
    compiled = compiled_from("conv_bn_chain")
    result = evaluate(compiled, inputs_for(NETWORKS["conv_bn_chain"](), batch=20), chips=2, per_layer=True)
    document = json.loads(json.dumps(report_document(compiled, accuracy=result.to_dict()), allow_nan=False))
    check_report(document)
    found = {layer["name"]: layer["snr_db"] for layer in document["layers"] if layer["where"] == "analog"}
    assert found == {layer["name"]: layer["snr_db"] for layer in document["accuracy"]["per_layer"]}


def test_the_saved_report_is_that_of_the_loaded_folder(tmp_path: Path) -> None:
    compiled = compiled_from("residual")
    save(compiled, tmp_path / "out")
    assert read_report(tmp_path / "out") == report_document(load(tmp_path / "out"))
    lines = (tmp_path / "out" / "tiles.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == list(tiles(compiled))


def test_layers_by_their_original_operator_and_shape() -> None:
    model = resnet18_imagenet()
    compiled = compile(model, "isaac", calibration=inputs_for(model, batch=1))
    document = report_document(compiled)
    check_report(document)
    assert document["totals"]["arrays"] == 5724
    assert document["model"]["macs"] == 1_814_073_344  # torchvision's ResNet-18
