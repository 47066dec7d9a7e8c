"""Devices that do not obey Ohm's law: columns against the sum of every device's current."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pinat_compile.errors import TargetError
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.hardware.loader import load_target
from pinat_compile.hardware.schema import CellSection, Device, NonlinearitySection
from pinat_compile.physics.devices import excess_currents
from tests.simulator.layers import layer, window

# Milo et al., IRPS 2021, Fig. 1: N2 and N3 over log10(G / 1 S), highest power first, fitted for 62.5 to 110 µS.
N2 = (1.388e-4, 1.541e-3, 5.711e-3, 7.063e-3)
N3 = (8.8710e-5, 6.7919e-4, 1.2968e-3)
MILO = [f"nonlinearity.square={list(N2[::-1])}", f"nonlinearity.cube={list(N3[::-1])}"]


def milo_current(g_s: npt.NDArray[Any], v: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Amperes of devices of ``g_s`` siemens at ``v`` volts."""
    decades = np.log10(g_s)
    return np.asarray(g_s * v + np.polyval(N2, decades) * v**2 + np.polyval(N3, decades) * v**3)


def test_milo_2021_coefficients() -> None:
    section = NonlinearitySection(square=N2[::-1], cube=N3[::-1], full_scale_v=0.5)
    device = Device(CellSection(g_min_us=50.0, g_max_us=225.0), nonlinearity=section)
    g = torch.tensor([62.5, 93.9, 110.0, 1e-4, 0.0], dtype=torch.float64)
    found = excess_currents(device, g)
    assert found is not None
    for per_volt, published in zip(found, (N2, N3), strict=True):
        expected = [float(1e6 * np.polyval(published, np.log10(x * 1e-6))) for x in (62.5, 93.9, 110.0)] + [0.0, 0.0]
        assert np.allclose(per_volt.numpy(), expected)
    assert excess_currents(Device(device.cell), g) is None


@pytest.mark.parametrize("encoding", ["amplitude", "bit_serial"])
@pytest.mark.parametrize("op", [None, "window"])
def test_columns_carry_the_current_of_every_device(encoding: str, op: str | None) -> None:
    """Exact, with inputs of either sign, several tiles, and pairs of devices."""
    overrides = ["cell.g_min_us=62.5", "cell.g_max_us=110.0", "dac.bits=6", f"dac.encoding={encoding}",
                 "nonlinearity.full_scale_v=0.5", *MILO, "array.rows=10", "array.cols=12"]  # fmt: skip
    rng = np.random.default_rng(2)
    shape = (5, 3, 3, 3) if op else (5, 27)
    weight = rng.uniform(-1.0, 1.0, shape).astype(np.float32)
    made = layer(load_target("ideal_128x128", overrides), weight, op=window((3, 3)) if op else ArrayMvm("m"))
    vectors = rng.integers(-31, 32, (4, 27))
    x = vectors.reshape(4, 3, 3, 3) if op else vectors
    found = made.simulator(chip=0)(torch.from_numpy(x.astype(np.float32))).reshape(4, 5)

    plus, minus = (62.5e-6 + 47.5e-6 * np.maximum(sign * weight.reshape(5, 27), 0.0) for sign in (1, -1))
    if encoding == "amplitude":
        steps, lsb = [(1, vectors)], 0.5 / 31
    else:
        word = vectors & 63
        steps, lsb = [(-32 if k == 5 else 1 << k, (word >> k) & 1) for k in range(6)], 0.5
    total = np.zeros((4, 5))
    for worth, codes in steps:
        v = lsb * codes[:, None, :].astype(np.float64)
        total += worth * (milo_current(plus, v) - milo_current(minus, v)).sum(axis=2) / (47.5e-6 * lsb)
    assert np.abs(found.numpy() - total).max() < 1e-5 * np.abs(total).max()
    linear = vectors @ weight.reshape(5, 27).T
    assert np.abs(total - linear).max() > 5e-3 * np.abs(linear).max()
    ideal = made.simulator(chip=None)(torch.from_numpy(x.astype(np.float32))).reshape(4, 5)
    assert np.allclose(ideal, linear, atol=1e-3)


def test_gradients_reach_the_weights() -> None:
    made = layer(
        load_target("ideal_128x128", ["cell.g_min_us=62.5", "dac.bits=6", "nonlinearity.full_scale_v=0.5", *MILO]),
        np.full((2, 4), 0.3, np.float32),
    )
    chip = made.simulator(chip=0)
    weight = chip.parameter_names()["w"].requires_grad_(True)
    chip.train()
    chip(torch.full((1, 4), 9.0)).sum().backward()
    assert weight.grad is not None and bool(weight.grad.isfinite().all()) and bool((weight.grad > 0).all())


def test_inputs_without_a_largest_one_have_no_voltage() -> None:
    with pytest.raises(TargetError, match="nonlinearity: needs a largest input"):
        load_target("ideal_128x128", ["nonlinearity.full_scale_v=0.5", *MILO])


def test_not_together_with_wires() -> None:
    """With wires the network is no longer linear, and an effective conductance would be wrong: refused."""
    with pytest.raises(TargetError, match="nonlinearity: devices behind resistive wires"):
        load_target("reram_128x128", ["nonlinearity.full_scale_v=0.5", *MILO, "wires.row_ohm=1.0", "wires.col_ohm=1.0"])
