"""Energies and partition functions against sums over all states; AIS against the exact value."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pinat_compile.ebm import ais
from pinat_compile.ebm.rbm import Rbm, state_numbers, states
from pinat_compile.errors import OptionError
from tests.ebm.machines import machine


def every(units: int) -> torch.Tensor:
    return torch.cat(list(states(units)))


@settings(max_examples=15, deadline=None)
@given(visible=st.integers(1, 7), hidden=st.integers(1, 7), seed=st.integers(0, 9))
def test_log_partition_is_the_sum_over_all_pairs_of_states(visible: int, hidden: int, seed: int) -> None:
    rbm = machine(visible, hidden, 2.0, seed)
    v, h = every(visible), every(hidden)
    energies = rbm.energy(v[:, None].expand(-1, len(h), -1), h[None].expand(len(v), -1, -1))
    assert rbm.log_partition() == pytest.approx(float(torch.logsumexp(-energies.flatten(), dim=0)), abs=1e-9)
    assert rbm.mirrored().log_partition() == pytest.approx(rbm.log_partition(), abs=1e-9)
    of_v = rbm.log_likelihood(v).exp()
    assert float(of_v.sum()) == pytest.approx(1.0, abs=1e-9)
    joint = torch.softmax(-energies.flatten(), dim=0).view(len(v), len(h))
    assert torch.allclose(joint.sum(dim=1), of_v, atol=1e-9)
    assert torch.allclose(joint.sum(dim=0), rbm.hidden_marginal(), atol=1e-9)


def test_states_come_in_pieces_and_keep_their_numbers() -> None:
    parts = list(states(15))
    assert len(parts) == 2 and torch.equal(state_numbers(torch.cat(parts)), torch.arange(1 << 15))


def test_what_cannot_be_enumerated_is_refused() -> None:
    with pytest.raises(OptionError, match="64 x 21 units"):
        machine(64, 21).log_partition()
    with pytest.raises(OptionError, match="shapes"):
        Rbm(torch.zeros(3, 2), torch.zeros(2), torch.zeros(3))


@pytest.mark.parametrize("seed", range(3))
def test_ais_finds_the_exact_partition_function(seed: int) -> None:
    rbm = machine(30, 10, 0.7, seed)
    source = torch.Generator().manual_seed(seed)
    found = ais.log_partition(rbm, torch.zeros(30), source, runs=300, steps=600)
    assert found.log_partition == pytest.approx(rbm.log_partition(), abs=0.15)
    assert found.interval[0] < rbm.log_partition() < found.interval[1]
    assert found.effective_runs > 50


def test_ais_is_exact_where_nothing_has_to_be_annealed() -> None:
    """No weights, and the machine's own biases as the base: all weights are one number."""
    rbm = Rbm(torch.zeros(6, 4), torch.linspace(-2, 2, 6), torch.linspace(-1, 1, 4))
    found = ais.log_partition(rbm, rbm.visible_bias, torch.Generator().manual_seed(0), runs=4, steps=50)
    assert found.log_partition == pytest.approx(rbm.log_partition(), abs=1e-4)
    with pytest.raises(OptionError, match="runs = 1"):
        ais.log_partition(rbm, rbm.visible_bias, torch.Generator(), runs=1)
