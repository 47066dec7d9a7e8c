"""A matrix read from its columns: W' of the same devices, through converters of its own."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pinat_compile.ebm.array import Direction, TwoWayArray
from pinat_compile.errors import OptionError
from pinat_compile.hardware.loader import load_target
from pinat_compile.simulator.conditions import Conditions
from pinat_compile.simulator.noise import StreamNoise

WIDE = Direction(1.0, 40.0)
CHIP = Conditions(chip=3, time_s=1.0)
IDEAL = Conditions(chip=None, time_s=1.0)


def array(rows: int, cols: int, target: str, *overrides: str) -> TwoWayArray:
    return TwoWayArray(rows, cols, load_target(target, list(overrides)), 1.0, forward=WIDE, backward=WIDE)


def matrix(rows: int, cols: int) -> torch.Tensor:
    drawn = torch.randn(rows, cols, generator=torch.Generator().manual_seed(rows + cols))
    return (drawn / 3.0).clamp(-1.0, 1.0)


@settings(max_examples=12, deadline=None)
@given(rows=st.integers(1, 300), cols=st.integers(1, 200))
def test_on_an_ideal_target_it_is_the_transpose(rows: int, cols: int) -> None:
    """Any number of tiles on either side (an array holds 128 rows of 64 pairs)."""
    two_way, w = array(rows, cols, "ideal_128x128"), matrix(rows, cols)
    held = two_way.program(w, IDEAL)
    v, u = torch.linspace(-1, 1, 3 * rows).view(3, rows), torch.linspace(-1, 1, 2 * cols).view(2, cols)
    assert torch.allclose(two_way.read(v, held, None), v @ w, atol=1e-4)
    assert torch.allclose(two_way.read(u, held, None, transpose=True), u @ w.T, atol=1e-4)


@pytest.mark.parametrize(("rows", "cols"), [(20, 7), (150, 90)])
def test_both_directions_read_the_same_devices(rows: int, cols: int) -> None:
    """Without errors of columns, and with many codes, the matrix read from either side is one and not the ideal one."""
    two_way, w = array(rows, cols, "reram_128x128", "column=none", "adc.bits=24"), matrix(rows, cols)
    held = two_way.program(w, CHIP)
    forward = two_way.read(torch.eye(rows), held, None)
    backward = two_way.read(torch.eye(cols), held, None, transpose=True)
    assert torch.allclose(forward, backward.T, atol=1e-4)
    assert float((forward - w).abs().mean()) > 0.01


def test_rows_have_sensing_errors_of_their_own() -> None:
    two_way = array(30, 30, "reram_128x128", "column.gain_sigma=0.2")
    held = two_way.program(matrix(30, 30), CHIP)
    forward, backward = held.forward.to_codes, held.backward.to_codes
    assert forward is not None and backward is not None
    gains = torch.stack([forward.flatten(), backward.flatten()])
    spread = (gains / gains.mean(dim=1, keepdim=True)).std(dim=1)
    assert bool(((spread > 0.1) & (spread < 0.3)).all())
    assert abs(float(torch.corrcoef(gains)[0, 1])) < 0.5
    again = two_way.program(matrix(30, 30), CHIP)
    assert again.backward.to_codes is not None and torch.equal(again.backward.to_codes, backward)


def test_read_noise_is_that_of_the_devices_that_are_driven() -> None:
    """1 % of g_max in each of two devices, in steps of 39 / 15 µS: sqrt(2) * 0.4 / 2.6 steps per driven weight."""
    two_way = array(40, 10, "reram_128x128", "column=none", "adc.bits=24")
    held = two_way.program(matrix(40, 10), CHIP)
    u = torch.ones(4000, 10)
    u[:, 6:] = 0.0
    found = two_way.read(u, held, StreamNoise(torch.Generator().manual_seed(0)), transpose=True)
    expected = (2 * 6) ** 0.5 * 0.4 / 2.6 * two_way.step
    assert float(found.std(dim=0).mean()) == pytest.approx(expected, rel=0.02)
    seen = two_way.columns(u[:1], held, transpose=True)
    assert float((seen.deviation * seen.unit).mean()) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("rows", [30, 150])
def test_what_converters_see_is_what_is_read(rows: int) -> None:
    two_way = array(rows, 9, "reram_128x128")
    held = two_way.program(matrix(rows, 9), CHIP)
    v = (torch.rand(50, rows, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    seen = two_way.columns(v, held)
    assert torch.allclose((seen.mean.round() * seen.unit).sum(dim=1), two_way.read(v, held, None), atol=1e-4)


@pytest.mark.parametrize(("target", "overrides", "words"), [
    ("photonic_mzi_16x16", (), "optics"),
    ("isaac", (), "slices"),
    ("cmo_64x64", (), ""),
    ("reram_128x128", ("wires.row_ohm=1", "wires.col_ohm=1"), "wires"),
    ("reram_128x128", ("array.rows_on=16",), "groups"),
])
def test_what_is_not_modelled_is_refused(target: str, overrides: tuple[str, ...], words: str) -> None:
    if not words:
        array(20, 5, target)
        return
    with pytest.raises(OptionError, match=words):
        array(20, 5, target, *overrides)


def test_neuron_noise_has_the_size_asked_for_however_many_tiles() -> None:
    for rows in (30, 150):
        two_way = array(rows, 5, "reram_128x128", "read_noise=none")
        held = two_way.with_neuron_noise(two_way.program(matrix(rows, 5), CHIP), 1.5, transpose=False)
        found = two_way.read(torch.zeros(5000, rows), held, StreamNoise(torch.Generator().manual_seed(0)))
        assert float(found.std(dim=0).mean()) == pytest.approx(1.5, rel=0.03)
