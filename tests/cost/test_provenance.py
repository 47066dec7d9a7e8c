"""Every figure of the totals leads to the numbers that made it, and those to their sources."""

from typing import Any

import pytest

from pinat_compile.compiler.build import compile
from pinat_compile.compiler.summary import report_document
from pinat_compile.cost.provenance import ENERGY, explain
from pinat_compile.cost.value import COMPONENTS
from pinat_compile.errors import OptionError
from pinat_compile.hardware.loader import load_target
from tests.cli.conftest import small_network


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return report_document(compile(small_network(), "isaac"))


def test_every_component_has_a_rule() -> None:
    assert set(ENERGY) == set(COMPONENTS)


def test_every_total_is_explained(document: dict[str, Any]) -> None:
    target = load_target("isaac")
    plain = [key for key in document["totals"] if key != "energy_j"]
    for key in [*plain, "energy_j", *(f"energy_j.{name}" for name in COMPONENTS)]:
        if key in ("cells", "cells_used", "utilisation"):
            continue
        found = explain(document, target, key)
        assert found.how and (found.constants or key == "ops"), key
        assert all(constant.source for constant in found.constants)


OPTICS = ("laser", "modulator", "detector", "heaters")
ELECTRONIC = [name for name in COMPONENTS if name not in ("reload", "leakage", *OPTICS)]


@pytest.mark.parametrize("name", ELECTRONIC)
def test_a_component_follows_the_constants_that_it_names(document: dict[str, Any], name: str) -> None:
    """Doubling every picojoule that a component's rule names doubles it, and doubling all others does not."""
    energies = load_target("isaac").energy
    named = [key for key in ENERGY[name].keys if key.startswith("energy.") and key.endswith(("_pj", "_pj_per_byte"))]
    changes = {key: 2 * getattr(energies, key.removeprefix("energy.")) for key in named}
    if name == "array":
        changes = {"energy.read_pulse_ns": 2 * 0.229}
    doubled = report_document(compile(small_network(), "isaac", overrides=[f"{k}={v}" for k, v in changes.items()]))
    before, after = document["totals"]["energy_j"], doubled["totals"]["energy_j"]
    assert after[name] == pytest.approx(2 * before[name])
    others = [other for other in COMPONENTS if not set(ENERGY[other].keys) & set(changes) and before[other]]
    assert {other: after[other] for other in others} == pytest.approx({other: before[other] for other in others})


def test_guesses_are_marked(document: dict[str, Any]) -> None:
    target = load_target("isaac", ["energy.adc_pj=3.0"])
    found = explain(document, target, "energy_j.adc")
    assert "energy.adc_pj" in [constant.key for constant in found.doubtful]
    assert not explain(document, load_target("isaac"), "energy_j.adc").doubtful
    assert "timing.digital_gops" in document["assumptions"]["latency_s"]["not_verified"]


def test_the_largest_layers_are_named(document: dict[str, Any]) -> None:
    found = explain(document, load_target("isaac"), "energy_j.adc")
    assert [name for name, _ in found.layers] == ["conv1", "conv2", "fc"]
    assert sum(value for _, value in found.layers) == pytest.approx(found.value)


def test_an_unknown_figure(document: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="no such figure") as caught:
        explain(document, load_target("isaac"), "energy_j.steam")
    assert caught.value.hint is not None and "energy_j.adc" in caught.value.hint
