"""Energy of a sweep: counted by hand."""

from __future__ import annotations

import pytest
import torch

from pinat_compile.ebm import energy
from pinat_compile.ebm.array import Direction, TwoWayArray
from pinat_compile.errors import OptionError
from pinat_compile.hardware.loader import load_target


def test_a_sweep_drives_and_converts_each_side_once() -> None:
    """All weights at the top: a device of 40 µS and one of 1 µS each, 0.5 V for 10 ns on the rows that are on."""
    way = Direction(1.0, 10.0)
    array = TwoWayArray(12, 4, load_target("reram_128x128"), 1.0, forward=way, backward=way)
    rows, cols = torch.zeros(3, 12), torch.zeros(3, 4)
    rows[:, :6], cols[:, :1] = 1.0, 1.0
    cost = energy.sweep_cost(array, torch.ones(12, 4), rows, cols)
    driven = 6 * 4 + 1 * 12  # weights of the units that are on, both ways
    assert cost.array == pytest.approx(driven * 41e-6 * 0.25 * 10e-9)
    assert cost.adc == pytest.approx((12 + 4) * 1.714e-12)
    assert cost.dac == pytest.approx((12 + 4) * 4.992e-12)
    assert cost.digital == pytest.approx((12 + 4) * 0.265e-12)
    assert energy.mean_active(rows) == 6.0


def test_digital_sweeps() -> None:
    sparse = energy.digital_sweep_j(64, 16, (20.0, 5.0), 8, 45.0)
    weights = 20 * 16 + 5 * 64
    assert sparse == pytest.approx((weights * (0.1 + 1.25 / 16) + 80 * (0.6 + 1.25 + 0.1)) * 1e-12)
    assert energy.digital_sweep_j(64, 16, (20.0, 5.0), 8, 32.0) == pytest.approx(sparse * 32 / 45)
    assert energy.digital_dense_sweep_j(64, 16, 8, 45.0) > sparse
    with pytest.raises(OptionError, match="bits = 0"):
        energy.digital_sweep_j(64, 16, (20.0, 5.0), 0, 45.0)
