"""The percentile of range-converters is NumPy's."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pinat_compile.passes.range_converters import percentile


@given(size=st.integers(1, 400), percent=st.floats(0.0, 100.0), seed=st.integers(0, 1000), levels=st.integers(1, 50))
def test_against_numpy(size: int, percent: float, seed: int, levels: int) -> None:
    values = np.random.default_rng(seed).integers(0, levels, (size, 2)).astype(np.float32)
    assert percentile(values, percent) == np.percentile(values, percent, method="higher")


def test_of_nothing() -> None:
    assert percentile(np.zeros((0, 3), np.float32), 99.0) == 0.0
