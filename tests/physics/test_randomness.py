"""Counter-based draws: committed numbers never change, elements depend on key and place alone, statistics hold."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pinat_compile.physics.randomness import Key, generator, normal, uniform

KEY = Key(("chip", 3, "conv1", "programming", 0, 1))
DRAW: list[Callable[[Key, tuple[int, ...]], Tensor]] = [normal, uniform]

NORMALS = [-1.0912758, 0.5360656, 2.1837547, 1.3985533, -1.2272297, -1.151145]
UNIFORMS = [0.477531760931015, 0.4273289442062378, 0.034653108566999435, 0.09065812826156616, 0.242776557803154,
    0.6199103593826294]
SEED = 8663399012791115601
FIRST_OF_GENERATOR = 0.4673764109611511


def test_normals_are_those_of_the_first_day() -> None:
    """A change here changes every chip: do not update these numbers, find out what changed them."""
    torch.testing.assert_close(normal(KEY, (6,)), torch.tensor(NORMALS), rtol=2e-6, atol=0)


def test_uniforms_are_those_of_the_first_day() -> None:
    assert uniform(KEY, (6,)).tolist() == UNIFORMS


def test_seeds_are_those_of_the_first_day() -> None:
    assert KEY.seed() == SEED
    assert torch.rand(1, generator=generator(KEY)).item() == FIRST_OF_GENERATOR


@pytest.mark.parametrize("draw", DRAW)
@given(st.integers(1, 60), st.integers(0, 60))
def test_an_element_depends_on_its_place_alone(
    draw: Callable[[Key, tuple[int, ...]], Tensor], count: int, more: int
) -> None:
    assert torch.equal(draw(KEY, (count + more,))[:count], draw(KEY, (count,)))


@pytest.mark.parametrize("draw", DRAW)
def test_shapes_are_read_row_by_row(draw: Callable[[Key, tuple[int, ...]], Tensor]) -> None:
    flat = draw(KEY, (24,))
    assert torch.equal(draw(KEY, (2, 3, 4)), flat.reshape(2, 3, 4))
    assert draw(KEY, ()).shape == () and draw(KEY, (0, 3)).shape == (0, 3)
    assert flat.dtype == torch.float32


@pytest.mark.parametrize("draw", DRAW)
def test_nothing_global_matters(draw: Callable[[Key, tuple[int, ...]], Tensor]) -> None:
    first = draw(KEY, (100,))
    torch.rand(17)
    np.random.default_rng(0).random(3)
    assert torch.equal(draw(KEY, (100,)), first)


def test_keys() -> None:
    assert Key(("a", 1)).at("b", 2) == Key(("a", 1, "b", 2))
    assert Key(("a", 1)).digest(16) == Key(("a", np.int64(1))).digest(16)  # type: ignore[arg-type]
    keys = [Key(parts) for parts in (("a", 1), ("a", "1"), ("a1",), ("a", 1, 0), (1, "a"), ("a", 2), ("a", -1), ())]
    assert len({key.digest(16) for key in keys}) == len({key.seed() for key in keys}) == len(keys)
    assert all(0 <= key.seed() < 1 << 63 for key in keys)


def test_normal_statistics() -> None:
    count = 200_000
    x = normal(KEY, (count,)).double().numpy()
    assert abs(x.mean()) < 4 / math.sqrt(count)
    assert abs(x.std() - 1) < 4 / math.sqrt(2 * count)
    assert abs((x**3).mean()) < 4 * math.sqrt(15 / count)
    assert abs((x**4).mean() - 3) < 4 * math.sqrt(96 / count)
    assert np.isfinite(x).all() and 4 < np.abs(x).max() < 7
    cdf = np.array([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in np.sort(x)[::20]])
    assert kolmogorov(cdf, count) < 1.95


def test_uniform_statistics() -> None:
    count = 200_000
    x = uniform(KEY, (count,)).double().numpy()
    assert 0 <= x.min() and x.max() < 1
    assert abs(x.mean() - 0.5) < 4 / math.sqrt(12 * count)
    assert kolmogorov(np.sort(x)[::20], count) < 1.95
    counts = np.histogram(x, 100, (0, 1))[0]
    chi2 = float(((counts - count / 100) ** 2 / (count / 100)).sum())
    assert abs(chi2 - 99) < 5 * math.sqrt(2 * 99)


def kolmogorov(cdf: np.ndarray[tuple[int, ...], np.dtype[np.float64]], count: int) -> float:
    """sqrt(n) times the largest distance (1.95: one time in a thousand) from every 20th of the sorted values."""
    expected = (np.arange(len(cdf)) * 20 + 0.5) / count
    return float(np.abs(cdf - expected).max() * math.sqrt(count))


@pytest.mark.parametrize("draw", DRAW)
def test_keys_are_independent(draw: Callable[[Key, tuple[int, ...]], Tensor]) -> None:
    count = 50_000
    base = Key(("chip", 0, "fc", "mismatch", 0, 0))
    others: list[tuple[str | int, ...]] = [
        ("chip", 1, "fc", "mismatch", 0, 0), ("chip", 0, "fc2", "mismatch", 0, 0), ("chip", 0, "fc", "stuck", 0, 0),
        ("chip", 0, "fc", "mismatch", 1, 0), ("chip", 0, "fc", "mismatch", 0, 1),
    ]
    draws = [draw(key, (count,)).double().numpy() for key in (base, *map(Key, others))]
    correlation = np.corrcoef(draws) - np.eye(len(draws))
    assert np.abs(correlation).max() < 4.5 / math.sqrt(count)
    neighbours = np.corrcoef(draws[0][:-1], draws[0][1:])[0, 1]
    pairs = np.corrcoef(draws[0][0::2], draws[0][1::2])[0, 1]
    assert abs(neighbours) < 4.5 / math.sqrt(count) and abs(pairs) < 4.5 / math.sqrt(count / 2)


def test_the_two_of_a_box_muller_pair_are_independent() -> None:
    """Their squares too."""
    x = normal(KEY, (100_000,)).double().numpy().reshape(-1, 2)
    assert abs(np.corrcoef(x[:, 0] ** 2, x[:, 1] ** 2)[0, 1]) < 4.5 / math.sqrt(len(x))


def test_generators() -> None:
    def first(key: Key) -> float:
        return torch.rand(1, generator=generator(key)).item()

    assert first(KEY) == first(KEY) != first(KEY.at(0))
