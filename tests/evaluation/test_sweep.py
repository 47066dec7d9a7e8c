"""Sweeps: the same chips throughout, plans kept where only noise changes, energy beside accuracy."""

from __future__ import annotations

import numpy as np
import pytest

from pinat_compile.compiler.build import compile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.errors import OptionError, TargetError
from pinat_compile.evaluation import evaluate
from pinat_compile.evaluation.sweeping import sweep
from tests.cli.conftest import small_network

DATA = {"x": np.random.default_rng(0).random((24, 1, 28, 28), np.float32)}


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return compile(small_network(), "reram_128x128")


def test_a_sweep_is_so_many_evaluations(compiled: Compiled) -> None:
    points = sweep(compiled, DATA, {"mismatch.sigma": [0.01, 0.3], "severity": [1, 2]}, chips=2, metric="mse")
    assert [dict(point.values) for point in points] == [
        {"mismatch.sigma": a, "severity": b} for a in ("0.01", "0.3") for b in ("1", "2")
    ]
    assert points[0].result.per_chip == evaluate(compiled, DATA, chips=2, metric="mse").per_chip
    assert not any(point.planned_anew for point in points)
    assert points[3].result.mean > points[1].result.mean > 0.0 and points[3].result.mean > points[2].result.mean
    assert compiled.target.mismatch is not None and compiled.target.mismatch.sigma == 0.01


def test_converters_are_planned_anew(compiled: Compiled) -> None:
    points = sweep(compiled, DATA, ["adc.bits=4,8"], chips=1, metric="mse")
    expected = compile(small_network(), "reram_128x128", overrides=["adc.bits=4"])
    assert points[0].planned_anew and not points[1].planned_anew
    assert points[0].result.per_chip == evaluate(expected, DATA, chips=1, metric="mse").per_chip
    assert points[0].result.ideal > points[1].result.ideal, "fewer bits, more error"


@pytest.mark.parametrize(("vary", "error", "said"), [
    (["adc.bits"], OptionError, "--vary adc.bits: not of the form"),
    (["adc=3"], OptionError, "--vary adc=3: not of the form"),
    ([], OptionError, "nothing is varied"),
    (["severity=0..999", "reads=1..999"], OptionError, "999,000 combinations"),
    (["adc.bits=4", "adc.bits=5"], OptionError, "varied twice"),
    (["severity=hot"], OptionError, "severity = 'hot' is not a number"),
    (["adc.bots=3"], TargetError, "unknown key adc.bots"),
])
def test_what_cannot_be_varied(compiled: Compiled, vary: list[str], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        sweep(compiled, DATA, vary, chips=1)
