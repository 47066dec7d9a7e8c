"""`load_data`: from the DATA argument to a `Dataset`."""

import re
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path

import numpy as np

from pinat_compile.data.cifar import is_cifar, read_cifar
from pinat_compile.data.dataset import Dataset, Source, split_validation
from pinat_compile.data.folders import (
    class_splits,
    is_class_folder,
    is_tiny_imagenet,
    read_class_folder,
    read_tiny_imagenet,
)
from pinat_compile.data.idx import idx_splits, read_idx_split
from pinat_compile.data.preprocess import Array, Preprocess
from pinat_compile.data.spec import HINT, Spec
from pinat_compile.data.values import call_function, dataset_from, for_model, read_npz
from pinat_compile.errors import DataError

MINI = "fashion-mnist-mini"

Readers = Mapping[str, Callable[[], tuple[Source, Array]]]
"""Split -> a function that reads its images and labels. The key "" stands for a data set without splits."""

_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def load_data(spec: str, *, inputs: Sequence[str] | None = None, preprocess: Preprocess | None = None,
              split: str = "test") -> Dataset:
    """Read the data set that DATA names.

        FILE.npz              keys are the model's input names, or x when there is one, and y (labels, optional)
        FOLDER                IDX files (MNIST, Fashion-MNIST), CIFAR-10/100 python batches, Tiny ImageNet, or one image
                              folder per class, with or without train/, val/, test/ above
        fashion-mnist-mini    shipped: 5,000 training and 2,000 test images
        module:function       called without arguments; returns (x, y), x, a dict as in FILE.npz, or a Dataset

    A suffix picks a split, a slice, or both: ``@test``, ``@train[:5000]``, ``@[100:200]``. Splits: ``train`` is all
    training data; ``fit`` and ``validation`` are nine tenths and every tenth of it (`split_validation`); ``val`` is the
    folder of that name; ``test`` is the test data, or ``val`` where labelled test images are not handed out. A data set
    without splits is whole; only ``fit`` and ``validation`` can be taken of it.

    Args:
        spec: the DATA argument.
        inputs: the model's input names; a single one takes the data set's only input whatever its name there.
        preprocess: ``None`` for float32 in [0, 1], NCHW.
        split: the split to take when a data set has splits and ``spec`` names none.

    Raises `DataError`, which says where, what, and what to try.
    """
    parsed = Spec.parse(spec)
    data = for_model(_read(parsed, split, preprocess or Preprocess()), inputs)
    return data if parsed.start is None and parsed.stop is None else data.slice(parsed.start, parsed.stop)


def as_dataset(data: object, *, inputs: Sequence[str] | None = None, preprocess: Preprocess | None = None,
               split: str = "test") -> Dataset:
    """What the Python functions take as data, as a `Dataset`.

    A DATA string or path (see `load_data` for ``split``), a `Dataset` (which keeps its preprocessing unless one is
    given), an array or tensor x, a tuple (x, y), a dict of arrays, or an iterable of batches (a list, a torch
    DataLoader), each of them one of x, (x, y) and dict; batches are joined. Raises `DataError`.
    """
    if isinstance(data, str | Path):
        return load_data(str(data), inputs=inputs, preprocess=preprocess, split=split)
    return for_model(dataset_from(data, "data", preprocess), inputs)


def _read(spec: Spec, default: str, preprocess: Preprocess) -> Dataset:
    try:
        path = Path(spec.name).expanduser()
    except RuntimeError as error:
        raise DataError(f"data {spec.name!r}: {error}", hint="write the path without ~") from None
    if spec.name == MINI:
        return _pick(spec, {"train": lambda: _mini("train"), "test": lambda: _mini("test")}, default, preprocess)
    if path.is_dir():
        return _pick(spec, _folder(path, preprocess.resize), default, preprocess)
    if path.is_file() and path.suffix == ".npz":
        return _part(spec, dataset_from(read_npz(path), spec.name, preprocess))
    if not path.exists() and _FUNCTION.fullmatch(spec.name):
        return _part(spec, dataset_from(call_function(spec.name), spec.name, preprocess))
    what = "not a data set of a known kind" if path.exists() else "there is no such file, folder or data set"
    raise DataError(f"data {spec.name!r}: {what}", hint=HINT)


def _folder(path: Path, size: tuple[int, int] | None) -> Readers:
    """Recognise a folder by what is in it."""
    if splits := idx_splits(path):
        return {split: lambda split=split: read_idx_split(path, split) for split in splits}  # type: ignore[misc]
    if is_cifar(path):
        return {"train": lambda: read_cifar(path, "train"), "test": lambda: read_cifar(path, "test")}
    if is_tiny_imagenet(path):
        return {"train": lambda: read_tiny_imagenet(path, "train", size),
                "val": lambda: read_tiny_imagenet(path, "val", size)}
    if splits := class_splits(path):
        return {split: lambda split=split: read_class_folder(path / split, size) for split in splits}  # type: ignore[misc]
    if is_class_folder(path):
        return {"": lambda: read_class_folder(path, size)}
    found = ", ".join(sorted(entry.name for entry in path.iterdir())[:5]) or "nothing"
    raise DataError(f"data folder {path}: not a data set of a known kind; it holds {found}",
                    hint="known: *-images-idx3-ubyte[.gz], data_batch_1 ... (CIFAR-10), train, test and meta "
                         "(CIFAR-100), wnids.txt (Tiny ImageNet), or one folder of images per class")


def _pick(spec: Spec, readers: Readers, default: str, preprocess: Preprocess) -> Dataset:
    """Read the split that is asked for, or the part of the training data."""
    wanted = spec.split or default
    if "" in readers:
        source, labels = readers[""]()
        return _part(spec, Dataset(spec.name, {"x": source}, labels, preprocess))
    if wanted == "test" and "test" not in readers and "val" in readers:
        wanted = "val"
    stored = "train" if wanted in ("fit", "validation") else wanted
    if stored not in readers:
        raise DataError(f"data {spec.name!r}: there is no split {stored!r}; it has {', '.join(readers)}",
                        hint=f"for example {spec.name}@{next(iter(readers))}")
    source, labels = readers[stored]()
    data = Dataset(f"{spec.name}@{stored}", {"x": source}, labels, preprocess)
    return data if wanted == stored else split_validation(data)[wanted == "validation"]


def _part(spec: Spec, data: Dataset) -> Dataset:
    """Of a data set without splits: all of it, or nine tenths (fit) and every tenth (validation)."""
    if spec.split is None:
        return data
    if spec.split in ("fit", "validation"):
        return split_validation(data)[spec.split == "validation"]
    raise DataError(f"data {spec.name!r}: it has no splits, so no @{spec.split}",
                    hint=f"take all of it, {spec.name}, or a slice, {spec.name}@[:1000]")


def _mini(split: str) -> tuple[Array, Array]:
    file = resources.files("pinat_compile.data") / "fashion_mnist_mini.npz"
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        return arrays[f"x_{split}"], arrays[f"y_{split}"].astype(np.int64)
