"""L_physics: every part against its definition, the analytic noise power against Monte Carlo, gradients that help."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from pinat_compile.compiler.build import compile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.physics import crossbar
from pinat_compile.physics.randomness import Key
from pinat_compile.simulator.module import Simulator
from pinat_compile.training.finetune import finetune
from pinat_compile.training.physics import PhysicsLoss
from pinat_compile.training.settings import PARTS, Settings
from tests.zoo import Builder, inputs_for


def network(*overrides: str, target: str = "reram_128x128") -> tuple[Compiled, dict[str, Any]]:
    """A Gemm of 30 inputs and 8 outputs."""
    builder = Builder("one")
    model = builder.model(builder.linear(builder.input("x", ["batch", 30]), "fc", 30, 8))
    inputs = inputs_for(model, batch=64)
    return compile(model, target, calibration=inputs, overrides=overrides), inputs


def loss_of(compiled: Compiled, **given: Any) -> tuple[PhysicsLoss, Simulator]:
    module = compiled.simulator(chip=1_000_000).train()
    weight = module.parameter_names()[compiled.graph.matrices["fc"].weight]
    weight.requires_grad_(True)
    return PhysicsLoss.of(compiled, module, Settings.of("pinat", **given)), module


def normalised(compiled: Compiled) -> np.ndarray[Any, Any]:
    """u [outputs, inputs]."""
    matrix = compiled.graph.matrices["fc"]
    assert matrix.ranges is not None and matrix.cells is not None
    tensors = compiled.graph.tensors
    found: np.ndarray[Any, Any] = tensors[matrix.weight] / (
        tensors[matrix.ranges.weight_scale][:, None] * matrix.cells.weight_max
    )
    return found


def test_the_parts_are_what_they_are_defined_to_be() -> None:
    compiled, _ = network("mapping.clip=rms", "mapping.clip_rms=1.5")
    loss, _ = loss_of(compiled, log_mean=-1.0, log_std=0.5)
    found = {name: float(value.detach()) for name, value in loss.parts().items()}
    assert set(found) == set(PARTS)
    u = normalised(compiled)
    size = np.abs(u)
    assert found["range"] == pytest.approx(np.maximum(0, size - 1).mean(), rel=1e-5) and found["range"] > 0
    assert found["dead_band"] == pytest.approx(np.maximum(0, np.minimum(size, 1 / 40 - size)).mean(), rel=1e-4)
    logs = np.log(size[size > 0.5 / 15])
    expected = (logs.mean() + 1.0) ** 2 + (logs.std(ddof=1) - 0.5) ** 2
    assert found["distribution"] == pytest.approx(expected, rel=1e-4)
    balance = ((u.sum(axis=1) / size.sum(axis=1)) ** 2).mean()
    assert found["balance"] == pytest.approx(balance, rel=1e-4)
    vectors = loss.codes["fc"].numpy()  # [vectors, 30]
    levels = np.rint(np.clip(u, -1, 1) * 15)
    assert compiled.graph.matrices["fc"].ranges is not None
    full = compiled.graph.tensors[compiled.graph.matrices["fc"].ranges.adc_range or ""].reshape(())
    over = np.maximum(0, np.abs(vectors @ levels.T) / full - 0.95)
    assert found["saturation"] == pytest.approx((over**2).mean(), rel=1e-4) and found["saturation"] > 0
    power = (vectors**2).mean(axis=0)
    conductance = 2 * 1.0 + np.abs(levels) / 15 * 39.0  # both devices of a pair, in µS
    energy = (conductance @ power).sum() / (40.0 * power.sum() * 8 * 2)
    assert found["energy"] == pytest.approx(energy, rel=1e-4)


@pytest.mark.parametrize("target", ["reram_128x128", "pcm_256x256"])
def test_the_analytic_noise_power_is_that_of_many_chips(target: str) -> None:
    """sum sigma² E[x²] / sum E[(Wx)²] against devices drawn for 300 chips, read noise and converters left out."""
    compiled, _ = network("mapping.clip=none", target=target)
    loss, module = loss_of(compiled)
    analytic = float(loss.parts(["noise_power"])["noise_power"].detach())
    arrays = module.arrays("fc")
    x = loss.codes["fc"]
    steps = arrays.steps(module.value).detach()
    errors = []
    for chip in range(300):
        state = crossbar.program(steps, arrays.cells, compiled.target.device, arrays.tiling, Key(("mc", chip)))
        ideal = replace(state, chip=None)
        error = crossbar.effective(state) - crossbar.effective(ideal)  # [1, 1, slice, rows, cols]
        weights = torch.tensor(arrays.cells.slice_weights, dtype=error.dtype).view(1, 1, -1, 1, 1)
        errors.append((x @ (error * weights).sum(dim=2)[0, 0]).square().mean(dim=0).sum())
    measured = float(torch.stack(errors).mean() / (x @ steps[0]).square().mean(dim=0).sum())
    assert analytic == pytest.approx(measured, rel=0.06)


@pytest.mark.parametrize("part", ["range", "dead_band", "noise_power", "balance", "energy", "saturation"])
def test_following_a_gradient_lowers_its_part(part: str) -> None:
    """Not the distribution's: its active cells change from step to step."""
    compiled, _ = network("mapping.clip=rms", "mapping.clip_rms=1.5")
    loss, module = loss_of(compiled)
    weight = module.parameter_names()[compiled.graph.matrices["fc"].weight]
    before = loss.parts([part])[part]
    [slope] = torch.autograd.grad(before, weight)
    assert bool(slope.isfinite().all()) and float(slope.abs().max()) > 0
    with torch.no_grad():
        weight.sub_(0.005 * weight.abs().mean() * slope / slope.abs().mean())
    assert float(loss.parts([part])[part].detach()) < float(before.detach())


@pytest.mark.parametrize("part", ["range", "distribution", "noise_power", "balance"])
def test_gradients_equal_finite_differences(part: str) -> None:
    compiled, _ = network("mapping.clip=rms", "mapping.clip_rms=1.5")
    loss, module = loss_of(compiled)
    module.double()
    loss = PhysicsLoss(module, loss.settings, {name: x.double() for name, x in loss.codes.items()})
    weight = module.parameter_names()[compiled.graph.matrices["fc"].weight]
    [slope] = torch.autograd.grad(loss.parts([part])[part], weight)
    direction = torch.from_numpy(np.random.default_rng(0).standard_normal(weight.shape))
    with torch.no_grad():
        weight.add_(1e-7 * direction)
        above = float(loss.parts([part])[part])
        weight.sub_(2e-7 * direction)
        below = float(loss.parts([part])[part])
    assert float((slope * direction).sum()) == pytest.approx((above - below) / 2e-7, rel=1e-4, abs=1e-11)


def test_parts_weigh_in_training_and_are_reported() -> None:
    compiled, inputs = network()
    data = {**inputs, "y": np.arange(64) % 8}
    given: dict[str, Any] = {"epochs": 1, "batch_size": 16, "validation_chips": 1, "seed": 1}
    plain = finetune(compiled, data, **given)
    energy = finetune(compiled, data, **given, lambda_energy=100.0, lambda_divergence=0.5)
    found: list[Any] = []
    for tuned in (plain, energy):
        assert tuned.options.training is not None
        found.append(tuned.options.training["history"])
    assert set(found[0][0]["physics"]) == set(PARTS)
    assert found[1][-1]["physics"]["energy"] < found[0][-1]["physics"]["energy"]
    assert found[1][-1]["loss"] > found[0][-1]["loss"]
