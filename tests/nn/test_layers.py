"""Layers by hand: plain and exportable in evaluation, on chips in training, recognised once they are compiled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pinat_compile import nn as pn
from pinat_compile.compiler.build import compile
from pinat_compile.errors import OptionError
from pinat_compile.training.residual import residual_layers

EXACT = "ideal_128x128"


def images(batch: int = 4) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).standard_normal((batch, 6, 8, 8)).astype(np.float32))


@pytest.mark.parametrize(("layer", "x"), [
    (pn.AnalogLinear(12, 5, target=EXACT), torch.linspace(-1, 1, 48).reshape(2, 2, 12)),
    (pn.AnalogConv2d(6, 4, 3, stride=2, padding=1, groups=2, target=EXACT), images()),
    (pn.AnalogConv2d(6, 4, (1, 3), dilation=2, bias=False, target=EXACT), images()),
], ids=["linear", "grouped", "dilated"])
def test_on_ideal_arrays_training_is_the_plain_layer(layer: nn.Module, x: torch.Tensor) -> None:
    found = layer.train()(x)
    assert torch.allclose(found, layer.eval()(x), atol=1e-5)
    upstream = torch.randn(found.shape, generator=torch.Generator().manual_seed(0))
    slopes = []
    for mode in (True, False):
        layer.train(mode).zero_grad()
        torch.autograd.backward((layer(x) * upstream).sum())
        slopes.append([parameter.grad.clone() for parameter in layer.parameters() if parameter.grad is not None])
    assert len(slopes[0]) == len(list(layer.parameters()))
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(*slopes, strict=True))


def test_every_training_call_meets_another_chip() -> None:
    x = images()
    layer = pn.AnalogConv2d(6, 4, 3).train()
    first, second = layer(x), layer(x)
    assert not torch.equal(first, second)
    again = pn.AnalogConv2d(6, 4, 3)
    again.load_state_dict(layer.state_dict())
    assert torch.equal(again.train()(x), first), "the same seed, the same chips"
    exact = layer.eval()(x)
    errors = []
    for severity in (0.0, 1.0, 3.0):
        noisy = pn.AnalogConv2d(6, 4, 3, severity=severity)
        noisy.load_state_dict(layer.state_dict())
        errors.append(float((noisy.train()(x) - exact).square().mean().detach()))
    assert errors[0] < errors[1] < errors[2]


def test_parameters_are_those_of_torch_and_learn() -> None:
    layer = pn.AnalogLinear(12, 5)
    assert {name for name, _ in layer.named_parameters()} == {"weight", "bias"}
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.05)
    x = torch.linspace(-1, 1, 240).reshape(20, 12)
    wanted = x[:, :5]
    losses = []
    for _ in range(60):
        loss = (layer.train()(x) - wanted).square().mean()
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:5])
    layer.plan(x)


@pytest.mark.parametrize("combine", ["add", "concat"])
def test_residual_layers_are_recognised_once_compiled(combine: str, tmp_path: Path) -> None:
    body = nn.Sequential(pn.AnalogConv2d(6, 6, 3, padding=1), nn.ReLU(), pn.AnalogConv2d(6, 6, 3, padding=1))
    layer = pn.StochasticResidual(body, combine=combine, activation=nn.ReLU())  # type: ignore[arg-type]
    x = images()
    assert layer.train()(x).shape == (4, 6 if combine == "add" else 12, 8, 8)
    compiled = compile(layer.eval(), "reram_128x128", example_inputs=(x,), calibration=x)
    [found] = residual_layers(compiled.graph)
    assert found.combine == combine and len(found.noisy) == 2 and not found.skip
    exact = next(iter(compiled.reference.run({compiled.source.inputs[0]: x.numpy()}).values()))
    assert np.allclose(exact, layer(x).numpy(force=True), atol=1e-4)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(OptionError, match="combine = 'multiply'"):
        pn.StochasticResidual(nn.Identity(), combine="multiply")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="padding = 'same'"):
        pn.AnalogConv2d(3, 3, 3, padding="same")
    with pytest.raises(OptionError, match="severity = -1"):
        pn.AnalogLinear(3, 3, severity=-1.0)
