"""The plan search: the best of what it tried, judged on validation chips and held-out images alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pinat_compile.compiler.build import compile
from pinat_compile.data import Dataset
from pinat_compile.evaluation.plan_search import CHOICES, search_plan
from pinat_compile.simulator.conditions import TRAINING_CHIPS, VALIDATION_CHIPS
from pinat_compile.simulator.module import Simulator
from tests.cli.conftest import small_network


def test_the_best_plan_is_kept_and_nothing_else_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).random((60, 1, 28, 28), np.float32)
    compiled = compile(small_network(), "reram_128x128", overrides=["adc.bits=5", "mapping.adc_share=3.0"])
    chips, rows = set(), set()
    view, read = Simulator.view, Dataset._read

    def viewing(self: Simulator, conditions: Any, **given: Any) -> Simulator:
        chips.add(conditions.chip)
        return view(self, conditions, **given)

    def reading(self: Dataset, which: Any) -> Any:
        rows.update(which.tolist())
        return read(self, which)

    monkeypatch.setattr(Simulator, "view", viewing)
    monkeypatch.setattr(Dataset, "_read", reading)
    found = search_plan(compiled, x, chips=2, severities=(0.5, 1.0))
    assert chips == {VALIDATION_CHIPS, VALIDATION_CHIPS + 1} and max(chips) < TRAINING_CHIPS
    assert rows == set(range(9, 60, 10))
    assert len(found.tried) == 1 + sum(map(len, CHOICES.values()))
    best = max(found.tried, key=lambda each: each.mean)
    assert best.mean == next(each.mean for each in found.tried if each.changes == found.changes) > found.tried[0].mean
    mapping = found.compiled.target.mapping
    for change in found.changes:
        key, _, value = change.partition("=")
        if value != "none":
            assert str(getattr(mapping, key.removeprefix("mapping."))).lower() == value
    assert found.compiled.options.overrides[2:] == found.changes


def test_only_what_a_target_has_is_tried() -> None:
    x = np.random.default_rng(0).random((20, 1, 28, 28), np.float32)
    exact = compile(small_network(), "ideal_128x128")
    found = search_plan(exact, x, chips=1, severities=(1.0,))
    assert len(found.tried) == 1 + len(CHOICES["clip"]) + len(CHOICES["column scale"])
    assert found.compiled is exact and not found.changes, "nothing is better than exact"
