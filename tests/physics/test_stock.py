"""Devices from stock: those of the device model, with its distribution, its gradient and its read noise."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from pinat_compile.hardware.loader import load_target
from pinat_compile.physics import crossbar
from pinat_compile.physics.randomness import BANK, Key, choices, normal
from pinat_compile.physics.stock import DEVICES, Stock, When, serves, stock, take
from pinat_compile.simulator.conditions import TRAINING_CHIPS, Conditions
from tests.simulator.layers import Layer, layer, window

MUCH = ("mismatch.sigma=0.1", "stuck.at_g_min=0.02", "stuck.at_g_max=0.03")
TARGETS = [("reram_128x128", MUCH), ("reram_128x128", (*MUCH, "weights.two_sided=true"))]


def rounded(target: tuple[str, tuple[str, ...]], weight: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Layer:
    name, settings = target
    return layer(load_target(name, settings), weight)


def held(example: Layer, conditions: Conditions, weight: Tensor | None = None, *, plain: bool = False) -> Tensor:
    """[tile, block, slice, rows, cols] of one chip; ``plain``: every device made on its own."""
    arrays = example.arrays
    values = {name: torch.from_numpy(array) for name, array in example.graph.tensors.items()}
    if weight is not None:
        values["w"] = weight
    if plain:
        state = arrays.state(values.__getitem__, conditions)
        return arrays.by_read(crossbar.effective(state, time_s=conditions.time_s, severity=conditions.severity))
    found = arrays.stocked(values.__getitem__, conditions)
    assert found is not None
    return found[0]


def chip(number: int, severity: float = 1.0, time_s: float = 1.0) -> Conditions:
    return Conditions(chip=TRAINING_CHIPS + number, time_s=time_s, severity=severity)


@pytest.mark.parametrize("target", TARGETS, ids=["one side", "two sides"])
@pytest.mark.parametrize("severity", [0.5, 2.0])
@pytest.mark.parametrize("level", [-15, -1, 0, 8])
def test_the_distribution_is_that_of_the_device_model(
    target: tuple[str, tuple[str, ...]], severity: float, level: int
) -> None:
    """Mean, deviation and quantiles of 40,000 weights beside as many whose devices were made one by one."""
    example = rounded(target, np.full((40, 1000), float(level)))
    stocked, plain = (held(example, chip(1, severity), plain=each).flatten() for each in (False, True))
    stocked, plain = stocked[stocked != 0.0], plain[plain != 0.0]  # without the padding of the last tile
    error = float(plain.std()) / math.sqrt(DEVICES)
    assert abs(float(stocked.mean() - plain.mean())) < 5 * error
    assert float(stocked.std() / plain.std()) == pytest.approx(1.0, abs=0.12)
    for share in (0.1, 0.25, 0.5, 0.75, 0.9):
        assert abs(float(stocked.quantile(share) - plain.quantile(share))) < 8 * error + 0.02


def test_the_stock_is_simulated_by_the_functions_of_every_chip() -> None:
    """At severity 0 a device holds its level; its slope is 1."""
    example = rounded(TARGETS[0], np.zeros((1, 1)))
    found = stock(example.arrays.cells, example.target.device, When(time_s=1.0, severity=0.0))
    levels = torch.arange(-15.0, 16.0).unsqueeze(1).expand(-1, DEVICES)
    torch.testing.assert_close(found.net, levels, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.slope, torch.ones_like(levels), atol=1e-5, rtol=1e-5)
    assert isinstance(found.variance, float) and found.variance == 0.0


@pytest.mark.parametrize("level", [-9, 0, 4])
def test_slopes_have_the_distribution_of_a_chips_gradients(level: int) -> None:
    """A device's own gain where it follows, 0 where it is stuck or at the end of its range."""
    example = rounded(TARGETS[0], np.full((40, 1000), float(level)))
    weight = torch.full((40, 1000), float(level)).requires_grad_(True)
    torch.autograd.backward(held(example, chip(2), weight, plain=True).sum())
    assert weight.grad is not None
    found = stock(example.arrays.cells, example.target.device, When(time_s=1.0, severity=1.0))
    slopes, plain = found.slope[found.top + level], weight.grad.flatten()
    assert abs(float(slopes.mean() - plain.mean())) < 5 * float(plain.std()) / math.sqrt(DEVICES)
    share = float((plain == 0.0).float().mean())
    assert abs(float((slopes == 0.0).float().mean()) - share) < 5 * math.sqrt(share / DEVICES)
    assert 0.01 < share < 0.2


def test_a_weight_takes_a_device_of_its_level_and_its_gradient() -> None:
    net = torch.arange(6.0).view(3, 2).repeat_interleave(DEVICES // 2, dim=1)
    found = Stock(1, net, 10.0 * net, net + 0.5)
    levels = torch.tensor([-1.0, 0.0, 1.0]).repeat(200).requires_grad_(True)
    taken, variance = take(levels, found, Key(("k",)))
    assert isinstance(variance, Tensor) and torch.equal(variance, taken.detach() + 0.5)
    assert torch.equal((taken.detach() // 2) - 1, levels.detach())
    torch.autograd.backward(taken.sum())
    assert levels.grad is not None and torch.equal(levels.grad, 10.0 * taken.detach())
    assert 200 < int((taken.detach() % 2).sum()) < 400


def test_chips_differ_and_are_themselves_again() -> None:
    rng = np.random.default_rng(0)
    example = rounded(TARGETS[0], rng.integers(-15, 16, (40, 300)).astype(float))
    first, again, other = (held(example, chip(number)) for number in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    ideal = held(example, chip(0, severity=0.0))
    a, b = ((each - ideal).flatten() for each in (first, other))
    assert abs(float(torch.corrcoef(torch.stack((a, b)))[0, 1])) < 5 / math.sqrt(a.numel()) + 0.1


def test_what_cannot_come_from_stock_is_made_device_by_device() -> None:
    weight = np.ones((8, 8))
    values = {"w": torch.ones(8, 8)}
    for settings in (("weights.scheme=bias", "weights.bits=4"), ("wires.row_ohm=1", "wires.col_ohm=1"),
                     ("cell.bits=none", "weights.bits=none")):
        example = rounded(("reram_128x128", settings), weight)
        tensors = {**{k: torch.from_numpy(v) for k, v in example.graph.tensors.items()}, **values}
        assert example.arrays.stocked(tensors.__getitem__, chip(0)) is None
    example = rounded(TARGETS[0], weight)
    tensors = {k: torch.from_numpy(v) for k, v in example.graph.tensors.items()}
    assert example.arrays.stocked(tensors.__getitem__, replace(chip(0), chip=3)) is None
    assert not serves(example.arrays.cells, load_target("ideal_128x128").device)


@pytest.mark.parametrize("settings", [("array.rows=20",), ("array.rows=20", "array.rows_on=6"), ("weights.bits=9",)])
@pytest.mark.parametrize("kind", ["vectors", "windows", "groups"])
def test_weights_stand_where_those_of_a_chip_stand(settings: tuple[str, ...], kind: str) -> None:
    """At severity 0 both hold the weights; so tiles, reads, slices and groups are cut alike."""
    shape = {"vectors": (9, 45), "windows": (6, 5, 3, 3), "groups": (12, 14, 3, 3)}[kind]
    op = None if kind == "vectors" else window((3, 3), group=2 if kind == "groups" else 1)
    top = 200.0 if "weights.bits=9" in settings else 15.0
    weight = np.random.default_rng(0).uniform(-top, top, shape)
    chosen = load_target("reram_128x128", ["mismatch=none", "stuck=none", *settings])
    example = layer(chosen, weight, op=op, groups=2 if kind == "groups" else 1)
    if example.matrix.groups != example.matrix.block_shape[0]:
        pytest.skip("groups that share arrays are made device by device")
    stocked, plain = (held(example, chip(0, severity=0.0), plain=each) for each in (False, True))
    torch.testing.assert_close(stocked, plain, atol=1e-3, rtol=1e-5)


def test_choices_are_uniform_and_banked_normals_are_normal() -> None:
    drawn = choices(Key(("a",)), (200_000,), 16, torch.device("cpu"), first=32)
    counts = torch.bincount(drawn.long() - 32, minlength=16).double()
    assert drawn.min() >= 32 and drawn.max() < 48
    assert float(((counts - 12_500) ** 2 / 12_500).sum()) < 45  # chi squared, 15 degrees of freedom
    assert choices(Key(("a",)), (BANK + 5,), 16, torch.device("cpu")).shape == (BANK + 5,)
    banked = normal(Key(("a",), banked=True), (100_000,))
    assert abs(float(banked.mean())) < 5 / math.sqrt(100_000) and float(banked.std()) == pytest.approx(1.0, abs=0.02)
    assert not torch.equal(banked, normal(Key(("b",), banked=True), (100_000,)))
