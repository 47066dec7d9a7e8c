"""Sums of squares over the rows of every tile, and their gradient: what a convolution with ones gives."""

from __future__ import annotations

from itertools import pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from pinat_compile.simulator.window import TilePower, Window


def pairs(least: int, most: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(least, most), st.integers(least, most))


def by_convolution(x: Tensor, power: TilePower) -> Tensor:
    """[tile, batch, *positions] for ``x`` [batch, channel, height, width]."""
    window, ones = power.window, torch.zeros(power.tiles, power.row_cuts[-1])
    for tile, (first, last) in enumerate(pairwise(power.row_cuts)):
        ones[tile, first:last] = 1.0
    kernel = ones.view(power.tiles, -1, *window.kernel)
    return F.conv2d(x.square(), kernel, None, window.strides, window.pads, window.dilations).transpose(0, 1)


@settings(deadline=None, max_examples=80)
@given(pairs(1, 4), pairs(1, 3), pairs(0, 3), pairs(1, 2), pairs(2, 9), st.integers(1, 4), st.data())
def test_power_of_tiles(
    kernel: tuple[int, int], strides: tuple[int, int], pads: tuple[int, int], dilations: tuple[int, int],
    size: tuple[int, int], channels: int, data: st.DataObject,
) -> None:
    window = Window(kernel, strides, pads, dilations)
    if min(window.positions(size)) < 1:
        return
    rows = channels * window.taps
    inner = data.draw(st.lists(st.integers(0, rows), max_size=4))
    power = TilePower(window, tuple(sorted({0, rows, *inner})))
    x = torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(rows)).requires_grad_(True)
    expected = by_convolution(x, power)
    upstream = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    (slope,) = torch.autograd.grad(expected, x, upstream)
    with torch.no_grad():
        assert torch.allclose(power.of(x.permute(0, 2, 3, 1)), expected, atol=1e-4)
        assert torch.allclose(2.0 * x * power.pulled(upstream, size).permute(0, 3, 1, 2), slope, atol=1e-4)
