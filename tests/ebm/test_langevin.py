"""The convolutional energy: its gradient, read from an array in both directions, and the noise that a chain needs."""

from __future__ import annotations

import math

import pytest
import torch

from pinat_compile.ebm import langevin
from pinat_compile.ebm.langevin import ChipGradient, ConvEnergy
from pinat_compile.hardware.loader import load_target
from pinat_compile.simulator.conditions import Conditions

SOURCE = torch.Generator().manual_seed(0)
X = torch.rand(30, 6, 6, generator=SOURCE)
IDEAL, CHIP = Conditions(chip=None, time_s=1.0), Conditions(chip=2, time_s=1.0)


def energy(filters: int = 5, size: float = 1.0) -> ConvEnergy:
    source = torch.Generator().manual_seed(1)
    w = size * torch.randn(9, filters, generator=source)
    return ConvEnergy(w, torch.randn(filters, generator=source), 0.5 * torch.ones(6, 6), 0.5)


def test_gradient_is_that_of_the_energy() -> None:
    x = X.clone().requires_grad_()
    energy().energy(x).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None and torch.allclose(energy().gradient(X), x.grad, atol=1e-5)


def test_an_ideal_array_gives_the_gradient() -> None:
    found = ChipGradient.plan(energy(), load_target("ideal_128x128"), X, IDEAL)(X)
    assert torch.allclose(found, energy().gradient(X), atol=1e-4)


def test_a_chip_gives_it_with_errors_and_fresh_noise() -> None:
    gradient = ChipGradient.plan(energy(), load_target("reram_128x128"), X, CHIP)
    exact = energy().gradient(X)
    first, second = gradient(X), gradient(X)
    assert not torch.equal(first, second)
    error = (torch.stack([gradient(X) for _ in range(20)]).mean(dim=0) - exact).std() / exact.std()
    assert 0.005 < float(error) < 0.5


def test_neurons_add_what_langevin_needs() -> None:
    step = 0.05
    wanted = langevin.wanted_noise(step)
    bare = ChipGradient.plan(energy(), load_target("reram_128x128"), X, CHIP, largest_noise=wanted / 3)
    own = bare.measured_noise(X, reads=40)
    noisy = bare.with_neuron_noise(langevin.neuron_noise(own, step, 3))
    assert noisy.measured_noise(X, reads=40) == pytest.approx(wanted, rel=0.03)
    assert langevin.missing_noise(wanted, step) == pytest.approx(0.0, abs=1e-6)
    assert langevin.missing_noise(0.0, step) == pytest.approx(math.sqrt(step))


@pytest.mark.parametrize("by_array", [False, True])
def test_the_chain_settles_in_the_gaussian_that_it_should(by_array: bool) -> None:
    """Without filters E is quadratic: variance s² / (1 - step / (4 s²)) of the discrete chain, exactly.

    With all noise from neurons of an array that holds nothing, as with noise that is added.
    """
    flat, step, s = energy(size=0.0), 0.05, 0.5
    held = ConvEnergy(flat.filters + 1e-6, flat.hidden_bias, flat.visible_bias, s)
    gradient: langevin.Gradient = held.gradient
    added = math.sqrt(step)
    if by_array:
        noise = langevin.neuron_noise(0.0, step, 3)
        target = load_target("reram_128x128", ["column=none"])
        gradient = ChipGradient.plan(held, target, X, IDEAL, largest_noise=noise).with_neuron_noise(noise)
        added = 0.0
    x = langevin.langevin(gradient, X.repeat(8, 1, 1), steps=60, step=step, added=added, generator=SOURCE)
    assert float(x.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(x.var()) == pytest.approx(s**2 / (1 - step / (4 * s**2)), rel=0.05)


def test_training_lowers_the_energy_of_data_against_noise() -> None:
    data = (torch.arange(6)[None, None, :] % 2 == torch.randint(2, (100, 1, 1), generator=SOURCE)).float()
    data = data.expand(100, 6, 6).contiguous()
    start = energy(size=0.1)

    def chain(now: ConvEnergy, x: torch.Tensor, _: int) -> torch.Tensor:
        return langevin.langevin(now.gradient, x, steps=5, step=0.1, added=math.sqrt(0.1), generator=SOURCE)

    learnt = langevin.train(start, data, chain, updates=60, rate=0.05, batch=50, chains=30)
    noise = torch.randn(100, 6, 6, generator=SOURCE) * data.std() + data.mean()
    gaps = [float(e.energy(noise).mean() - e.energy(data).mean()) for e in (start, learnt)]
    assert gaps[1] > gaps[0] + 1.0
