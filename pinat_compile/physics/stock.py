"""Virtual chips for training, whose devices come from a stock instead of being made one by one.

Training meets another chip at every step and none of them twice. To simulate each device of each of them costs many
times the products that it serves. So a stock of `DEVICES` pairs of devices is simulated at every level, by the same
functions as any chip, under the conditions of the step; and each weight of a virtual chip takes one at random from the
stock of its level. What it takes has the distribution of the device model as `DEVICES` samples tell it: programming
error, mismatch, drift, stuck cells, clipping and all. So does its gradient: a device's own slope comes from the stock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor

from pinat_compile.graph.matrix import Cells, Cut
from pinat_compile.hardware.schema import Device
from pinat_compile.physics import crossbar, randomness
from pinat_compile.physics.randomness import Key
from pinat_compile.physics.tiling import Tiling

DEVICES = 1024
"""Devices in stock at each level."""
KEPT = 128
"""Stocks that are kept, one per set of conditions; a few hundred kilobytes each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """The conditions that a stock is made under."""

    time_s: float
    temperature_k: float = 300.0
    severity: float = 1.0
    sigma_gradient: bool = False


@dataclass(frozen=True, slots=True)
class Stock:
    """``net``, ``slope`` and ``variance`` [level, device]: what a read finds in steps, its derivative with respect to
    the level, and the variance of one read in squared steps (a number where it does not depend on the state). Levels
    are counted from the smallest, -``top``.
    """

    top: int

    net: Tensor
    slope: Tensor
    variance: Tensor | float

    def to(self, device: torch.device) -> Stock:
        variance = self.variance if isinstance(self.variance, float) else self.variance.to(device)
        return self if self.net.device == device else Stock(
            self.top, self.net.to(device), self.slope.to(device), variance)


def serves(cells: Cells, device: Device) -> bool:
    """Whether there can be a stock: weights in whole steps on pairs of devices that obey Ohm's law."""
    return cells.scheme == "differential" and cells.rounded and device.nonlinearity is None and not device.perfect


@lru_cache(maxsize=KEPT)
def stock(cells: Cells, device: Device, when: When) -> Stock:
    """The devices in stock; the same draws for all conditions."""
    top = cells.cell_max
    one = replace(cells, weight_max=top, slice_bits=(top.bit_length(),))
    levels = torch.arange(-top, top + 1).float()
    conditions = {"time_s": when.time_s, "temperature_k": when.temperature_k, "severity": when.severity}
    with torch.inference_mode(False), torch.enable_grad():
        steps = levels.repeat(DEVICES, 1).unsqueeze(0).requires_grad_(True)  # [1, device, level]
        made = crossbar.program(steps, one, device, Tiling(Cut(1, (0, DEVICES), (0, len(levels)))), Key(("stock",)))
        made = replace(made, sigma_gradient=when.sigma_gradient)
        net = crossbar.effective(made, **conditions)
        (slope,) = torch.autograd.grad(net.sum(), steps)
    variance = crossbar.read_variance(made, **conditions)
    spread = variance if isinstance(variance, float) else variance.detach()[0, 0, 0].t().contiguous()
    return Stock(top, net.detach()[0, 0, 0].t().contiguous(), slope[0].t().contiguous(), spread)


class _Take(torch.autograd.Function):
    """What devices hold, by their place in the stock; the gradient is that of the device taken."""

    @staticmethod
    def forward(ctx: Any, levels: Tensor, place: Tensor, net: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(place, slope)
        return net.view(-1).index_select(0, place).view(levels.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        place, slope = ctx.saved_tensors
        return slope.view(-1).index_select(0, place).view(grads[0].shape).mul_(grads[0]), None, None, None


def take(levels: Tensor, found: Stock, key: Key) -> tuple[Tensor, Tensor | float]:
    """For signed ``levels`` [*w], whole numbers or not, what devices of their rounded level hold: [*w], in steps.

    And the variance of one read of each. Which device a weight takes depends on ``key`` and its place in ``levels``.
    """
    with torch.no_grad():
        chosen = randomness.choices(key, levels.shape, DEVICES, levels.device, first=found.top * DEVICES)
        place = torch.add(chosen, levels.round(), alpha=DEVICES).to(torch.int32).view(-1)
    net = cast(Tensor, _Take.apply(levels, place, found.net, found.slope))  # type: ignore[no-untyped-call]
    if isinstance(found.variance, float):
        return net, found.variance
    return net, found.variance.view(-1).index_select(0, place).view(levels.shape)
