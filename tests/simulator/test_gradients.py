"""Gradients through chips: equal to finite differences where nothing rounds, straight-through where it does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from pinat_compile.compiler.build import compile as compile_network
from pinat_compile.graph import TensorType
from pinat_compile.graph.ops.linear import Conv
from pinat_compile.hardware.loader import load_target
from pinat_compile.hardware.schema import Target
from pinat_compile.simulator.module import Simulator
from pinat_compile.simulator.operators import linear
from tests.simulator.layers import Layer, layer, window
from tests.zoo import NETWORKS, inputs_for

SMOOTH = (
    "weights.bits=none", "cell.bits=none", "dac.bits=none", "adc.bits=none", "adc.range=full", "mapping.clip=none",
    "programming.coefficients=[[0.7], [0.7], [0.7]]", "stuck=none",
)
"""Nothing rounds or clips; a programming error that does not depend on the state, mismatch, read noise, column gain."""


def smooth_target() -> Target:
    return load_target("reram_128x128", [*SMOOTH, "array.rows=5", "array.cols=6", "mismatch.sigma=0.2",
                                         "read_noise.sigma_fraction=0.05", "column.gain_sigma=0.1"])


def make(kind: str, target: Target | Sequence[str]) -> tuple[Layer, Tensor]:
    rng = np.random.default_rng(4)
    if kind == "vectors":
        return layer(target, rng.uniform(-0.9, 0.9, (4, 11))), torch.from_numpy(rng.standard_normal((3, 2, 11)))
    op = window((2, 3), strides=(2, 1), pads=(1, 0, 0, 1), dilations=(1, 1), group=2)
    weight = rng.uniform(-0.9, 0.9, (6, 3, 2, 3))
    return layer(target, weight, op=op, groups=2), torch.from_numpy(rng.standard_normal((3, 6, 4, 5)))


def trained(chip: Simulator) -> dict[str, torch.nn.Parameter]:
    parameters = chip.parameter_names()
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    return parameters


@pytest.mark.parametrize("kind", ["vectors", "windows"])
def test_noisy_gradients_equal_finite_differences(kind: str) -> None:
    example, x = make(kind, smooth_target())
    example.graph.types["x"] = TensorType("float64")
    chip = example.simulator(chip=3).double().train()
    parameters = trained(chip)
    x.requires_grad_(True)
    upstream = torch.from_numpy(np.random.default_rng(5).standard_normal(chip(x).shape))

    def loss() -> Tensor:
        chip.reset()  # the same read noise every time
        found = chip(x)
        assert isinstance(found, Tensor)
        return (found * upstream).sum()

    inputs = {"x": x, **{name: parameters[name] for name in ("w", "gain", "bias", "scale")}}
    gradients = dict(zip(inputs, torch.autograd.grad(loss(), list(inputs.values())), strict=True))
    ideal = example.simulator().double()
    assert not torch.allclose(chip(x), ideal(x), rtol=0.02), "else there is no noise"
    for name, value in inputs.items():
        direction = torch.from_numpy(np.random.default_rng(6).standard_normal(value.shape))
        with torch.no_grad():
            step = 1e-6
            value.add_(step * direction)
            above = loss()
            value.sub_(2 * step * direction)
            below = loss()
            value.add_(step * direction)
        slope = float((above - below) / (2 * step))
        assert float((gradients[name] * direction).sum()) == pytest.approx(slope, rel=1e-6, abs=1e-6), name


def test_the_expected_gradient_is_the_ideal_one() -> None:
    """Deviations whose mean is zero leave the mean gradient with respect to the input as it is."""
    target = load_target("reram_128x128", [*SMOOTH, "mismatch.model=gaussian", "mismatch.sigma=0.1",
                                           "programming.coefficients=[[0.5], [0.5], [0.5]]", "cell.g_min_us=10"])
    example, _ = make("vectors", target)
    upstream = torch.tensor([1.0, -2.0, 0.5, 1.5])
    x = torch.from_numpy(np.random.default_rng(7).standard_normal((1, 11)).astype(np.float32))

    def gradient(chip: int | None) -> Tensor:
        leaf = x.clone().requires_grad_(True)
        found = example.simulator(chip)(leaf)
        assert isinstance(found, Tensor)
        (slope,) = torch.autograd.grad((found * upstream).sum(), leaf)
        return slope

    ideal = gradient(None)
    chips = torch.stack([gradient(chip) for chip in range(400)])
    error = chips.std(dim=0) / len(chips) ** 0.5
    assert float(error.max()) > 0.0
    assert float(((chips.mean(dim=0) - ideal) / error).abs().max()) < 4.0


@pytest.mark.parametrize("kind", ["vectors", "windows"])
@pytest.mark.parametrize("encoding", [
    "differential", "bias", "bits", "slices", "offset", "two_sided", "digits", "charge", "groups",
])
def test_straight_through_equals_the_unrounded_layer(kind: str, encoding: str) -> None:
    """With ideal devices and no clipping, rounding and slicing pass gradients as if they were not there."""
    overrides = {
        "differential": ["weights.bits=8", "cell.bits=7", "dac.bits=8"],
        "slices": ["weights.bits=8", "cell.bits=3", "dac.bits=8"],
        "bias": ["weights.bits=8", "cell.bits=4", "dac.bits=8", "weights.scheme=bias", "weights.flip=true"],
        "bits": ["weights.bits=8", "cell.bits=4", "dac.bits=8", "weights.scheme=bias", "dac.encoding=bit_serial"],
        "offset": ["weights.bits=8", "cell.bits=4", "dac.bits=8", "weights.scheme=offset"],
        "two_sided": ["weights.bits=8", "cell.bits=7", "dac.bits=8", "weights.two_sided=true"],
        "digits": ["weights.bits=8", "cell.bits=7", "dac.bits=8", "dac.encoding=bit_serial", "dac.step_bits=3"],
        "charge": ["weights.bits=8", "cell.bits=7", "dac.bits=8", "dac.encoding=bit_serial", "dac.accumulation=analog"],
        "groups": ["weights.bits=8", "cell.bits=7", "dac.bits=8", "array.rows_on=2"],
    }[encoding]
    overrides += ["adc.bits=16", "array.rows=5", "array.cols=16"]
    rounded, x = make(kind, load_target("ideal_128x128", overrides))
    plain, _ = make(kind, ["array.rows=5", "array.cols=16"])
    x = x.float()
    results = []
    for example, scale in ((rounded, 1 / 127), (plain, 1.0)):
        chip = example.simulator().train()
        parameters = trained(chip)
        with torch.no_grad():
            parameters["scale"].fill_(scale)
            if "dac" in parameters:
                parameters["dac"].fill_(6.0)
            if "adc" in parameters:
                parameters["adc"].fill_(float(example.limits.largest_sum))
        leaf = x.clone().requires_grad_(True)
        found = chip(leaf)
        assert isinstance(found, Tensor)
        upstream = torch.from_numpy(np.random.default_rng(8).standard_normal(found.shape).astype(np.float32))
        torch.autograd.backward((found * upstream).sum())
        assert leaf.grad is not None and parameters["w"].grad is not None
        assert parameters["gain"].grad is not None and parameters["bias"].grad is not None
        results.append((leaf.grad, parameters["w"].grad, parameters["bias"].grad, parameters["gain"].grad))
    for index, (got, expected) in enumerate(zip(*results, strict=True)):
        # the weight's gradient is made of rounded inputs, the input's of rounded weights
        assert float((got - expected).abs().max() / expected.abs().max()) < 0.05, index


@pytest.mark.parametrize(("network", "name"), [
    ("residual", "reram_128x128"), ("lenet", "reram_128x128"), ("transformer", "reram_128x128"), ("residual", "isaac"),
])
def test_gradients_reach_everything_that_can_be_trained(network: str, name: str) -> None:
    model = NETWORKS[network]()
    compiled = compile_network(model, name)
    chip = compiled.simulator(chip=1_000_000).train()
    parameters = trained(chip)
    inputs = inputs_for(model, batch=4)
    found = chip(*(torch.from_numpy(x) for x in inputs.values()))
    assert isinstance(found, Tensor)
    torch.autograd.backward(found.square().sum())
    for matrix in compiled.graph.matrices.values():
        assert matrix.ranges is not None
        names = {"weight": matrix.weight, "scale": matrix.ranges.weight_scale, "dac": matrix.ranges.dac_range,
                 "adc": matrix.ranges.adc_range}
        for role, tensor in names.items():
            if tensor is None or (name == "isaac" and role == "adc"):
                continue  # ISAAC's converters lose nothing: their range plays no part
            gradient = parameters[tensor].grad
            assert gradient is not None and bool(gradient.isfinite().all()), (matrix.name, role)
            assert float(gradient.abs().max()) > 0, (matrix.name, role)
    for node in compiled.graph.nodes:
        if node.op.type_name() == "ArrayMvm":
            for tensor in node.inputs[1:]:
                gradient = parameters[tensor].grad
                assert gradient is not None and bool(gradient.isfinite().all()) and float(gradient.abs().max()) > 0


def test_clipped_weights_inputs_and_sums_have_no_gradient() -> None:
    target = load_target("ideal_128x128", ["weights.bits=4", "cell.bits=3", "dac.bits=4", "adc.bits=4"])
    weight = np.array([[3.0, 20.0]])
    example = layer(target, weight, adc_range=1000.0)
    chip = example.simulator().train()
    parameters = trained(chip)
    x = torch.tensor([[2.0, 3.0], [9.0, 1.0]], requires_grad=True)
    found = chip(x)
    assert isinstance(found, Tensor)
    torch.autograd.backward(found.sum())
    assert x.grad is not None and parameters["w"].grad is not None
    assert x.grad.tolist() == [[3.0, 7.0], [0.0, 7.0]], "an input of 9 is beyond code 7; a weight of 20 counts as 7"
    assert parameters["w"].grad.tolist() == [[2.0 + 7.0, 0.0]]
    narrow = layer(target, np.array([[3.0, 2.0]]), adc_range=14.0)
    x = torch.tensor([[2.0, 3.0], [7.0, 7.0]], requires_grad=True)
    found = narrow.simulator()(x)
    assert isinstance(found, Tensor) and found.flatten().tolist() == [12.0, 14.0]
    torch.autograd.backward(found.sum())
    assert x.grad is not None and x.grad.tolist() == [[3.0, 2.0], [0.0, 0.0]], "a sum of 35 is beyond 14"


def test_no_gradient_no_graph() -> None:
    example, x = make("vectors", smooth_target())
    found = example.simulator(chip=0)(x.float())
    assert isinstance(found, Tensor) and not found.requires_grad


def test_a_1_by_1_window_is_never_strided(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch 2.13 on a CPU corrupts memory in the gradient of a strided 1 x 1 kernel in channels-last (oneDNN, AVX2,
    channels that are no multiple of 8). Values and gradients are those of the strided convolution."""
    strides, convolve = [], torch.nn.functional.conv2d

    def watch(x: Tensor, w: Tensor, b: Tensor | None, stride: Sequence[int], *rest: object) -> Tensor:
        strides.append(tuple(stride))
        return convolve(x, w, b, stride, *rest)  # type: ignore[call-overload, no-any-return]

    rng = np.random.default_rng(0)
    weight, x = rng.uniform(-0.9, 0.9, (10, 6, 1, 1)), torch.from_numpy(rng.standard_normal((2, 6, 5, 7))).float()
    made = layer(load_target("ideal_128x128"), weight, op=window((1, 1), strides=(2, 3)))
    kernel = torch.from_numpy(weight).float()
    results = []
    for run in ("arrays", "digital", "torch"):
        w, leaf = kernel.clone().requires_grad_(), x.clone(memory_format=torch.channels_last).requires_grad_()
        if run == "torch":
            y = convolve(leaf.contiguous(), w, None, (2, 3))
        else:
            with monkeypatch.context() as patch:
                patch.setattr(torch.nn.functional, "conv2d", watch)
                patch.setitem(linear._CONVOLUTIONS, 2, watch)
                if run == "digital":
                    y = linear.convolve(leaf, w, None, Conv(strides=(2, 3)))
                else:
                    simulator = made.simulator().train()
                    w = trained(simulator)["w"]
                    y = simulator(leaf)
        torch.autograd.backward(y.square().sum())
        results.append((y.detach(), leaf.grad, w.grad))
    for found in zip(*results, strict=True):
        torch.testing.assert_close(found[0], found[2])
        torch.testing.assert_close(found[1], found[2])
    assert strides == [(1, 1), (1, 1)]
