"""The schema "pinat-report/1", as code: every key that must be there, with its type; keys may be added."""

from typing import Any

OPTIONAL_NUMBER = (int, float, type(None))
OPTIONAL_COUNT = (int, type(None))
ENERGY = {"total": OPTIONAL_NUMBER, "array": OPTIONAL_NUMBER, "dac": OPTIONAL_NUMBER, "adc": OPTIONAL_NUMBER,
          "digital": OPTIONAL_NUMBER, "leakage": OPTIONAL_NUMBER}

MODEL = {"name": str, "sha256": (str, type(None)), "parameters": int, "macs": OPTIONAL_COUNT}
TARGET = {"name": str, "technology": str, "rows": int, "cols": int, "sha256": str}
PASS = {"name": str, "seconds": float, "nodes_before": int, "nodes_after": int}
TOTALS = {
    "arrays": int, "cells": int, "cells_used": int, "utilisation": OPTIONAL_NUMBER, "energy_j": ENERGY,
    "write_energy_j": OPTIONAL_NUMBER, "latency_s": OPTIONAL_NUMBER, "interval_s": OPTIONAL_NUMBER,
    "area_mm2": OPTIONAL_NUMBER, "ops": int, "tops_per_watt": OPTIONAL_NUMBER, "tops_per_watt_1b": OPTIONAL_NUMBER,
    "macs_per_joule": OPTIONAL_NUMBER, "digital_energy_j": OPTIONAL_NUMBER,
}
MATRIX = {"name": str, "shape": [int], "shared_with": [str]}
LAYER = {
    "name": str, "op": str, "where": str, "why": str, "matrices": [MATRIX], "macs": OPTIONAL_COUNT,
    "mvms": OPTIONAL_COUNT, "row_tiles": OPTIONAL_COUNT, "col_tiles": OPTIONAL_COUNT, "slices": OPTIONAL_COUNT,
    "arrays": OPTIONAL_NUMBER, "arrays_touched": OPTIONAL_COUNT, "replicas": OPTIONAL_COUNT,
    "utilisation": OPTIONAL_NUMBER, "energy_j": ENERGY, "latency_s": OPTIONAL_NUMBER, "area_mm2": OPTIONAL_NUMBER,
    "snr_db": OPTIONAL_NUMBER,
}
TILE = {
    "id": str, "array": OPTIONAL_COUNT, "layer": str, "matrix": str, "row_range": [int], "col_range": [int],
    "slice": int, "utilisation": float, "energy_j": OPTIONAL_NUMBER, "snr_db": OPTIONAL_NUMBER,
}
ACCURACY = {
    "metric": str, "reference": OPTIONAL_NUMBER, "ideal": OPTIONAL_NUMBER, "mean": OPTIONAL_NUMBER,
    "std": OPTIONAL_NUMBER, "ci95": (list, type(None)), "worst": OPTIONAL_NUMBER, "p5": OPTIONAL_NUMBER,
    "top5": OPTIONAL_NUMBER, "chips": int, "samples": int, "deployment": (dict, type(None)),
    "dynamic": (dict, type(None)), "per_chip": list,
    "per_layer": (list, type(None)),
}
TRAINING = {"method": str, "epochs": int, "history": list, "settings": dict}
REPORT = {"schema": str, "model": MODEL, "target": TARGET, "passes": [PASS], "totals": TOTALS, "layers": [LAYER]}


def check_report(document: dict[str, Any]) -> None:
    """AssertionError with the path of what is missing or of another type."""
    _check(document, REPORT, "")
    assert document["schema"] == "pinat-report/1"
    for key, schema in (("tiles", [TILE]), ("accuracy", ACCURACY), ("training", TRAINING)):
        if key in document:
            _check(document[key], schema, key)
    for layer in document["layers"]:
        assert layer["where"] in ("analog", "digital")
        if layer["where"] == "digital":
            for key in ("mvms", "row_tiles", "col_tiles", "slices", "arrays", "arrays_touched", "utilisation"):
                assert layer[key] is None, (layer["name"], key)
    for entry in document.get("accuracy", {}).get("per_layer") or ():
        _check(entry, {"name": str, "snr_db": OPTIONAL_NUMBER, "drop": OPTIONAL_NUMBER}, "accuracy.per_layer")


def check_tile(tile: dict[str, Any]) -> None:
    _check(tile, TILE, "tile")


def _check(value: Any, schema: Any, where: str) -> None:
    if isinstance(schema, dict):
        assert isinstance(value, dict), f"{where}: {value!r} is not an object"
        for key, inner in schema.items():
            assert key in value, f"{where}.{key} is missing"
            _check(value[key], inner, f"{where}.{key}")
    elif isinstance(schema, list):
        assert isinstance(value, list), f"{where}: {value!r} is not a list"
        for index, item in enumerate(value):
            _check(item, schema[0], f"{where}[{index}]")
    else:
        assert isinstance(value, schema) and not isinstance(value, bool), f"{where}: {value!r}"
