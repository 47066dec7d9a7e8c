"""Training: digital chains learn bars; chains on virtual chips learn to be right on chips that nobody has seen."""

from __future__ import annotations

import math

import pytest
import torch

from pinat_compile.ebm import likelihood, training
from pinat_compile.ebm.chips import Bench
from pinat_compile.ebm.rbm import Rbm, initial, state_numbers
from pinat_compile.errors import OptionError
from pinat_compile.hardware.loader import load_target
from pinat_compile.simulator.conditions import Conditions
from tests.ebm.machines import bars

DATA = bars(500)
INDEPENDENT = -9 * math.log(2.0)
"""Nats of independent pixels, each on half of the time."""


@pytest.fixture(scope="module")
def learnt() -> Rbm:
    start = initial(DATA, 8, torch.Generator().manual_seed(0))
    return training.train(start, DATA, training.digital(0), training.Settings(updates=1500, rate=0.2, sweeps=2))


def test_digital_chains_learn_the_distribution(learnt: Rbm) -> None:
    assert float(learnt.log_likelihood(DATA).mean()) > INDEPENDENT + 1.0


def test_training_is_repeatable() -> None:
    few = training.Settings(updates=20)
    start = initial(DATA, 4, torch.Generator().manual_seed(0))
    target = load_target("reram_128x128")
    runs = [training.train(start, DATA, training.on_chips(target, DATA, seed=1), few) for _ in range(2)]
    assert torch.equal(runs[0].weights, runs[1].weights)


def test_chips_in_the_loop_learn_what_cells_can_hold(learnt: Rbm) -> None:
    """Cells of one bit: weights of -1, 0, 1. On chips that training has not seen, by their exact likelihood."""
    target = load_target("reram_128x128", ["weights.bits=2", "cell.bits=1"])
    few = training.Settings(updates=200, rate=0.1, sweeps=2, chains=100)
    found = {}
    for name, machine in (("chips", training.on_chips(target, DATA)), ("digital", training.digital(1))):
        bench = Bench.plan(training.train(learnt, DATA, machine, few), target, DATA)
        samplers = [bench.sampler(Conditions(chip=chip, time_s=1.0), "units") for chip in range(3)]
        each = [likelihood.stationary(likelihood.transition_matrix(sampler, 9, 8)) for sampler in samplers]
        found[name] = torch.stack([p.log()[state_numbers(DATA)].mean() for p in each])
    assert bool((found["chips"] - found["digital"] > 0.3).all())


def test_weights_stay_in_the_range_that_was_given(learnt: Rbm) -> None:
    settings = training.Settings(updates=30, rate=0.5, largest_weight=1.0)
    assert float(training.train(learnt, DATA, training.digital(0), settings).weights.abs().max()) <= 1.0


def test_settings_are_checked() -> None:
    with pytest.raises(OptionError, match="sweeps = 0"):
        training.Settings(sweeps=0)
