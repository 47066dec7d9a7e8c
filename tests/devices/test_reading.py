"""Programming and reading as public functions: moments of a read, and one chip at several times."""

import math

import pytest
import torch

from pinat_compile import physics
from pinat_compile.errors import OptionError
from pinat_compile.graph.matrix import Cells, Cut
from pinat_compile.hardware.loader import load_target
from pinat_compile.hardware.schema import CellSection, Device, DriftSection
from pinat_compile.physics import crossbar
from pinat_compile.physics.randomness import Key
from pinat_compile.physics.tiling import Tiling

CELLS = Cells("differential", weight_max=1, cell_max=1, slice_bits=(1,), rounded=False)
TILING = Tiling(Cut(1, (0, 6, 12), (0, 4, 8)))
STEPS = torch.linspace(-1.0, 1.0, 96).reshape(1, 12, 8)


def chip_of(device: Device, number: int = 1) -> crossbar.State:
    return physics.program(STEPS, CELLS, device, TILING, Key(("chip", number, "m")))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(9)


@pytest.mark.parametrize("name", ["neurram_256x256", "pcm_256x256", "sonos_1024x1024"])
@pytest.mark.parametrize("transpose", [False, True])
def test_moments_of_a_read(name: str, transpose: bool) -> None:
    """Mean W x, variance sum(x² sigma²), for noise that depends on the state and noise that does not."""
    state = chip_of(load_target(name).device)
    weights = physics.effective(state)
    x = torch.linspace(-1.0, 1.0, 2 * 6 if not transpose else 2 * 4).reshape(1, 2, -1)
    reads = physics.read(x.expand(20000, -1, -1), weights, state, generator(), transpose=transpose)
    variance = torch.as_tensor(crossbar.read_variance(state)).expand(weights.shape)
    rule = "qc,rqsxc->rqsx" if transpose else "rx,rqsxc->rqsc"
    mean, std = torch.einsum(rule, x[0], weights), torch.einsum(rule, x[0] ** 2, variance).sqrt()
    assert bool(((reads.mean(dim=0) - mean).abs() < 5 * std / math.sqrt(20000)).all())
    assert torch.allclose(reads.std(dim=0), std, rtol=5 / math.sqrt(40000))


def test_a_device_keeps_its_nu() -> None:
    """Reads of single devices at three times lie on one power law each."""
    drift = DriftSection(model="power_law", t0_s=1.0, mean=(0.05,), std=(0.02,))
    state = chip_of(Device(CellSection(g_min_us=0.0, g_max_us=25.0), drift=drift))
    g = [crossbar.conductances_us(state, time_s=t) for t in (1.0, 100.0, 10000.0)]
    assert torch.allclose(g[1] ** 2, g[0] * g[2], rtol=1e-5)
    nu = ((g[0] / g[1]).log() / math.log(100.0))[g[0] > 0]
    assert float(nu.std()) == pytest.approx(0.02, rel=0.3) and float(nu.mean()) == pytest.approx(0.05, abs=0.01)


def test_ideal_devices_read_exactly() -> None:
    state = physics.program(STEPS, CELLS, load_target("pcm_256x256").device, TILING, None)
    x = torch.ones(3, 2, 6)
    found = physics.read(x, physics.effective(state), state, generator())
    expected = torch.stack([STEPS[0, :6].sum(dim=0), STEPS[0, 6:].sum(dim=0)])
    assert torch.allclose(found[0, :, :, 0].reshape(2, 8), expected, atol=1e-6)


def test_non_linear_devices_need_volts() -> None:
    overrides = ["nonlinearity.square=[0.0]", "nonlinearity.cube=[0.0]", "nonlinearity.full_scale_v=0.5"]
    state = chip_of(load_target("reram_128x128", overrides).device)
    with pytest.raises(OptionError, match="Ohm's law"):
        physics.read(torch.ones(1, 2, 6), physics.effective(state), state, generator())
