"""Layers that stand on arrays several times: the same network, less noise, more energy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import pinat_compile as pc
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.errors import OptionError
from tests.cli.conftest import small_network
from tests.execution import relative_error

X = np.random.default_rng(0).random((40, 1, 28, 28), np.float32)


def compiled_with(copies: int, target: str = "reram_128x128", *overrides: str) -> Compiled:
    repeat = {name: copies for name in ("conv1", "conv2", "fc")} if copies > 1 else {}
    return pc.compile(small_network(), target, calibration=X, repeat=repeat, overrides=overrides)


def test_on_ideal_arrays_nothing_changes() -> None:
    compiled = compiled_with(3, "ideal_128x128")
    expected = next(iter(compiled.reference.run({"x": X}).values()))
    with torch.no_grad():
        found = compiled.simulator(noise=False)(torch.from_numpy(X))
    assert relative_error(found.numpy(), expected) < 1e-5


def test_four_copies_have_a_quarter_of_the_variance() -> None:
    """Devices deviate independently; nothing but their programming and read noise is on, and no stuck cell's long tail.

    The variance over chips: devices near g_min cannot deviate downwards, which gives all copies the same mean error.
    """
    exact = (
        "adc.bits=none", "adc.range=full", "dac.bits=none", "column.gain_sigma=0", "column.offset_sigma=0",
        "stuck.at_g_min=0", "stuck.at_g_max=0",
    )
    powers = []
    for copies in (1, 4):
        compiled = compiled_with(copies, "reram_128x128", *exact)
        with torch.no_grad():
            outputs = [compiled.simulator(chip=n, severity=0.1)(torch.from_numpy(X[:8])) for n in range(60)]
        powers.append(float(torch.stack(outputs).var(dim=0).mean()))
    assert powers[1] / powers[0] == pytest.approx(0.25, rel=0.3)


def test_copies_cost_their_energy_and_are_trained_as_one(tmp_path: Path) -> None:
    one, two = compiled_with(1), compiled_with(2)
    energies = [pc.estimate(each).total.energy_total or 0.0 for each in (one, two)]
    ratio = energies[1] / energies[0]
    assert 1.5 < ratio < 2.5
    y = np.random.default_rng(1).integers(0, 10, len(X))
    tuned = pc.finetune(two, (X, y), method="pinat", epochs=1, batch_size=9, validation_chips=1, validation_samples=4)
    assert set(tuned.trained) == {
        name for name in pc.finetune(
            one, (X, y), method="pinat", epochs=1, batch_size=9, validation_chips=1, validation_samples=4
        ).trained
    }
    tuned.save(tmp_path / "two")
    again = pc.load(tmp_path / "two")
    assert again.options.repeat == {"conv1": 2, "conv2": 2, "fc": 2}
    with torch.no_grad():
        ours, theirs = (each.simulator(chip=3)(torch.from_numpy(X)) for each in (tuned, again))
    assert torch.equal(ours, theirs)


def test_redundancy_stays_within_its_energy() -> None:
    y = np.random.default_rng(1).integers(0, 10, len(X))
    found = pc.add_redundancy(compiled_with(1), (X, y), energy=1.6, chips=2, severity=2.0)
    before, after = found.energy_j
    assert before < after <= 1.6 * before or found.compiled.options.repeat == {}
    repeated = {layer.name: layer.copies for layer in found.layers if layer.copies > 1}
    assert repeated == found.compiled.options.repeat
    assert all(layer.drop > 0 for layer in found.layers if layer.copies > 1)
    assert after == pytest.approx(before + sum(layer.added_j for layer in found.layers if layer.copies > 1), rel=0.02)
    with pytest.raises(OptionError, match="redundancy: energy = 0.5"):
        pc.add_redundancy(compiled_with(1), (X, y), energy=0.5)
