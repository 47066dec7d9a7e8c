"""Phase shifters: converters in phase and in voltage, and heaters that warm their neighbours."""

import math

import pytest
import torch

from pinat_compile.errors import TargetError
from pinat_compile.hardware.optics import HeatersSection
from pinat_compile.physics.optics import shifters


def test_uniform_in_phase() -> None:
    heaters = HeatersSection(bits=4)
    phase = torch.linspace(0, 6.2, 200, dtype=torch.float64)
    held = shifters.quantised(phase, heaters)
    step = 2 * math.pi / 16
    assert (held - phase).abs().max() <= step / 2 + 1e-9
    assert torch.unique((held / step).round()).numel() == 17
    assert shifters.quantised(torch.tensor(math.pi), heaters).item() == pytest.approx(math.pi)


def test_uniform_in_voltage_is_coarsest_at_a_full_turn() -> None:
    """A step of voltage is 2 sqrt(gamma x) V_max / (2**bits - 1) of phase."""
    heaters = HeatersSection(bits=8, converter="voltage", v_pi_v=4.36, full_scale_v=6.17)
    phase = torch.linspace(0.5, 6.2, 20_000, dtype=torch.float64)
    held = shifters.quantised(phase, heaters)
    gamma = math.pi / 4.36**2
    assert gamma == pytest.approx(0.1653, abs=1e-4)
    levels = torch.unique((held * 1e9).round()) * 1e-9
    steps, middle = levels.diff(), (levels[1:] + levels[:-1]) / 2
    torch.testing.assert_close(steps, 2 * (gamma * middle).sqrt() * 6.17 / 255, rtol=1e-3, atol=1e-6)
    assert steps.argmax() == len(steps) - 1


def test_a_converter_must_reach_a_turn() -> None:
    with pytest.raises(TargetError, match="a whole turn needs 6.166 V"):
        HeatersSection(bits=8, converter="voltage", v_pi_v=4.36, full_scale_v=5.0)


def test_wraps_are_whole_turns() -> None:
    phase = torch.tensor([-1.0, 7.0, 13.0], dtype=torch.float64)
    for both_arms, period in ((False, 2 * math.pi), (True, 4 * math.pi)):
        held = shifters.wrapped(phase, both_arms)
        turns = (held - phase) / period
        assert torch.allclose(turns, turns.round())
        assert held.abs().max() <= 2 * math.pi


def test_the_gradient_passes_straight_through() -> None:
    wanted = torch.rand(5, requires_grad=True)
    made = shifters.instead(wanted, wanted.detach().round())
    (gradient,) = torch.autograd.grad((2 * made).sum(), wanted)
    assert torch.equal(made, wanted.round()) and torch.equal(gradient, torch.full((5,), 2.0))


def test_heat_over_distance() -> None:
    """Values of the fit at some distances in µm."""
    known = {0.0: 1.0, 8.0: 0.169, 10.0: 0.101, 15.0: 0.039, 20.0: 0.0156, 24.0: 0.0102, 30.0: 0.0047, 50.0: 3.7e-4}
    found = shifters.spread_of_heat(torch.tensor(list(known), dtype=torch.float64))
    for share, wanted in zip(found.tolist(), known.values(), strict=True):
        assert share == pytest.approx(wanted, rel=0.02)


def test_crosstalk_between_two_heaters() -> None:
    """x'_i = x_i + (g(to the upper arm) - g(to the lower arm)) |x_j|, by hand."""
    coupled = shifters.crosstalk(torch.tensor([[0], [1]]), 15.0, 10.0).to_dense()
    near, far = (float(shifters.spread_of_heat(torch.tensor(d, dtype=torch.float64)))
                 for d in (15.0, math.hypot(15.0, 10.0)))
    torch.testing.assert_close(coupled, torch.tensor([[1.0, near - far], [near - far, 1.0]], dtype=torch.float64))
    held = shifters.heated(torch.tensor([1.0, -2.0]), coupled.to_sparse())
    torch.testing.assert_close(held, torch.tensor([1.0 + 2.0 * (near - far), -2.0 + (near - far)]))


def test_crosstalk_depends_on_distance_alone() -> None:
    """A heater above or below, and one behind a gap, on a grid of unequal columns."""
    grid = torch.tensor([[0, -1, 1], [2, 3, -1], [-1, 4, 5]])
    coupled = shifters.crosstalk(grid, 20.0).to_dense()
    place = {int(n): (c, r) for c, row in enumerate(grid.tolist()) for r, n in enumerate(row) if n >= 0}
    for i, (ci, ri) in place.items():
        for j, (cj, rj) in place.items():
            distance = 20.0 * math.hypot(ci - cj, ri - rj)
            share = float(shifters.spread_of_heat(torch.tensor(distance, dtype=torch.float64)))
            wanted = 1.0 if i == j else share
            assert coupled[i, j].item() == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("both_arms", [False, True])
def test_settings_make_up_for_crosstalk(both_arms: bool) -> None:
    coupled = shifters.crosstalk(torch.arange(80).reshape(10, 8), 20.0, 12.0)
    wanted = torch.rand(3, 80, dtype=torch.float64) * 2 * math.pi
    wanted[0, ::3] = 0.0
    asked = wanted - math.pi if both_arms else wanted
    setting = shifters.compensated(asked, coupled, both_arms)
    missed = (shifters.heated(setting, coupled) - asked + math.pi).remainder(2 * math.pi) - math.pi
    assert missed.abs().max() < 1e-5
    assert both_arms or setting.min() >= 0.0
    assert (shifters.heated(asked, coupled) - asked).abs().max() > 0.1
