"""`Dataset`: named inputs and labels of equal length, read and preprocessed batch by batch."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pinat_compile.data.preprocess import Array, Preprocess
from pinat_compile.errors import DataError

Rows = npt.NDArray[np.int64]

HASHED = 256
"""Samples that are read at a time to name the content of a data set."""


class Source(Protocol):
    """Raw samples that are read by row numbers; a numpy array is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Rows, /) -> Array: ...


class Batch(NamedTuple):
    """Preprocessed inputs by name, each [n, ...], and the labels [n] (or [n, ...]), or ``None``."""

    inputs: dict[str, Array]
    labels: Array | None


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Samples and labels: rows of raw ``sources``, turned into the model's inputs by ``preprocess`` when read.

    Make one with `load_data` or `from_arrays`. Subsets share the sources. All sources and the labels have one length;
    `DataError` otherwise.
    """

    name: str
    sources: Mapping[str, Source]
    source_labels: Array | None
    preprocess: Preprocess = field(default_factory=Preprocess)
    rows: Rows = field(default_factory=lambda: np.empty(0, np.int64))
    """Row numbers into the sources; left out, all of them."""

    def __post_init__(self) -> None:
        if not self.sources:
            raise DataError(f"{self.name}: there are no inputs", hint="give one array per input of the model")
        lengths = {key: len(source) for key, source in self.sources.items()}
        if self.source_labels is not None:
            lengths["labels"] = len(self.source_labels)
        first, count = next(iter(lengths.items()))
        for key, length in lengths.items():
            if length != count:
                raise DataError(f"{self.name}: {first} has {count} samples, but {key} has {length}",
                                hint="every input and the labels need one row per sample")
        if count == 0:
            raise DataError(f"{self.name}: there are no samples")
        if not len(self.rows):
            object.__setattr__(self, "rows", np.arange(count))

    @classmethod
    def from_arrays(cls, inputs: Mapping[str, npt.ArrayLike], labels: npt.ArrayLike | None = None, *,
                    name: str = "arrays", preprocess: Preprocess | None = None) -> "Dataset":
        """Arrays in memory, each [samples, ...]; torch tensors on the CPU are arrays too."""
        sources = {key: _array(value, f"{name}: {key}") for key, value in inputs.items()}
        checked = None if labels is None else _labels(_array(labels, f"{name}: labels"))
        return cls(name, sources, checked, preprocess or Preprocess())

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def input_names(self) -> tuple[str, ...]:
        """The inputs' names, in the model's order where `load_data` was told it."""
        return tuple(self.sources)

    @property
    def labels(self) -> Array | None:
        """The labels of these rows: int64 [n] for classes; ``None`` without labels."""
        return None if self.source_labels is None else self.source_labels[self.rows]

    @property
    def inputs(self) -> dict[str, Array]:
        """All samples at once, preprocessed; `batches` needs less memory."""
        return self._read(self.rows).inputs

    def slice(self, start: int | None = None, stop: int | None = None) -> "Dataset":
        """The samples ``start`` to ``stop``, as Python slices count; `DataError` when none are left."""
        return self.take(np.arange(len(self))[start:stop])

    def take(self, positions: Sequence[int] | Rows) -> "Dataset":
        """The samples at these positions, in this order; `DataError` when there are none."""
        picked = np.asarray(positions, np.int64)
        if not len(picked):
            raise DataError(f"{self.name}: no samples are left of {len(self)}", hint="check the slice")
        return replace(self, rows=self.rows[picked])

    def spread(self, most: int) -> "Dataset":
        """At most ``most`` samples, evenly over all of them, whatever their order."""
        return self if len(self) <= most else self.take(np.linspace(0, len(self) - 1, most).astype(np.int64))

    def without_labels(self) -> "Dataset":
        """The same samples, unlabelled."""
        return replace(self, source_labels=None)

    def content(self) -> str:
        """SHA-256 of these rows as they are in the sources, of their labels and of the preprocessing."""
        found = hashlib.sha256(repr((self.name, self.preprocess)).encode())
        for start in range(0, len(self), HASHED):
            rows = self.rows[start : start + HASHED]
            parts = [source[rows] for source in self.sources.values()]
            for part in parts if self.source_labels is None else [*parts, self.source_labels[rows]]:
                found.update(repr((part.shape, str(part.dtype))).encode() + np.ascontiguousarray(part).tobytes())
        return found.hexdigest()

    def batches(self, size: int, *, order: Sequence[int] | Rows | None = None) -> Iterator[Batch]:
        """Batches of ``size`` samples, the last one smaller; ``order`` (positions) shuffles or repeats samples."""
        if size < 1:
            raise DataError(f"{self.name}: batch size {size}: expected at least 1")
        rows = self.rows if order is None else self.rows[np.asarray(order, np.int64)]
        for start in range(0, len(rows), size):
            yield self._read(rows[start : start + size])

    def _read(self, rows: Rows) -> Batch:
        with np.errstate(all="ignore"):  # what is no number, or too large for float32, is refused below
            inputs = {key: self.preprocess(source[rows]) for key, source in self.sources.items()}
        labels = None if self.source_labels is None else self.source_labels[rows]
        for key, array in (*inputs.items(), ("the labels", labels)):
            if array is not None and array.dtype.kind == "f" and not np.isfinite(array).all():
                wrong = ~np.isfinite(array.reshape(len(array), -1)).all(axis=1)
                raise DataError(f"{self.name}: sample {rows[np.argmax(wrong)]} of {key} has values that are not finite",
                                hint="leave the sample out or mend it; inputs are float32")
        return Batch(inputs, labels)


def split_validation(dataset: Dataset) -> tuple[Dataset, Dataset]:
    """Training data as (fit, validation): every tenth sample (positions 9, 19, 29, ...) is validation; no seed.

    The same rule stands behind ``DATA@fit`` and ``DATA@validation``. `DataError` with fewer than 10 samples.
    """
    if len(dataset) < 10:
        raise DataError(f"{dataset.name}: {len(dataset)} samples are too few to hold out every tenth",
                        hint="give at least 10 training samples, or validation data of your own")
    held = np.arange(len(dataset)) % 10 == 9
    return dataset.take(np.flatnonzero(~held)), dataset.take(np.flatnonzero(held))


def _array(value: Any, where: str) -> Array:
    array = np.asarray(value)
    if array.dtype.hasobject:
        raise DataError(f"{where} holds Python objects, not numbers",
                        hint="save arrays of one numeric type; samples of different sizes need padding")
    if array.dtype.kind not in "biufc":
        raise DataError(f"{where} holds text or records ({array.dtype}), not numbers")
    if array.ndim == 0:
        raise DataError(f"{where} is a single number; expected one row per sample")
    return array


def _labels(labels: Array) -> Array:
    """Class numbers as int64 [n], also from a column [n, 1]; anything else (targets of a regression) as it is."""
    if not np.issubdtype(labels.dtype, np.integer):
        return labels
    return labels.astype(np.int64).reshape(len(labels)) if labels.shape[1:] in ((), (1,)) else labels
