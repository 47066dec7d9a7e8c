"""DAC and ADC: rounding, clipping, straight-through gradients, bits of a code."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pinat_compile.graph.matrix import Cells, Cut
from pinat_compile.hardware.schema import AdcSection, DacSection
from pinat_compile.physics.converters import input_steps, quantise, round_clip, round_up_or_down, signed_limit
from pinat_compile.physics.limits import Limits

ONE = torch.tensor(1.0)


def test_rounding_goes_to_the_even_neighbour_and_clips() -> None:
    x = torch.tensor([-9.0, -2.5, -1.5, -0.5, -0.4, 0.5, 1.5, 2.5, 2.6, 9.0])
    assert quantise(x, ONE, -3, 3).tolist() == [-3, -2, -2, 0, 0, 0, 2, 2, 3, 3]
    assert quantise(x, ONE, 0, 1).tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1, 1]


@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=20), st.floats(0.125, 8, width=32))
def test_like_numpy(values: list[float], step: float) -> None:
    x = np.array(values, np.float32)
    expected = np.clip(np.rint(x / np.float32(step)), -7, 7)
    np.testing.assert_array_equal(quantise(torch.from_numpy(x), torch.tensor(step), -7, 7).numpy(), expected)


def test_the_input_is_left_alone_unless_given_away() -> None:
    x = torch.tensor([0.4, 7.6])
    round_clip(x, -3, 3)
    quantise(x, ONE, -3, 3)
    assert x.tolist() == pytest.approx([0.4, 7.6])
    round_clip(x, -3, 3, own=True)
    assert x.tolist() == [0.0, 3.0]


def gradients(x: Tensor, step: Tensor, upstream: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(codes, d/dx, d/dstep)"""
    x, step = x.clone().requires_grad_(), step.clone().requires_grad_()
    codes = quantise(x, step, -7, 7)
    torch.autograd.backward(codes, upstream)
    assert x.grad is not None and step.grad is not None
    return codes.detach(), x.grad, step.grad


def test_straight_through_gradients() -> None:
    """1/step and -x/step² where x rounds to a code, be it the last one; both 0 where it is clipped."""
    x = torch.tensor([-10.0, -3.74, -1.2, 0.0, 0.3, 3.5, 3.76, 10.0])
    step, upstream = torch.tensor(0.5), torch.arange(1.0, 9.0)
    codes, to_x, to_step = gradients(x, step, upstream)
    assert codes.tolist() == [-7, -7, -2, 0, 1, 7, 7, 7]
    inside = torch.tensor([0.0, 1, 1, 1, 1, 1, 0, 0])
    torch.testing.assert_close(to_x, upstream * inside / step)
    torch.testing.assert_close(to_step, -(upstream * inside * x).sum() / step**2)


def test_the_gradient_of_a_step_per_column_is_its_columns() -> None:
    x, step, upstream = torch.randn(50, 3, generator=seeded(0)) * 4, torch.tensor([0.5, 1.0, 2.0]), torch.ones(50, 3)
    _, to_x, to_step = gradients(x, step, upstream)
    inside = ((x / step).round().abs() <= 7).float()
    torch.testing.assert_close(to_x, inside / step)
    torch.testing.assert_close(to_step, -(inside * x).sum(0) / step**2)


def test_the_dequantised_value_has_the_gradient_of_learned_steps() -> None:
    """step * code(x / step): code - x/step inside, the clip outside (Esser et al., arXiv 1902.08153, eq. 3)."""
    x = torch.tensor([-9.0, -0.7, 0.2, 1.4, 9.0])
    for index, expected in enumerate((-7.0, -1 + 0.7 / 0.5, 0.0 - 0.4, 3 - 2.8, 7.0)):
        step = torch.tensor(0.5, requires_grad=True)
        torch.autograd.backward(quantise(x[index], step, -7, 7) * step)
        assert step.grad is not None and step.grad.item() == pytest.approx(expected, abs=1e-5)


@given(st.integers(2, 16), st.data())
def test_bits_add_up_to_the_code(bits: int, data: st.DataObject) -> None:
    limit = 1 << (bits - 1)
    codes = data.draw(st.lists(st.integers(-limit, limit - 1), min_size=1, max_size=9))
    x = torch.tensor([float(code) for code in codes], requires_grad=True)
    planes = input_steps(x, bits)
    assert [weight for weight, _ in planes] == [*(1 << k for k in range(bits - 1)), -limit]
    total = torch.zeros_like(x)
    for k, (weight, plane) in enumerate(planes):
        assert plane.tolist() == [(code >> k) & 1 for code in codes]
        total = total + weight * plane
    assert total.tolist() == codes
    torch.autograd.backward(total.sum())
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.ones_like(x))


@given(st.integers(2, 12), st.integers(1, 6), st.data())
def test_steps_of_several_bits_add_up_to_the_code(bits: int, step_bits: int, data: st.DataObject) -> None:
    step_bits, limit = min(step_bits, bits - 1), 1 << (bits - 1)
    codes = data.draw(st.lists(st.integers(-limit, limit - 1), min_size=1, max_size=9))
    x = torch.tensor([float(code) for code in codes], requires_grad=True)
    steps = input_steps(x, bits, step_bits)
    dac = DacSection(bits=bits, encoding="bit_serial", step_bits=step_bits)
    assert len(steps) == dac.steps
    assert all(0 <= digit <= dac.largest_input for _, digits in steps for digit in digits.tolist())
    total = torch.stack([weight * digits for weight, digits in steps]).sum(dim=0)
    assert total.tolist() == codes
    torch.autograd.backward(total.sum())
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.ones_like(x))


def test_stochastic_rounding_keeps_the_mean() -> None:
    """Up as often as the fraction says (Gupta et al., arXiv 1502.02551), so that the mean of many is the value."""
    chance = torch.rand(100_000, generator=torch.Generator().manual_seed(0))
    for value in (-2.75, -0.5, 0.0, 0.25, 1.9, 3.0):
        found = round_up_or_down(torch.full_like(chance, value), chance, -5, 5)
        assert set(found.tolist()) <= {math.floor(value), math.ceil(value)}
        spread = math.sqrt((value - math.floor(value)) * (math.ceil(value) - value) / len(chance))
        assert abs(float(found.double().mean()) - value) <= 4 * spread + 1e-9


def test_limits() -> None:
    assert [signed_limit(bits) for bits in (2, 5, 8, 16)] == [1, 15, 127, 32767]


@pytest.mark.parametrize(("flip", "bits"), [(False, 9), (True, 8)])
def test_isaac_needs_nine_bits_and_its_encoding_saves_one(flip: bool, bits: int) -> None:
    """ceil(log2(rows (2^v - 1)(2^b - 1) + 1)) for 128 rows, 1-bit inputs, 2-bit cells (Shafiee et al., ISCA 2016)."""
    cells = Cells("bias", weight_max=32767, cell_max=3, slice_bits=(2,) * 8, flip=flip)
    limits = Limits(cells, Cut(1, (0, 128), (0, 16)), DacSection(bits=16, encoding="bit_serial"), AdcSection(bits=8))
    assert limits.largest_sum.bit_length() == bits
    assert limits.lossless == flip


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
