"""Reads in few passes give what the definition gives, array by array: the same numbers for the same draws.

A sum next to the border between two codes may fall on either side of it: one such conversion in a thousand is let pass.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.hardware.loader import load_target
from pinat_compile.simulator import tiles
from pinat_compile.simulator.arrays import ArrayMatrix
from pinat_compile.simulator.module import Simulator
from tests.simulator.layers import Layer, layer, window

TILED = ("array.rows=20", "array.cols=24", "adc.bits=6")
SMALL = (*TILED, "dac.bits=6", "read_noise.sigma_fraction=0.02")
TARGETS = {
    "noise that does not depend on the state": ("reram_128x128", SMALL),
    "noise of the state": ("pcm_256x256", TILED),
    "noise of the ADC too": ("reram_128x128", (*SMALL, "adc.noise_lsb=0.5")),
    "noise of the state and of the ADC": ("pcm_256x256", (*TILED, "adc.noise_lsb=0.5")),
    "slices": ("reram_128x128", (*SMALL, "weights.bits=9")),
    "eight bits": ("reram_128x128", (*SMALL, "adc.bits=8")),
    "sixteen bits": ("reram_128x128", (*SMALL, "adc.bits=16")),
    "bits one by one": ("reram_128x128", (*SMALL, "dac.encoding=bit_serial")),
    "rows in groups": ("reram_128x128", (*SMALL, "array.rows_on=8")),
    "no read noise": ("reram_128x128", (*SMALL[:4], "read_noise=none")),
    "shot and thermal noise": (
        "reram_128x128", (*SMALL, "circuit_noise.bandwidth_hz=1e10", "circuit_noise.full_scale_v=0.05")
    ),
    "a reference column": ("reram_128x128", (*SMALL, "weights.scheme=offset", "weights.bits=4")),
}


def vectors(target: str) -> tuple[Layer, Tensor]:
    return made(target, (9, 45), None, (7, 3, 45))


def images(target: str) -> tuple[Layer, Tensor]:
    """Row tiles end inside a channel."""
    return made(target, (6, 5, 3, 3), window((3, 3), strides=(1, 2), pads=(1, 1, 1, 1)), (4, 5, 16, 18))


def small_images(target: str) -> tuple[Layer, Tensor]:
    return made(target, (6, 7, 3, 2), window((3, 2), strides=(2, 1), pads=(1, 0, 0, 1), dilations=(1, 2)), (5, 7, 6, 6))


def grouped(target: str) -> tuple[Layer, Tensor]:
    return made(target, (12, 14, 3, 3), window((3, 3), pads=(1, 1, 1, 1), group=2), (3, 28, 10, 9))


def sequences(target: str) -> tuple[Layer, Tensor]:
    return made(target, (8, 6, 5), window((5,), pads=(2, 2)), (3, 6, 90))


def few_steps(target: str) -> tuple[Layer, Tensor]:
    return made(target, (8, 6, 5), window((5,), strides=(3,), pads=(2, 2)), (3, 6, 40))


def pixels(target: str) -> tuple[Layer, Tensor]:
    return made(target, (8, 30, 1, 1), window((1, 1), strides=(2, 2)), (2, 30, 19, 18))


def one_channel(target: str) -> tuple[Layer, Tensor]:
    return made(target, (8, 1, 3, 3), window((3, 3)), (2, 1, 14, 15))


SHAPES = [vectors, images, small_images, grouped, sequences, few_steps, pixels, one_channel]


def made(target: str, weight: tuple[int, ...], op: ArrayMvm | None, x: tuple[int, ...]) -> tuple[Layer, Tensor]:
    name, settings = TARGETS[target]
    rng = np.random.default_rng(3)
    chosen = load_target(name, settings)
    groups = 1 if op is None else op.group
    top = 1.0 if chosen.weights.bits is None else 7.0
    steps = rng.uniform(-top, top, weight)
    example = layer(chosen, steps, op=op, groups=groups, dac_range=2.0, adc_range=700.0 * top / 7.0)
    example.graph.tensors["gain"] = rng.uniform(0.5, 2.0, weight[0]).astype(np.float32)
    example.graph.tensors["bias"] = rng.uniform(-1.0, 1.0, weight[0]).astype(np.float32)
    return example, torch.from_numpy(rng.standard_normal(x).astype(np.float32))


def chip_of(example: Layer) -> Simulator:
    return example.simulator(3, time_s=1000.0)


def by_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ArrayMatrix, "_streamlined", lambda *_: None)


def found_and_gradients(example: Layer, x: Tensor) -> dict[str, Tensor]:
    chip = chip_of(example).train()
    parameters = chip.parameter_names()
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    x = x.clone().requires_grad_(True)
    y = chip(x)
    assert isinstance(y, Tensor)
    upstream = torch.from_numpy(np.random.default_rng(4).standard_normal(tuple(y.shape)).astype(np.float32))
    torch.autograd.backward(y, upstream)
    found = {"y": y.detach()}
    for name, value in {"x": x, **parameters}.items():
        if value.grad is not None:
            found[name] = value.grad
    return found


def close(a: Tensor, b: Tensor, tolerance: float = 2e-5) -> bool:
    return bool((a - b).abs().max() <= tolerance * b.abs().max())


def same_codes(a: Tensor, b: Tensor) -> bool:
    """Whether outputs agree but for rounding of sums, and for one conversion in a thousand."""
    other = (a - b).abs() > 2e-5 * b.abs().max()
    return a.shape == b.shape and int(other.sum()) <= max(1, a.numel() // 1000)


def covered(example: Layer, x: Tensor) -> bool:
    """Whether the layer is read in few passes at all: else comparing says nothing."""
    arrays = example.arrays
    chip = chip_of(example)
    held = chip.programmed("m")
    with torch.no_grad():
        return arrays._streamlined(example.vectors(x), held, 1) is not None


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_outputs_equal_those_of_the_definition(
    target: str, shape: Callable[[str], tuple[Layer, Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    example, x = shape(target)
    assert covered(example, x) == (target != "a reference column")
    with torch.no_grad():
        fast = chip_of(example)(x)
        by_definition(monkeypatch)
        plain = chip_of(example)(x)
    assert isinstance(fast, Tensor) and isinstance(plain, Tensor)
    assert same_codes(fast, plain)


@pytest.mark.parametrize("target", [name for name in TARGETS if name != "eight bits"])
@pytest.mark.parametrize("shape", [vectors, images, small_images, grouped, sequences], ids=lambda shape: shape.__name__)
def test_gradients_equal_those_of_the_definition(
    target: str, shape: Callable[[str], tuple[Layer, Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    example, x = shape(target)
    fast = found_and_gradients(example, x)
    by_definition(monkeypatch)
    plain = found_and_gradients(example, x)
    assert fast.keys() == plain.keys() and {"w", "adc", "dac", "gain", "bias"} <= fast.keys()
    outputs = fast.pop("y"), plain.pop("y")
    assert same_codes(*outputs)
    tolerance = 1e-4 if close(*outputs, 1e-6) else 5e-3  # a conversion on the other side of a border moves gradients
    for name, value in plain.items():
        assert close(fast[name], value, tolerance), name


def test_the_outermost_code_of_eight_bits_counts_as_clipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it costs that codes are kept in a byte: gradients are those of the definition but for codes of ±127."""
    example, x = vectors("eight bits")
    fast = found_and_gradients(example, x)
    by_definition(monkeypatch)
    plain = found_and_gradients(example, x)
    assert same_codes(fast["y"], plain["y"])
    assert float((fast["w"] - plain["w"]).norm() / plain["w"].norm()) < 0.1


@pytest.mark.parametrize("shape", [vectors, images, small_images], ids=lambda shape: shape.__name__)
def test_pieces_change_nothing_but_the_order_of_sums(
    shape: Callable[[str], tuple[Layer, Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    example, x = shape("noise that does not depend on the state")
    whole = found_and_gradients(example, x)
    monkeypatch.setattr(tiles, "PIECE_ELEMENTS", 1)
    for name, value in found_and_gradients(example, x).items():
        assert close(value, whole[name], 1e-4), name


def test_a_chip_that_ran_in_inference_mode_runs_with_gradients_too() -> None:
    example, x = vectors("noise that does not depend on the state")
    chip = chip_of(example)
    with torch.inference_mode():
        first = chip(x)
    second = chip(x.clone().requires_grad_(True), first_sample=0)
    assert isinstance(first, Tensor) and isinstance(second, Tensor)
    torch.autograd.backward(second.sum())
    assert torch.equal(first, second.detach())
