"""The likelihood of a sampler: by its transition matrix where that can be written down, and by its chain."""

from __future__ import annotations

import math

import pytest
import torch

from pinat_compile.ebm import likelihood
from pinat_compile.ebm.chips import Bench
from pinat_compile.ebm.rbm import state_numbers, states
from pinat_compile.ebm.samplers import ChipSampler, DigitalSampler, after, gibbs
from pinat_compile.errors import OptionError
from pinat_compile.hardware.loader import load_target
from pinat_compile.simulator.conditions import Conditions
from tests.ebm.machines import bars, machine

RBM = machine(9, 5, 0.8)
DATA = bars(300)


def digital(temperature: float = 1.0) -> DigitalSampler:
    return DigitalSampler(RBM, torch.Generator().manual_seed(1), temperature=temperature)


def on_chip(chip: int = 0, *, noise: bool = True) -> ChipSampler:
    bench = Bench.plan(RBM, load_target("reram_128x128"), DATA)
    return bench.sampler(Conditions(chip=chip, time_s=1.0), "units", noise=noise)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_ideal_gibbs_settles_in_the_machine_and_in_detailed_balance(temperature: float) -> None:
    transitions = likelihood.transition_matrix(digital(temperature), 9, 5)
    assert torch.allclose(transitions.sum(dim=1), torch.ones(512, dtype=torch.float64), atol=1e-9)
    found = likelihood.stationary(transitions)
    exact = RBM.scaled(1.0 / temperature).log_likelihood(torch.cat(list(states(9)))).exp()
    assert torch.allclose(found, exact, atol=1e-6)
    assert likelihood.imbalance(transitions, found) < 1e-6


def test_a_chip_has_no_energy_but_a_stationary_distribution() -> None:
    """What its own reads visit is what the transition matrix, from its converters' view, says."""
    sampler = on_chip()
    transitions = likelihood.transition_matrix(sampler, 9, 5)
    expected = likelihood.stationary(transitions)
    assert likelihood.imbalance(transitions, expected) > 1e-3, "detailed balance is broken"
    start = after(sampler, DATA.repeat(10, 1), 30)
    visited = torch.stack([v for v, _ in gibbs(sampler, start, 60)]).flatten(0, 1)
    distance = 0.5 * (likelihood.histogram(visited) - expected).abs().sum()
    assert float(distance) < 0.03
    ideal = RBM.log_likelihood(torch.cat(list(states(9)))).exp()
    assert 0.5 * float((ideal - expected).abs().sum()) > 2.0 * float(distance), "and not the machine's"


def test_the_likelihood_from_drawn_states_is_the_exact_one() -> None:
    for sampler in (digital(), on_chip()):
        exact = likelihood.stationary(likelihood.transition_matrix(sampler, 9, 5)).log()
        wanted = float(exact[state_numbers(DATA)].mean())
        found = likelihood.sampled_log_likelihood(sampler, DATA, DATA, burn_in=20, sweeps=200)
        assert float(found.mean()) == pytest.approx(wanted, abs=0.03)


def test_few_states_underestimate() -> None:
    """In the mean: the logarithm of a mean over few states lies below that over all (Jensen)."""
    sampler = digital()
    means = [
        torch.stack([likelihood.sampled_log_likelihood(sampler, DATA[i : i + 1], DATA, burn_in=5, sweeps=sweeps).mean()
                     for i in range(40)]).mean()
        for sweeps in (1, 30)
    ]  # fmt: skip
    exact = RBM.log_likelihood(DATA).mean()
    assert float(means[0]) < float(means[1]) - 0.3 and float(means[1]) < float(exact)


def test_without_noise_a_chain_freezes() -> None:
    sampler = on_chip(noise=False)
    v = after(sampler, DATA[:50], 20)
    assert torch.equal(v, after(sampler, v, 4)), "fixed points"
    found = likelihood.sampled_log_likelihood(sampler, DATA[:50], 1.0 - DATA, burn_in=20, sweeps=5)
    assert math.isinf(float(found.min()))
    assert not bool(torch.isnan(found).any())


def test_an_ideal_array_at_temperature_one_is_the_machine_itself() -> None:
    bench = Bench.plan(RBM, load_target("ideal_128x128"), DATA)
    sampler = bench.sampler(Conditions(chip=None, time_s=0.0), "temperature")
    found = likelihood.effective_machine(sampler, DATA, bench.inputs(True))
    assert torch.allclose(found.weights, RBM.weights, atol=0.01)
    assert torch.allclose(found.visible_bias, RBM.visible_bias, atol=0.01)
    assert torch.allclose(found.hidden_bias, RBM.hidden_bias, atol=0.01)


def test_what_cannot_be_written_down_is_refused() -> None:
    with pytest.raises(OptionError, match="13 visible and 5 hidden"):
        likelihood.transition_matrix(digital(), 13, 5)
