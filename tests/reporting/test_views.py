"""Results in Python: the same figures as a dictionary, a data frame, a notebook's table and a picture."""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pinat_compile as pc
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.errors import OptionError
from tests.reporting.test_page import EVIL, network, samples

pandas = pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return pc.compile(network(EVIL), "reram_128x128", calibration=samples()[0])


@pytest.fixture(scope="module")
def found(compiled: Compiled) -> dict[str, Any]:
    """A result of every kind."""
    return {
        "evaluation": pc.evaluate(compiled, samples(), chips=2),
        "sweep": pc.sweep(compiled, samples(), {"severity": [0, 1], "adc.bits": [6, 8]}, chips=1),
        "cost": pc.estimate(compiled),
        "comparison": pc.compare(network(EVIL), ["reram_128x128", "isaac"], calibration=samples()[0]),
        "exploration": pc.explore(network(EVIL), "reram_128x128", vary=["adc.bits=6,8"], calibration=samples()[0]),
    }


KINDS = ("evaluation", "sweep", "cost", "comparison", "exploration")
ROWS = {"evaluation": 2, "sweep": 4, "cost": 4, "comparison": 2, "exploration": 2}


@pytest.mark.parametrize("kind", KINDS)
def test_every_result_has_its_views(found: dict[str, Any], kind: str) -> None:
    result = found[kind]
    json.dumps(result.to_dict(), allow_nan=False)
    frame = result.to_dataframe()
    assert isinstance(frame, pandas.DataFrame) and len(frame) == ROWS[kind]
    shown = result._repr_html_()
    assert shown.count("<tr>") == ROWS[kind] + 1 and EVIL not in shown


def test_frames_hold_the_figures(found: dict[str, Any]) -> None:
    evaluation, cost = found["evaluation"], found["cost"]
    assert list(evaluation.to_dataframe()[evaluation.metric]) == list(evaluation.per_chip)
    frame = cost.to_dataframe()
    assert frame["energy_j"].sum() == pytest.approx(cost.total.energy_total)
    parts = frame[[key for key in frame if key.endswith("_j") and key != "energy_j"]].sum(axis=1)
    np.testing.assert_allclose(parts.astype(float), frame["energy_j"].astype(float), rtol=1e-12)
    assert list(found["sweep"].to_dataframe()["severity"]) == ["0", "0", "1", "1"]
    assert list(found["exploration"].to_dataframe()["adc.bits"]) == ["6", "8"]


@pytest.mark.parametrize("kind", ["evaluation", "sweep", "cost", "exploration"])
def test_plots_are_figures(found: dict[str, Any], kind: str) -> None:
    matplotlib = pytest.importorskip("matplotlib.figure")
    figure = pc.plot(found[kind])
    assert isinstance(figure, matplotlib.Figure) and figure.axes[0].get_ylabel()


def test_a_plot_shows_the_figures(found: dict[str, Any]) -> None:
    patches = pytest.importorskip("matplotlib.patches")
    cost = found["cost"]
    axes = pc.plot(cost).axes[0]
    unit = {"m": 1e-3, "µ": 1e-6, "n": 1e-9, "p": 1e-12}[axes.get_ylabel().removesuffix("J")[-1]]
    bars: list[Any] = [patch for patch in axes.patches if isinstance(patch, patches.Rectangle)]
    assert sum(bar.get_height() for bar in bars) * unit == pytest.approx(cost.total.energy_total)


def test_what_has_no_picture_says_so() -> None:
    with pytest.raises(OptionError, match="plot: int has no picture"):
        pc.plot(3)


def test_without_pandas_one_line_names_the_extra(found: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., Any] = builtins.__import__

    def without(name: str, *args: Any, **given: Any) -> Any:
        if name == "pandas":
            raise ImportError(name)
        return real(name, *args, **given)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(OptionError, match="to_dataframe needs pandas") as caught:
        found["evaluation"].to_dataframe()
    assert caught.value.hint == "pip install 'pinat-compile[notebook]'"
