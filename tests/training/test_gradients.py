"""Gradients of every kind of noise, against finite differences with the noise held, and against closed forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pinat_compile.graph import TensorType
from pinat_compile.hardware.loader import load_target
from pinat_compile.hardware.schema import Target
from pinat_compile.simulator.conditions import TRAINING_CHIPS
from pinat_compile.simulator.module import Simulator
from pinat_compile.training.methods import virtual_chips
from pinat_compile.training.settings import Settings
from tests.simulator.layers import Layer, layer, window

SMOOTH = ("weights.bits=none", "cell.bits=none", "dac.bits=none", "adc.bits=none", "adc.range=full",
          "mapping.clip=none", "stuck=none", "array.rows=5", "array.cols=6")
"""Nothing rounds, nothing clips."""


def example(kind: str, target: Target) -> tuple[Layer, Tensor]:
    rng = np.random.default_rng(4)
    if kind == "vectors":
        made, x = layer(target, rng.uniform(-0.9, 0.9, (4, 11))), rng.standard_normal((6, 11))
    else:
        op = window((2, 3), strides=(2, 1), pads=(1, 0, 0, 1), dilations=(1, 1), group=2)
        made = layer(target, rng.uniform(-0.9, 0.9, (6, 3, 2, 3)), op=op, groups=2)
        x = rng.standard_normal((4, 6, 4, 5))
    made.graph.types["x"] = TensorType("float64")
    return made, torch.from_numpy(x)


def module_of(made: Layer) -> Simulator:
    """The layer in float64, in training mode, everything learning."""
    module = made.simulator(chip=TRAINING_CHIPS).double().train()
    for parameter in module.parameter_names().values():
        parameter.requires_grad_(True)
    return module


def slopes(loss: Callable[[], Tensor], inputs: dict[str, Tensor]) -> dict[str, tuple[float, float]]:
    """The gradient along a random direction, and the finite difference, by name."""
    gradients = dict(zip(inputs, torch.autograd.grad(loss(), list(inputs.values())), strict=True))
    found = {}
    for name, value in inputs.items():
        direction = torch.from_numpy(np.random.default_rng(6).standard_normal(value.shape))
        with torch.no_grad():
            value += 1e-6 * direction
            above = float(loss())
            value -= 2e-6 * direction
            below = float(loss())
            value += 1e-6 * direction
        found[name] = (float((gradients[name] * direction).sum()), (above - below) / 2e-6)
    return found


@pytest.mark.parametrize("kind", ["vectors", "windows"])
@pytest.mark.parametrize(("method", "given"), [
    ("pinat", {"chips_per_batch": 1, "sigma_gradient": True}),
    ("nt", {}),
    ("vant", {}),
    ("qat", {}),
    ("fp32", {}),
])
def test_every_noisy_layer_has_the_gradient_of_its_frozen_noise(kind: str, method: str, given: dict[str, Any]) -> None:
    """With ``sigma_gradient`` also where the programming error depends on the conductance (a polynomial of it)."""
    made, x = example(kind, load_target("reram_128x128", SMOOTH))
    module, settings = module_of(made), Settings.of(method, seed=3, **given)
    x.requires_grad_(True)
    shape = module(x).shape
    upstream = torch.from_numpy(np.random.default_rng(5).standard_normal(shape))

    def loss() -> Tensor:
        [chip] = virtual_chips(module, settings, 0, [len(x)])  # the same draws every time
        found = chip(x)
        assert isinstance(found, Tensor)
        return (found * upstream).sum()

    parameters = module.parameter_names()
    names = ("w", "gain", "bias") if method == "fp32" else ("w", "gain", "bias", "scale")
    if method in ("nt", "vant"):
        names = ("w", "gain", "bias")  # w_ref is held: noise is a constant to the gradient
    for name, (gradient, difference) in slopes(loss, {"x": x, **{n: parameters[n] for n in names}}).items():
        assert gradient == pytest.approx(difference, rel=1e-5, abs=1e-6), name


def test_without_sigma_gradient_the_noise_is_a_constant_to_the_gradient() -> None:
    """The two differ where sigma depends on the state, by the derivative of the deviations alone."""
    target = load_target("reram_128x128", [*SMOOTH, "mismatch=none", "column=none", "cell.g_min_us=15"])
    made, x = example("vectors", target)
    module = module_of(made)
    found = []
    for sigma_gradient in (False, True):
        settings = Settings.of("pinat", chips_per_batch=1, sigma_gradient=sigma_gradient, seed=3)
        [chip] = virtual_chips(module, settings, 0, [len(x)])
        chip.noise = None  # reads are the same for both anyhow
        found.append(torch.autograd.grad(torch.as_tensor(chip(x)).sum(), module.parameter_names()["w"])[0])
    held, through = found
    assert not torch.allclose(held, through, rtol=1e-3)
    positive = x.sum(dim=0).expand_as(held)  # d sum(W x) / dW
    assert torch.allclose(held, positive, rtol=1e-9)


def test_the_mean_gradient_of_a_linear_layer_is_the_ideal_one() -> None:
    """Noise of mean zero, pooled over chips of a training: gradients with respect to inputs and weights."""
    target = load_target("reram_128x128", [*SMOOTH, "mismatch.model=gaussian", "mismatch.sigma=0.1", "cell.g_min_us=10",
                                           "programming.coefficients=[[0.5], [0.5], [0.5]]", "column=none"])
    made, x = example("vectors", target)
    module, upstream = module_of(made), torch.tensor([1.0, -2.0, 0.5, 1.5], dtype=torch.float64)
    x = x[:1].requires_grad_(True)
    weight = module.parameter_names()["w"]

    def gradients(settings: Settings, step: int) -> list[Tensor]:
        [chip] = virtual_chips(module, settings, step, [1])
        return list(torch.autograd.grad((torch.as_tensor(chip(x)) * upstream).sum(), [x, weight]))

    expected = [(upstream @ weight).detach()[None], upstream[:, None] * x.detach()]
    for method in ("pinat", "nt", "vant"):
        settings = Settings.of(method, chips_per_batch=1, severity=0.5)
        drawn = [torch.stack(parts) for parts in zip(*(gradients(settings, n) for n in range(400)), strict=True)]
        for found, ideal in zip(drawn, expected, strict=True):
            error = found.std(dim=0) / len(found) ** 0.5 + 1e-9
            assert float(((found.mean(dim=0) - ideal) / error).abs().max()) < 4.5, method
        assert float(drawn[0].std(dim=0).max()) > 0.0


@pytest.mark.parametrize("method", ["pinat", "qat", "nt"])
def test_straight_through_inside_the_clips_and_nothing_outside(method: str) -> None:
    """Weights, inputs and sums beyond their ranges have no gradient; the others that of the unrounded layer."""
    target = load_target("ideal_128x128", ["weights.bits=4", "cell.bits=3", "dac.bits=4", "adc.bits=4"])
    made = layer(target, np.array([[3.0, 20.0]]), adc_range=1000.0)
    module = made.simulator(chip=TRAINING_CHIPS).train()
    weight = module.parameter_names()["w"].requires_grad_(True)
    settings = Settings.of(method, chips_per_batch=1, eta=0.0)
    x = torch.tensor([[2.0, 3.0], [9.0, 1.0]], requires_grad=True)
    [chip] = virtual_chips(module, settings, 0, [2])
    torch.autograd.backward(torch.as_tensor(chip(x)).sum())
    assert x.grad is not None and x.grad.tolist() == [[3.0, 7.0], [0.0, 7.0]]
    assert weight.grad is not None and weight.grad.tolist() == [[9.0, 0.0]]
    narrow = layer(target, np.array([[3.0, 2.0]]), adc_range=14.0).simulator(chip=TRAINING_CHIPS).train()
    x = torch.tensor([[2.0, 3.0], [7.0, 7.0]], requires_grad=True)
    [chip] = virtual_chips(narrow, settings, 0, [2])
    torch.autograd.backward(torch.as_tensor(chip(x)).sum())
    assert x.grad is not None and x.grad.tolist() == [[3.0, 2.0], [0.0, 0.0]]


def test_severity_zero_is_the_ideal_network() -> None:
    made, x = example("vectors", load_target("reram_128x128", SMOOTH))
    module = module_of(made)
    for method in ("pinat", "nt", "vant"):
        settings = Settings.of(method, severity=0.0, chips_per_batch=1)
        [chip] = virtual_chips(module, settings, 0, [len(x)])
        ideal = module.view(replace(module.conditions, chip=None))
        assert torch.allclose(torch.as_tensor(chip(x)), torch.as_tensor(ideal(x)), atol=1e-12), method
