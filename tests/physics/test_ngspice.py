"""Wires and non-linear devices against ngspice: its committed currents always, ngspice itself where it is installed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.ngspice import CASES, FOLDER, Case, difference, ngspice
from pinat_compile.errors import OptionError
from pinat_compile.physics.ir_drop import column_currents

LINEAR, BENT = 1e-12, 1e-10
"""Committed differences are 1e-14 and 4e-12; of non-linear circuits ngspice stops at a relative step of 1e-12."""


def tolerance(case: Case) -> float:
    return LINEAR if case.linear else BENT


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_equals_the_committed_currents(case: Case) -> None:
    column, ampere = np.loadtxt(FOLDER / f"{case.name}.csv", delimiter=",", skiprows=1, unpack=True)
    assert column.tolist() == list(range(case.cols))
    assert difference(case.ours(), ampere) <= tolerance(case)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_netlists_are_those_that_ngspice_solved(case: Case) -> None:
    assert case.netlist() == (FOLDER / f"{case.name}.cir").read_text("ascii")


@pytest.mark.skipif(shutil.which("ngspice") is None, reason="needs ngspice (apt-get install ngspice)")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_equals_ngspice_here(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "array.cir"
    path.write_text(case.netlist(), "ascii")
    assert difference(case.ours(), ngspice(path)) <= tolerance(case)


@pytest.mark.parametrize("case", [case for case in CASES if not case.linear], ids=lambda case: case.name)
def test_the_cases_are_far_from_what_they_test(case: Case) -> None:
    """Without the wires or without the bend the currents would be others: by at least a hundred tolerances."""
    g, v = torch.from_numpy(case.conductance_s()).flip(0), torch.from_numpy(case.voltage_v()).flip(0)[None]
    straight = column_currents(g, v, case.row_ohm, case.col_ohm)[0].numpy()
    assert difference(straight, case.ours()) > 0.01


# --- the Newton solver by itself ---


def random_array(*shape: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Conductances near 1 S, with N2 and N3 of their size."""
    generator = torch.Generator().manual_seed(5)
    g, square, cube = (torch.rand(*shape, generator=generator, dtype=torch.float64) for _ in range(3))
    return g + 0.1, 0.2 * (square - 0.5), cube


def volts(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(6), dtype=torch.float64) - 0.5


def test_devices_that_do_not_bend_are_the_linear_network() -> None:
    g, square, _ = random_array(3, 7, 6)
    found = column_currents(g, volts(3, 4, 7), 0.02, 0.05, square=torch.zeros_like(square))
    wanted = column_currents(g, volts(3, 4, 7), 0.02, 0.05)
    assert float((found - wanted).abs().max()) <= 1e-13


def test_without_wires_it_is_the_sum_of_the_devices() -> None:
    g, square, cube = random_array(7, 6)
    v = volts(4, 7)
    found = column_currents(g, v, 0.0, 0.0, square=square, cube=cube)
    wanted = v @ g + v**2 @ square + v**3 @ cube
    assert float((found - wanted).abs().max()) <= 1e-14


def test_arrays_and_vectors_are_independent() -> None:
    g, square, cube = random_array(2, 3, 5, 4)
    v = volts(3, 6, 5)
    whole = column_currents(g, v, 0.1, 0.3, square=square, cube=cube)
    assert whole.shape == (2, 3, 6, 4)
    one = column_currents(g[1, 2], v[2, 4:5], 0.1, 0.3, square=square[1, 2], cube=cube[1, 2])
    assert float((whole[1, 2, 4] - one[0]).abs().max()) <= 1e-14


def test_gradient_against_differences() -> None:
    parts = [x.requires_grad_() for x in (*random_array(2, 4, 3), volts(2, 2, 4))]

    def solve(g: torch.Tensor, square: torch.Tensor, cube: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return column_currents(g, v, 0.1, 0.3, square=square, cube=cube)

    assert torch.autograd.gradcheck(solve, parts)


def test_mistakes_are_named() -> None:
    g, square, _ = random_array(3, 4)
    with pytest.raises(OptionError, match="one number per device"):
        column_currents(g, volts(1, 3), 1.0, 1.0, square=square[0])
    with pytest.raises(OptionError, match="no solution found"):  # a current that falls with voltage
        column_currents(g, 100.0 * volts(1, 3), 1.0, 1.0, cube=-torch.ones_like(g))
    with pytest.raises(OptionError, match="solved up to"):
        column_currents(torch.ones(128, 128), volts(1, 128), 1.0, 1.0, cube=torch.zeros(128, 128))
