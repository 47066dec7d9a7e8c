"""Netlists of tiles: the circuit is the array that the simulator computes with."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.ngspice import ngspice
from pinat_compile.compiler.build import compile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.errors import OptionError
from pinat_compile.exports import write_netlist
from pinat_compile.exports.spice import netlist, parse_currents
from pinat_compile.exports.tile import tile_netlist
from pinat_compile.hardware.loader import load_target
from pinat_compile.physics import crossbar
from pinat_compile.physics.tiling import tensor_of
from pinat_compile.simulator.arrays import ArrayMatrix
from pinat_compile.simulator.conditions import Conditions
from tests.devices.test_nonlinearity import MILO
from tests.zoo import Builder

needs_ngspice = pytest.mark.skipif(shutil.which("ngspice") is None, reason="needs ngspice (apt-get install ngspice)")
SMALL = ["array.rows=12", "array.cols=14"]


def gemm(target: str, *overrides: str) -> Compiled:
    b = Builder("gemm")
    model = b.model(b.linear(b.input("x", ["batch", 20]), "fc", 20, 9))
    x = np.random.default_rng(0).uniform(-1.0, 1.0, (64, 20)).astype(np.float32)
    return compile(model, load_target(target, [*SMALL, *overrides]), calibration={"x": x})


def elements(text: str) -> dict[str, list[str]]:
    """The circuit's elements: name -> nodes and value."""
    lines = (line.split() for line in text.splitlines())
    return {words[0]: words[1:] for words in lines if words and words[0][0] in "RVB"}


def test_the_elements_of_a_small_array() -> None:
    """Nodes, order and values by hand: row 0 next to ground, column 0 next to the drivers; open devices left out."""
    g = np.array([[1e-3, 0.0], [0.0, 2e-3]])
    found = elements(netlist("two by two", g, np.array([0.5, -1.0]), 3.0, 7.0))
    assert found == {
        "Vw0": ["w0", "0", "dc", "0.5"], "Vw1": ["w1", "0", "dc", "-1"],
        "Vs0": ["s0", "0", "dc", "0"], "Vs1": ["s1", "0", "dc", "0"],
        "Rw0_0": ["w0", "w0_0", "3"], "Rw1_0": ["w1", "w1_0", "3"], "Rw1_1": ["w1_0", "w1_1", "3"],
        "Rb0_0": ["s0", "b0_0", "7"], "Rb0_1": ["s1", "b0_1", "7"], "Rb1_1": ["b0_1", "b1_1", "7"],
        "Rd0_0": ["w0_0", "b0_0", "1000"], "Rd1_1": ["w1_1", "b1_1", "500"],
    }  # fmt: skip


def test_wires_without_resistance_join_their_nodes() -> None:
    found = elements(netlist("t", np.full((1, 2), 1e-3), np.ones(1), 0.0, 0.0, cube=np.full((1, 2), 2e-5)))
    assert found["Rd0_1"] == ["w0", "s1", "1000"]
    assert found["Bd0_1"][:2] == ["w0", "s1"] and not any(name.startswith(("Rw", "Rb")) for name in found)


def test_currents_are_read_from_what_ngspice_prints() -> None:
    assert parse_currents("No. of Data Rows : 1\ni(vs0) = 1.5e-06\ni(vs12) = -2e-9\nv(w) = 3") == {0: 1.5e-6, 12: -2e-9}


def state_of(compiled: Compiled, chip: int | None, time_s: float) -> crossbar.State:
    held = ArrayMatrix(compiled.graph.matrices["fc"], compiled.target)
    conditions = Conditions(chip=chip, time_s=time_s)
    return held.state(lambda name: tensor_of(compiled.graph.tensors[name]), conditions)


def volts_and_currents(compiled: Compiled, path: Path) -> tuple[Any, Any]:
    """What drives the tile's word lines, and ngspice's currents of its bit lines as [output, device]."""
    found = elements(path.read_text())
    volts = np.array([float(found[f"Vw{i}"][-1]) for i in range(compiled.target.array.rows)])
    return volts, ngspice(path).reshape(-1, 2)


@needs_ngspice
@pytest.mark.parametrize("wires", [[], ["wires.row_ohm=20.0", "wires.col_ohm=45.0"]], ids=["no wires", "wires"])
def test_currents_are_those_that_the_simulator_multiplies_to(tmp_path: Path, wires: list[str]) -> None:
    """Plus minus minus of every output is what the chip's effective conductances give, wires included."""
    compiled = gemm("reram_128x128", *wires)
    path = write_netlist(compiled, tmp_path / "t.cir", "fc/0.1.0", chip=3, time="1h")
    volts, currents = volts_and_currents(compiled, path)
    cut = compiled.graph.matrices["fc"].cut
    assert cut is not None and cut.tile_rows[0] < 12 and np.count_nonzero(volts) == cut.tile_rows[0]
    state = state_of(compiled, 3, 3600.0)
    weights = crossbar.effective(state, time_s=3600.0)[0, 1, 0].double().numpy() * crossbar.step_us(state) * 1e-6
    wanted = (volts[: cut.tile_rows[0]] @ weights)[: cut.tile_cols[1]]
    assert np.abs(currents[:, 0] - currents[:, 1] - wanted).max() < 2e-6 * np.abs(currents).max()  # float32


@needs_ngspice
def test_currents_of_devices_that_do_not_obey_ohm(tmp_path: Path) -> None:
    """I = G V + N2 V² + N3 V³ of Milo 2021, against what the simulator adds to the linear sum."""
    fitted = "cell.g_min_us=62.5", "cell.g_max_us=110.0"
    compiled = gemm("reram_128x128", *fitted, *MILO, "nonlinearity.full_scale_v=0.5")
    path = write_netlist(compiled, tmp_path / "t.cir", "fc/1.0.0", chip=0)
    volts, currents = volts_and_currents(compiled, path)
    state = state_of(compiled, 0, compiled.default_time_s)
    step = crossbar.step_us(state) * 1e-6
    found = crossbar.excess(state, 1.0)
    assert found is not None
    linear, square, cube = (x[1, 0, 0].double().numpy() * step for x in (crossbar.effective(state), *found))
    v = volts[: len(linear)]
    wanted = (v @ linear + v**2 @ square + v**3 @ cube)[: len(currents)]
    assert np.abs(currents[:, 0] - currents[:, 1] - wanted).max() < 2e-6 * np.abs(currents).max()
    assert np.abs(v @ linear - wanted[: linear.shape[1]]).max() > 1e-3 * np.abs(currents).max()


def test_inputs() -> None:
    """A given vector is quantised as the DAC does; the other word lines stay at 0 V."""
    compiled = gemm("reram_128x128")
    dac = float(compiled.graph.tensors[str(compiled.graph.matrices["fc"].ranges.dac_range)])  # type: ignore[union-attr]
    x = np.zeros(20)
    x[2], x[3] = dac, -dac / 2
    found = elements(tile_netlist(compiled, "fc/0.0.0", vector=x))
    read_v = compiled.target.energy.read_voltage_v  # type: ignore[union-attr]
    assert read_v is not None
    assert float(found["Vw2"][-1]) == read_v
    assert float(found["Vw3"][-1]) == pytest.approx(-64 / 127 * read_v)
    assert sum(float(found[f"Vw{i}"][-1]) != 0.0 for i in range(12)) == 2


def test_bits_are_driven_one_at_a_time() -> None:
    found = elements(tile_netlist(gemm("isaac", "array.cols=32"), "fc/0.0.3"))
    assert len({found[f"Vw{i}"][-1] for i in range(12)}) == 2  # off, and one voltage


def test_rows_that_are_read_in_groups_and_pulses() -> None:
    grouped = elements(tile_netlist(gemm("reram_128x128", "array.rows_on=4"), "fc/0.0.0"))
    driven = [i for i in range(12) if float(grouped[f"Vw{i}"][-1])]
    assert 2 < len(driven) <= 4 and len({i // 4 for i in driven}) == 1
    pulses = elements(tile_netlist(gemm("reram_128x128", "dac.encoding=pulse_width"), "fc/0.0.0"))
    assert len({abs(float(pulses[f"Vw{i}"][-1])) for i in range(10)}) <= 2


def test_unused_devices_stand_at_g_min_where_wires_make_them_matter() -> None:
    without, with_wires = (elements(tile_netlist(gemm("reram_128x128", *wires), "fc/1.1.0"))
                           for wires in ([], ["wires.row_ohm=1.0", "wires.col_ohm=1.0"]))
    count = [sum(name.startswith("Rd") for name in found) for found in (without, with_wires)]
    assert count[0] < 12 * 14 and count[1] == 12 * 14
    assert with_wires["Rd11_13"][-1] == "1000000" or float(with_wires["Rd11_13"][-1]) == pytest.approx(1e6)


def test_the_header_says_what_it_is_and_names_no_folder() -> None:
    text = tile_netlist(gemm("reram_128x128"), "fc/0.1.0", chip=2, time="1d")
    head = [line for line in text.splitlines() if line.startswith("*")]
    for word in ("pinat-compile", "fc/0.1.0", "reram_128x128", "chip 2, 86400 s", "ohm, volt, ampere"):
        assert any(word in line for line in head), word
    assert not any("/work" in line or "/home" in line or "/tmp" in line for line in head)


@pytest.mark.parametrize("tile", ["fc", "fc/9.0.0", "fc/0.0.1", "fc/0.0", "other/0.0.0", "", "fc/-1.0.0", "fc/00.0.0"])
def test_a_tile_that_does_not_exist(tile: str) -> None:
    with pytest.raises(OptionError, match="the network has no such tile") as error:
        tile_netlist(gemm("reram_128x128"), tile)
    assert "fc/0.0.0" in str(error.value.hint)


def test_a_vector_of_another_length() -> None:
    with pytest.raises(OptionError, match="vector of 3 numbers: matrix 'fc' has 20 inputs"):
        tile_netlist(gemm("reram_128x128"), "fc/0.0.0", vector=np.ones(3))
