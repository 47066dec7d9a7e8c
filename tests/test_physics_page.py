"""docs/physics.md is true: it names every effect, its links lead somewhere, its figures are what devices do."""

from __future__ import annotations

import csv
import re
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import device_physics
from benchmarks.device_physics import DEVICE_MODELS, Published
from pinat_compile.hardware import optics
from pinat_compile.hardware.loader import list_targets, load_target
from pinat_compile.hardware.names import sections
from pinat_compile.hardware.schema import Device

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "physics.md").read_text("utf-8")
COSTS = {"energy", "chip", "timing", "converter", "leakage", "area", "power"}
OPTICS = {name for name, kind in sections().items() if kind.__module__ == optics.__name__}
PERIPHERY = [
    name for name in sections()
    if name not in {*(item.name for item in fields(Device)), "mapping", "layout", *COSTS, *OPTICS}
]
"""Of an electronic target: neither a device's, nor what the compiler decides, nor what things cost."""


def results(name: str) -> list[dict[str, str]]:
    with (ROOT / "benchmarks" / "results" / f"device_{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("section", [*(item.name for item in fields(Device)), *PERIPHERY])
def test_every_effect_has_its_line(section: str) -> None:
    assert re.search(rf"^\| .*`\[{section}\]`", PAGE, re.MULTILINE)


@pytest.mark.parametrize("section", [item.name for item in fields(Device) if item.name != "cell"])
def test_the_targets_that_have_an_effect_are_named(section: str) -> None:
    """Every target of the last column has the section, and every target that has it is named or of a named kind."""
    lines = [line for line in PAGE.splitlines() if line.startswith(f"| `[{section}]`")]
    named = " ".join(line.rstrip(" |").rpartition(" | ")[2] for line in lines)
    kinds = {"ReRAM": "reram", "PCM": "pcm"}
    having = {name for name in list_targets() if getattr(load_target(name), section) is not None}
    assert set(re.findall(r"`(\w+)`", named)) <= having
    for name in having:
        assert f"`{name}`" in named or any(kind in named and part in name for kind, part in
                                           (*kinds.items(), ("ReRAM", "neurram"))), name
    assert having or set(named.split()) == {"none"}


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(((?!https?:)[^)#]+)\)", PAGE))))
def test_links_lead_somewhere(target: str) -> None:
    assert (ROOT / "docs" / target).exists()


@pytest.mark.parametrize("name", ["spread", "read_noise"])
def test_drawn_devices_have_the_published_deviation(name: str) -> None:
    """All within 4.5 standard errors, and nine in ten within 1.96: errors are as large as they say."""
    rows = [{key: float(row[key]) for key in ("expected_us", "sampled_us", "error_us")} for row in results(name)]
    apart = np.array([abs(row["sampled_us"] - row["expected_us"]) / (row["error_us"] + 1e-7) for row in rows])
    assert len(apart) >= 8 * 25 and apart.max() < 4.5 and (apart < 1.96).mean() > 0.9


def test_a_year_has_the_published_quantiles() -> None:
    """Within 4.5 standard errors of a quantile of 100,000 normal draws, for the three devices that have equations."""
    compared = set()
    for row in results("drift"):
        spread = (float(row["p95_us"]) - float(row["p05_us"])) / 3.29
        for key, error in (("p05_us", 0.0067), ("median_us", 0.0040), ("p95_us", 0.0067)):
            if row[f"expected_{key}"]:
                compared.add(row["target"])
                assert abs(float(row[key]) - float(row[f"expected_{key}"])) < 4.5 * error * spread + 0.01
    assert compared == {"reram_128x128", "pcm_256x256", "cmo_64x64"}


@pytest.mark.parametrize("model", DEVICE_MODELS, ids=lambda model: model.target)
@pytest.mark.parametrize("name", ["spread", "read_noise"])
def test_results_are_those_of_the_targets_as_they_are(model: Published, name: str) -> None:
    """The first lines of the file, drawn again: on another machine within the errors of two samples."""
    make = {"spread": device_physics.spread_rows, "read_noise": device_physics.read_rows}[name]
    stored = [row for row in results(name) if row["target"] == model.target]
    again: list[dict[str, Any]] = list(islice(make(model), device_physics.STATES))
    for old, new in zip(stored, again, strict=False):
        assert (old["g_us"], old["time_s"], old["equation_us"]) == (new["g_us"], new["time_s"], new["equation_us"])
        assert abs(float(old["sampled_us"]) - float(new["sampled_us"])) <= 6.4 * float(old["error_us"]) + 1e-6


def test_one_device_in_three_targets() -> None:
    first = load_target("reram_128x128").device
    for name in ("reram_256x256", "neurram_256x256"):
        other = load_target(name).device
        assert (other.programming, other.read_noise) == (first.programming, first.read_noise)
    assert load_target("hermes_256x256").device == load_target("pcm_256x256").device


def test_the_table_of_a_year() -> None:
    shown = PAGE.split("<!-- begin year -->")[1].split("<!-- end year -->")[0].strip().splitlines()
    assert shown[2:] == device_physics.year_table(list(results("drift")))
