"""CIFAR-10 and CIFAR-100 in their original "python version": pickled batches, read without running their code.

Source: A. Krizhevsky, "The CIFAR-10 dataset", section "Dataset layout".
"""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pinat_compile.data.preprocess import Array
from pinat_compile.errors import DataError

Files = dict[str, tuple[str, ...]]
"""Split -> names of its batches."""

CIFAR10: Files = {"train": tuple(f"data_batch_{n}" for n in range(1, 6)), "test": ("test_batch",)}
CIFAR100: Files = {"train": ("train",), "test": ("test",)}


def is_cifar(folder: Path) -> bool:
    """Whether a folder holds batches of CIFAR-10 or CIFAR-100."""
    return _files(folder) is not None


def read_cifar(folder: Path, split: str) -> tuple[Array, Array]:
    """Images uint8 [n, 3, 32, 32] and labels int64 [n] (CIFAR-100: the 100 fine ones) of ``train`` or ``test``."""
    files = _files(folder)
    if files is None:
        raise DataError(f"{folder}: no batches of CIFAR-10 or CIFAR-100 in it")
    images, labels = zip(*(_read_batch(folder / name) for name in files[split]), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def _files(folder: Path) -> Files | None:
    if (folder / "data_batch_1").is_file() or (folder / "test_batch").is_file():
        return CIFAR10
    if (folder / "meta").is_file() and ((folder / "train").is_file() or (folder / "test").is_file()):
        return CIFAR100
    return None


def _read_batch(path: Path) -> tuple[Array, Array]:
    try:
        with path.open("rb") as file:
            content = _NumbersOnly(file, encoding="bytes").load()
    except FileNotFoundError:
        raise DataError(f"{path}: missing", hint="unpack the data set's archive again") from None
    except DataError as error:
        raise DataError(f"{path}: {error.message}", hint=error.hint) from None
    except Exception as error:  # unpickling damaged bytes may raise nearly anything
        raise DataError(f"{path}: not a batch of CIFAR: {error}", hint="unpack the data set's archive again") from error
    batch = {_text(key): value for key, value in content.items()} if isinstance(content, dict) else {}
    data, labels = batch.get("data"), batch.get("fine_labels", batch.get("labels"))
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape[1:] != (3072,) or labels is None:
        raise DataError(f"{path}: not a batch of CIFAR: it holds {sorted(batch) or type(content).__name__}",
                        hint="a batch holds data, uint8 [n, 3072], and labels (CIFAR-100: fine_labels)")
    if len(labels) != len(data):
        raise DataError(f"{path}: {len(data)} images, but {len(labels)} labels")
    return data.reshape(-1, 3, 32, 32), np.asarray(labels, np.int64)


def _text(key: Any) -> str:
    return key.decode() if isinstance(key, bytes) else str(key)


def _dtype(kind: Any, align: Any = False, copy: Any = False) -> np.dtype[Any]:
    """numpy.dtype as old pickles call it: with 0 and 1 for booleans, which numpy >= 2.4 deprecates."""
    dtype: np.dtype[Any] = np.dtype(kind, align=bool(align), copy=bool(copy))
    return dtype


def _encode(text: str, encoding: str) -> bytes:
    """_codecs.encode as Python 3 writes bytes into protocol 2."""
    if encoding != "latin1":
        raise DataError(f"the pickle asks for the codec {encoding!r}")
    return text.encode("latin1")


_RECONSTRUCT: Any = np.empty(0).__reduce__()[0]
_FROM_BUFFER: Any = np.empty(0).__reduce_ex__(5)[0]
_ADMITTED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _dtype,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy._core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("_codecs", "encode"): _encode,
}


class _NumbersOnly(pickle.Unpickler):
    """Admits numpy arrays and plain built-in values; everything else is refused by name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise DataError(f"the pickle asks for {module}.{name}, which is not data",
                            hint="only numbers, strings, lists, dicts and arrays are read; do not trust this file")
        return _ADMITTED[module, name]
