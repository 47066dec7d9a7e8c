"""Layers that had better stay digital are named with the reason."""

from __future__ import annotations

from typing import Any

import numpy as np

from pinat_compile.compiler.build import compile
from pinat_compile.compiler.guidance import Suggestion, suggestions
from pinat_compile.compiler.summary import report_document
from pinat_compile.reporting.terminal import suggestions as shown
from tests import zoo


def layer(name: str, **given: Any) -> dict[str, Any]:
    return {"name": name, "where": "analog", "macs": 1000, "utilisation": 0.5, "snr_db": None, **given}


def test_a_low_snr_and_wasted_arrays_are_named() -> None:
    layers = [
        layer("fine", snr_db=24.0),
        layer("noisy", snr_db=4.25),
        layer("tiny", macs=2, utilisation=0.002),
        layer("small but busy", utilisation=0.002),
        layer("relu", where="digital", macs=None, utilisation=None),
    ]
    assert suggestions(layers) == [
        Suggestion("noisy", "its outputs have an SNR of 4.2 dB on arrays"),
        Suggestion("tiny", "it uses 0.20% of the cells of its arrays for 0.07% of the products"),
    ]


def network() -> Any:
    """A wide layer, and one of two weights behind it."""
    b = zoo.Builder("wide")
    x = b.linear(b.input("x", ["batch", 200]), "wide", 200, 100)
    return b.model(b.node("MatMul", x, b.random("last", 100, 1, fan_in=100), name="narrow"))


def test_the_report_suggests_and_following_it_ends_it() -> None:
    calibration = np.ones((4, 200), np.float32)
    compiled = compile(network(), "ideal_128x128", calibration=calibration)
    accuracy = {"per_layer": [{"name": "wide", "snr_db": 30.0}, {"name": "narrow", "snr_db": 3.0}]}
    document = report_document(compiled, accuracy=accuracy)
    assert [entry["layer"] for entry in document["suggestions"]] == ["narrow"]
    assert str(shown(document)) == "to consider\n--digital narrow: its outputs have an SNR of 3.0 dB on arrays"
    followed = compile(network(), "ideal_128x128", calibration=calibration, digital=("narrow",))
    assert report_document(followed, accuracy=accuracy)["suggestions"] == []
