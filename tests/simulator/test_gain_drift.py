"""Column gains that have drifted since calibration: a factor of the chip, one of each column, on any target."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pinat_compile.compiler.build import compile
from pinat_compile.errors import OptionError
from pinat_compile.hardware.loader import load_target
from pinat_compile.simulator.conditions import GainDrift
from tests.simulator.layers import layer
from tests.zoo import NETWORKS

IDEAL = load_target("ideal_128x128")
WEIGHT = np.random.default_rng(0).standard_normal((64, 8)).astype(np.float32)
DRIFT = GainDrift()


def factors(chip: int, drift: GainDrift | None = DRIFT, severity: float = 1.0) -> Tensor:
    """By how much each column of an otherwise ideal chip is off: [outputs]."""
    example = layer(IDEAL, WEIGHT)
    simulator = example.simulator(chip, gain_drift=drift, severity=severity)
    x = torch.rand(1, 8, generator=torch.Generator().manual_seed(1)) + 0.5
    with torch.no_grad():
        found, exact = simulator(x), example.simulator(None)(x)
    factor: Tensor = (found / exact)[0]
    return factor


def test_common_and_own_parts() -> None:
    """The common factor is uniform within 10 %, the others 3 % Gaussian around it."""
    common = torch.stack([factors(chip, GainDrift(per_column=0.0)) for chip in range(300)]) - 1.0  # [chips, outputs]
    assert float((common - common[:, :1]).abs().max()) < 1e-5
    means = common[:, 0]
    assert float(means.abs().max()) <= 0.1 + 1e-5
    assert float(means.mean()) == pytest.approx(0.0, abs=0.012)
    assert float(means.std()) == pytest.approx(0.1 / 3**0.5, rel=0.1)
    own = torch.stack([factors(chip, GainDrift(common=0.0)) for chip in range(300)]) - 1.0
    assert float(own.mean()) == pytest.approx(0.0, abs=0.001)
    assert float(own.std()) == pytest.approx(0.03, rel=0.03)
    assert torch.allclose(factors(3), (1.0 + common[3]) * (1.0 + own[3]), rtol=1e-4)


def test_severity_scales_the_same_draws() -> None:
    once, twice = (factors(7, GainDrift(common=0.0), severity) - 1.0 for severity in (1.0, 2.0))
    assert torch.allclose(twice, 2.0 * once, atol=1e-4)
    assert torch.allclose(factors(7, severity=0.0), torch.ones(64), atol=1e-5)
    assert float(factors(7, GainDrift(common=1.0, per_column=1.0), 50.0).min()) >= 0.0, "no gain turns its sign"


def test_all_layers_of_a_chip_share_the_common_part() -> None:
    chip = compile(NETWORKS["residual"](), "ideal_128x128").simulator(chip=5)
    for drift, shared in ((GainDrift(per_column=0.0), True), (GainDrift(common=0.0), False)):
        found = [chip.at(gain_drift=drift).programmed(name).to_codes for name in chip.graph.matrices]
        first = [float(gains.flatten()[0]) for gains in found if gains is not None]
        assert len(first) == len(chip.graph.matrices) > 2
        assert (max(first) - min(first) < 1e-6) == shared


def test_it_multiplies_the_sensing_errors_that_a_target_has() -> None:
    target = load_target("reram_128x128", {"column.gain_sigma": 0.05})
    example = layer(target, WEIGHT, dac_range=1.0, adc_range=100.0)
    plain, drifted = (example.simulator(2, gain_drift=drift).programmed("m") for drift in (None, DRIFT))
    assert plain.to_codes is not None and drifted.to_codes is not None
    ratio = (drifted.to_codes / plain.to_codes).flatten()
    assert 0.01 < float(ratio.std()) < 0.06
    assert torch.equal(plain.weights, drifted.weights)


def test_at_and_the_ideal_execution() -> None:
    example = layer(IDEAL, WEIGHT)
    x = torch.rand(2, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        chip = example.simulator(1)
        assert torch.equal(chip.at(gain_drift=DRIFT)(x), example.simulator(1, gain_drift=DRIFT)(x))
        assert not torch.equal(chip.at(gain_drift=DRIFT)(x), chip(x))
        assert torch.equal(example.simulator(None, gain_drift=DRIFT)(x), example.simulator(None)(x))


def test_impossible_drift() -> None:
    with pytest.raises(OptionError, match="gain drift: common = 1.5"):
        GainDrift(common=1.5)
