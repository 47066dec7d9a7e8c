"""`Dataset`: batches, subsets, the fixed validation tenth, and its messages."""

import numpy as np
import pytest
import torch

from pinat_compile.data import Dataset, Preprocess, split_validation
from pinat_compile.errors import DataError

X = np.arange(25 * 3, dtype=np.float32).reshape(25, 3)
Y = np.arange(25) % 4


def numbered() -> Dataset:
    return Dataset.from_arrays({"x": X}, Y)


def test_batches_cover_all_samples_in_order() -> None:
    batches = list(numbered().batches(10))
    assert [len(batch.inputs["x"]) for batch in batches] == [10, 10, 5]
    np.testing.assert_array_equal(np.concatenate([batch.inputs["x"] for batch in batches]), X)
    np.testing.assert_array_equal(np.concatenate([batch.labels for batch in batches if batch.labels is not None]), Y)


def test_batches_in_another_order() -> None:
    (batch,) = numbered().batches(10, order=[3, 1, 3])
    np.testing.assert_array_equal(batch.inputs["x"], X[[3, 1, 3]])


def test_subsets_of_subsets() -> None:
    part = numbered().slice(5, 15).take([0, 9])
    assert len(part) == 2
    np.testing.assert_array_equal(part.inputs["x"], X[[5, 14]])
    np.testing.assert_array_equal(part.labels, Y[[5, 14]])
    assert numbered().slice(-3).inputs["x"].shape == (3, 3)


def test_samples_are_preprocessed_when_read() -> None:
    data = Dataset.from_arrays({"x": X}, preprocess=Preprocess(scale=2.0))
    np.testing.assert_array_equal(next(data.batches(4)).inputs["x"], 2 * X[:4])


def test_labels_are_int64_and_flat() -> None:
    labels = Dataset.from_arrays({"x": X}, Y.astype(np.uint8)[:, None]).labels
    assert labels is not None and labels.dtype == np.int64 and labels.shape == (25,)
    assert numbered().without_labels().labels is None
    targets = Dataset.from_arrays({"x": X}, X).labels
    assert targets is not None and targets.dtype == np.float32


def test_tensors_are_arrays() -> None:
    np.testing.assert_array_equal(Dataset.from_arrays({"x": torch.ones(2, 3)}).inputs["x"], np.ones((2, 3)))


def test_validation_is_every_tenth_sample() -> None:
    fit, validation = split_validation(numbered())
    np.testing.assert_array_equal(validation.rows, [9, 19])
    assert sorted([*fit.rows, *validation.rows]) == list(range(25))


@pytest.mark.parametrize(("inputs", "labels", "message"), [
    ({}, None, "arrays: there are no inputs"),
    ({"x": X[:0]}, None, "arrays: there are no samples"),
    ({"x": X, "state": X[:7]}, None, "x has 25 samples, but state has 7"),
    ({"x": X}, Y[:24], "x has 25 samples, but labels has 24"),
    ({"x": np.array([None, 1])}, None, "arrays: x holds Python objects, not numbers"),
    ({"x": np.float32(3)}, None, "arrays: x is a single number"),
])
def test_errors(inputs: dict[str, np.ndarray], labels: np.ndarray | None, message: str) -> None:
    with pytest.raises(DataError) as caught:
        Dataset.from_arrays(inputs, labels)
    assert message in caught.value.message


def test_errors_of_subsets() -> None:
    with pytest.raises(DataError, match="no samples are left of 25"):
        numbered().slice(30)
    with pytest.raises(DataError, match="9 samples are too few"):
        split_validation(numbered().slice(0, 9))
    with pytest.raises(DataError, match="batch size 0"):
        next(numbered().batches(0))
