"""Tables fit 80 columns, whatever the names, and say what the document says."""

import copy
import io
from typing import Any

import pytest
from rich.console import Console, RenderableType

from pinat_compile.compiler.build import compile
from pinat_compile.compiler.summary import report_document
from pinat_compile.evaluation import evaluate
from pinat_compile.reporting import terminal
from tests.zoo import NETWORKS, inputs_for


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    model = NETWORKS["residual"]()
    compiled = compile(model, "reram_128x128", calibration=inputs_for(model, batch=8))
    result = evaluate(compiled, inputs_for(model, batch=32), chips=3, per_layer=True)
    found = report_document(compiled, accuracy=result.to_dict())
    found["training"] = {
        "method": "pinat",
        "epochs": 2,
        "history": [
            {"epoch": epoch, "loss": 1.234567 / epoch, "validation_accuracy": 0.5, "seconds": 12.34} for epoch in (1, 2)
        ],
        "settings": {"batch_size": 64, "learning_rate": 1e-3, "loss": "distill", "seed": 0},
    }
    return found


def printed(*parts: RenderableType, width: int = 80) -> str:
    file = io.StringIO()
    terminal.show(Console(file=file, width=width, highlight=False, markup=False), *parts)
    return file.getvalue()


def everything(document: dict[str, Any]) -> str:
    return printed(
        terminal.headline(document),
        terminal.passes(document),
        terminal.layers(document),
        terminal.layers(document, everything=True),
        terminal.totals(document),
        terminal.accuracy(document),
        terminal.training(document),
    )


def test_all_tables_fit_80_columns(document: dict[str, Any]) -> None:
    text = everything(document)
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text  # no colour where there is no terminal


def test_long_names_and_large_numbers_fit_too(document: dict[str, Any]) -> None:
    long = copy.deepcopy(document)
    long["model"]["name"] = "a_network_with_quite_a_name_" * 4
    for layer in long["layers"]:
        layer["name"] = f"encoder/layers.11/attention/{layer['name']}/a_part_of_it"
        layer["op"] = "GlobalAveragePool"
        layer["why"] = "its padding depends on a size that is not known, and so on and so forth"
        if layer["arrays"]:
            layer["arrays"] = 123_456
    for layer in long["accuracy"]["per_layer"]:
        layer["name"] *= 10
    assert max(map(len, everything(long).splitlines())) <= 80


def test_layers_are_named_and_the_rest_added_up(document: dict[str, Any]) -> None:
    text = printed(terminal.layers(document))
    for layer in document["layers"]:
        assert (layer["name"] in text) == (layer["where"] == "analog" or layer["op"] not in ("Relu", "Add"))
    assert "5 x" in text and "Relu" in text
    assert "Relu  " in printed(terminal.layers(document, everything=True))


def test_shared_layers_say_whose_arrays_they_use() -> None:
    model = NETWORKS["shared_weights"]()
    text = printed(terminal.layers(report_document(compile(model, "reram_128x128"))))
    assert "same arrays as conv1" in text.replace("\n", " ") and "(1)" in text


def test_totals(document: dict[str, Any]) -> None:
    text = printed(terminal.totals(document), width=200)
    assert f"arrays      {document['totals']['arrays']}, " in text
    assert "J per sample: " in text and "TOPS/W" in text
    assert "calibrated  with 8 samples of data" in text
    assert "read        1 s after programming" in text


def test_a_target_without_energies_says_so() -> None:
    document = report_document(compile(NETWORKS["strided_conv"](), "ideal_128x128"))
    text = printed(terminal.layers(document), terminal.totals(document))
    assert "not counted: the target gives no energies" in text
    assert " 0 J" not in text


def test_a_network_without_analog_layers() -> None:
    document = report_document(compile(NETWORKS["strided_conv"](), digital=["conv"]))
    text = printed(terminal.layers(document), terminal.totals(document))
    assert "chosen with" in text and "arrays  " not in text.splitlines()[-6]


def test_accuracy_of_one_chip_and_of_values(document: dict[str, Any]) -> None:
    single = copy.deepcopy(document)
    single["accuracy"] |= {"chips": 1, "chip_numbers": [7], "per_chip": [0.5], "std": None, "ci95": None}
    text = printed(terminal.accuracy(single))
    assert "chip 7" in text and "interval" not in text
    values = copy.deepcopy(document)
    values["accuracy"] |= {"metric": "mse", "reference": None, "mean": 0.0123456}
    text = printed(terminal.accuracy(values))
    assert "0.01235" in text and "–" in text
