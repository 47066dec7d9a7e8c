"""Conditions that change while chips are judged: the laws of the severities, and exact physics at each."""

import json
import math
from typing import Any

import numpy as np
import pytest
import torch

from pinat_compile.compiler.build import compile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.errors import OptionError
from pinat_compile.evaluation import deploy, evaluate
from pinat_compile.evaluation.dynamics import KINDS, MOST, dynamic_for, ornstein_uhlenbeck, per_sample
from pinat_compile.physics.randomness import Key
from tests.zoo import NETWORKS, Array, inputs_for

KEY = Key(("test",))


# --- the laws ---


def test_an_ornstein_uhlenbeck_severity_has_its_moments_and_forgets_as_it_should() -> None:
    """Over 2,000 correlation lengths: mean 1, deviation 0.4, correlation e^(-lag / 200), Gaussian."""
    drawn = ornstein_uhlenbeck(KEY, 400_000) - 1.0
    assert abs(drawn.mean()) < 0.05  # its own deviation is 0.4 sqrt(2 / 2000) = 0.013
    assert drawn.std() == pytest.approx(0.4, rel=0.05)
    for lag in (1, 20, 200, 400):
        found = float((drawn[:-lag] * drawn[lag:]).mean() / drawn.var())
        assert found == pytest.approx(math.exp(-lag / 200), abs=0.08 if lag > 1 else 1e-3)
    assert float((drawn**4).mean() / drawn.var() ** 2) == pytest.approx(3.0, abs=0.4)


def test_it_starts_from_its_stationary_law() -> None:
    starts = np.array([ornstein_uhlenbeck(KEY.at(number), 3) for number in range(4000)])  # [streams, samples]
    for column in starts.T:
        assert column.mean() == pytest.approx(1.0, abs=0.03) and column.std() == pytest.approx(0.4, rel=0.05)


def test_per_sample_severities_are_independent() -> None:
    drawn = per_sample(KEY, 100_000) - 1.0
    assert abs(drawn.mean()) < 0.01 and drawn.std() == pytest.approx(0.5, rel=0.01)
    for lag in (1, 2, 200):
        assert abs(float((drawn[:-lag] * drawn[lag:]).mean())) < 0.005


@pytest.mark.parametrize("kind", ["per-sample", "ou"])
def test_severities_are_held_and_rounded(kind: str) -> None:
    made = dynamic_for(kind, 20_000, severity=1.0, seed=0)
    assert made is not None
    found = np.array(made.severities)
    exact = np.abs((per_sample if kind == "per-sample" else ornstein_uhlenbeck)(Key(("dynamic", kind, 0)), 20_000))
    assert np.abs(found - np.minimum(exact, MOST)).max() <= 0.05 + 1e-9
    assert np.abs(found * 10 - np.rint(found * 10)).max() < 1e-6 and 0.0 <= found.min() and found.max() <= MOST
    twice = dynamic_for(kind, 20_000, severity=2.0, seed=0)
    assert twice is not None and np.allclose(np.array(twice.severities), 2.0 * found)
    assert dynamic_for(kind, 20_000, severity=1.0, seed=1) != made
    short = dynamic_for(kind, 77, severity=1.0, seed=0)
    assert short is not None and short.severities == made.severities[:77], "a longer stream begins like a short one"


@pytest.mark.parametrize("kind", KINDS)
def test_levels_are_the_samples_each_once(kind: str) -> None:
    made = dynamic_for(kind, 500, severity=1.5, seed=3)
    assert made is not None
    levels = made.levels()
    if len(levels) == 1:
        assert levels[0].samples is None
        return
    places = [place for level in levels for place in level.samples or ()]
    assert sorted(places) == list(range(500))
    for level in levels:
        assert {made.severities[place] for place in level.samples or ()} == {level.severity}


# --- on chips ---


@pytest.fixture(scope="module")
def quiet() -> Compiled:
    """Without read noise: what a sample becomes depends on chip and severity alone."""
    model = NETWORKS["conv_bn_chain"]()
    return compile(model, "reram_128x128", calibration=inputs_for(model, batch=32), overrides=["read_noise=none"])


@pytest.fixture(scope="module")
def data(quiet: Compiled) -> dict[str, Array]:
    inputs = inputs_for(NETWORKS["conv_bn_chain"](), batch=60)
    return {**inputs, "y": quiet.reference.run(inputs)[quiet.source.outputs[0]].argmax(axis=1)}


@pytest.mark.parametrize("kind", ["per-sample", "ou"])
def test_each_sample_runs_at_its_own_severity(quiet: Compiled, data: dict[str, Array], kind: str) -> None:
    """Every sample alone on ``chip.at(severity)``: the same mean squared error."""
    found = evaluate(quiet, data["x"], chips=[4], dynamic=kind, metric="mse", seed=2)
    assert found.dynamic is not None and len(set(found.dynamic.severities)) > 5
    chip, x = quiet.simulator(chip=4), torch.from_numpy(data["x"])
    wanted = quiet.reference.run({"x": data["x"]})[quiet.source.outputs[0]]
    errors = []
    with torch.no_grad():
        for place, severity in enumerate(found.dynamic.severities):
            y = chip.at(severity=severity)(x[place : place + 1]).numpy()
            errors.append(float(np.square(y - wanted[place]).mean()))
    assert found.mean == pytest.approx(np.mean(errors), rel=1e-3)


def test_the_same_conditions_for_every_chip_and_target(quiet: Compiled, data: dict[str, Array]) -> None:
    other = compile(NETWORKS["conv_bn_chain"](), "ideal_128x128")
    first, second = (evaluate(each, data, chips=2, dynamic="ou", seed=5).dynamic for each in (quiet, other))
    assert first is not None and first == second
    together = evaluate(quiet, data, chips=3, dynamic="ou", metric="mse", per_layer=True)
    alone = evaluate(quiet, data, chips=[2], dynamic="ou", metric="mse")
    assert together.per_chip[2] == alone.mean
    assert together.per_layer is not None and len(together.per_layer) == 3


def test_any_batch_size_gives_the_same(data: dict[str, Array]) -> None:
    model = NETWORKS["conv_bn_chain"]()
    noisy = compile(model, "reram_128x128", calibration=inputs_for(model, batch=32))
    whole, part = (
        evaluate(noisy, data, chips=2, dynamic="per-sample", metric="mse", batch_size=size) for size in (60, 3)
    )
    # a value near the edge of two ADC codes may fall to the other side
    assert part.per_chip == pytest.approx(whole.per_chip, rel=2e-2)


def test_shift_is_twice_the_severity(quiet: Compiled, data: dict[str, Array]) -> None:
    shifted = evaluate(quiet, data, chips=2, dynamic="shift", metric="mse", severity=0.7)
    assert shifted.per_chip == evaluate(quiet, data, chips=2, metric="mse", severity=1.4).per_chip
    assert shifted.severity == 0.7
    assert shifted.to_dict()["dynamic"]["parameters"] == {"calibrated": 0.7, "judged": 1.4}


def test_deployments_are_made_before_conditions_change(quiet: Compiled, data: dict[str, Array]) -> None:
    """Fitted at severity 1 and before any gain has drifted, whatever is judged then."""
    fitting = {"x": data["x"][:40]}
    made = [deploy(quiet, chip=chip, data=fitting, steps="affine") for chip in (0, 1)]
    shifted = evaluate(quiet, data, chips=2, metric="mse", dynamic="shift", deploy="affine", deploy_data=fitting)
    doubled = evaluate(quiet, data, chips=2, metric="mse", severity=2.0, deploy=made)
    assert shifted.per_chip == doubled.per_chip and shifted.deployment is not None and doubled.deployment is not None
    assert shifted.deployment.per_chip == doubled.deployment.per_chip != shifted.per_chip
    for kind in KINDS:
        given = evaluate(quiet, data, chips=2, metric="mse", dynamic=kind, deploy=made)
        asked = evaluate(quiet, data, chips=2, metric="mse", dynamic=kind, deploy="affine", deploy_data=fitting)
        assert given.per_chip == asked.per_chip


def test_drifted_gains_make_errors(quiet: Compiled, data: dict[str, Array]) -> None:
    none, drifted, more = (
        evaluate(quiet, data, chips=4, metric="mse", dynamic=kind, severity=severity).mean
        for kind, severity in ((None, 1.0), ("gain-drift", 1.0), ("gain-drift", 2.0))
    )
    assert none < drifted < more


def test_progress_ends_where_it_said(quiet: Compiled, data: dict[str, Array]) -> None:
    told: list[tuple[int, int]] = []

    def tell(done: int, total: int) -> None:
        told.append((done, total))

    evaluate(quiet, data, chips=2, dynamic="ou", per_layer=True, progress=tell)
    assert told[-1][0] == told[-1][1] and len({total for _, total in told}) == 1


def test_what_the_report_says(quiet: Compiled, data: dict[str, Array]) -> None:
    assert evaluate(quiet, data, chips=1).to_dict()["dynamic"] is None
    found = json.loads(json.dumps(evaluate(quiet, data, chips=1, dynamic="ou").to_dict()))["dynamic"]
    assert found["kind"] == "ou" and found["parameters"]["correlation_samples"] == 200
    assert sum(level["samples"] for level in found["levels"]) == 60


@pytest.mark.parametrize(("options", "message"), [
    ({"dynamic": "storm"}, "dynamic = 'storm': not known"),
    ({"dynamic": "ou", "severity": 0.0}, "nothing would vary"),
    ({"dynamic": "gain-drift", "severity": 0.0}, "nothing would vary"),
])
def test_options_are_checked(
    quiet: Compiled, data: dict[str, Array], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=message) as raised:
        evaluate(quiet, data, chips=1, **options)
    assert raised.value.hint
