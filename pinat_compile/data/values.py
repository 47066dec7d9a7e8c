"""Values in memory (arrays, tuples, dicts, batches), NPZ files and users' functions as a `Dataset`."""

import importlib
import math
import os
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pinat_compile.data.dataset import Dataset
from pinat_compile.data.preprocess import Array, Preprocess
from pinat_compile.errors import DataError, PinatError

LABELS = "y"

_DAMAGED = (zipfile.BadZipFile, zlib.error, tokenize.TokenError, SyntaxError)
"""What a damaged archive raises besides ValueError; the last two where numpy reads a header."""
LARGEST_NPZ = 16 << 30
"""Bytes in the arrays of an NPZ file, at most."""


def read_npz(path: Path) -> dict[str, Array]:
    """The arrays of an NPZ file; pickled objects in it are refused."""
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path}: not a readable NPZ file", hint="write it with numpy.savez")
    try:
        _check_sizes(path)
        with np.load(path, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
    except (OSError, EOFError, KeyError, RuntimeError, ValueError, *_DAMAGED) as error:
        if "allow_pickle" in str(error):
            raise DataError(f"{path}: holds Python objects, not numbers",
                            hint="save arrays of one numeric type; samples of different sizes need padding") from None
        raise DataError(f"{path}: not a readable NPZ file: {error}", hint="write it with numpy.savez") from error


def _check_sizes(path: Path) -> None:
    """Before anything is read: what the file says it holds is there, and no more than `LARGEST_NPZ`."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        total = sum(entry.file_size for entry in entries)
        if total > LARGEST_NPZ:
            raise DataError(f"{path}: holds {total / 2**30:,.0f} GiB, at most {LARGEST_NPZ >> 30} are read",
                            hint="split it, or give a folder or module:function")
        for entry in entries:
            with archive.open(entry) as file:
                if file.read(6) != b"\x93NUMPY":
                    continue  # not an array: numpy.load says so
            with archive.open(entry) as file:
                read = _HEADERS.get(np.lib.format.read_magic(file), np.lib.format.read_array_header_2_0)
                shape, _, dtype = read(file)
                if not dtype.hasobject and math.prod(shape) * dtype.itemsize > entry.file_size:
                    raise DataError(f"{path}: not a readable NPZ file: {entry.filename} is shorter than it says",
                                    hint="write it with numpy.savez")


_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0}


def call_function(name: str) -> Any:
    """What ``module:function`` returns; modules in the current folder are found too."""
    module_name, _, function_name = name.partition(":")
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        function = getattr(importlib.import_module(module_name), function_name, None)
        if not callable(function):
            raise DataError(f"data {name!r}: module {module_name} has no function {function_name}")
        return function()
    except PinatError:
        raise
    except ModuleNotFoundError as error:
        raise DataError(f"data {name!r}: {error}", hint="run in the module's folder, or install it") from error
    except (Exception, SystemExit) as error:
        raise DataError(f"data {name!r}: it raised {type(error).__name__}: {error}",
                        hint="the function takes no arguments and returns (x, y), x or a dict of arrays") from error
    finally:
        sys.path.remove(here)


def dataset_from(value: Any, name: str, preprocess: Preprocess | None) -> Dataset:
    """x, (x, y), a dict with labels under y, (dict, y), a `Dataset`, or batches of these. Raises `DataError`."""
    if isinstance(value, Dataset):
        return value if preprocess is None else replace(value, preprocess=preprocess)
    named = _named(value)
    if named is None and isinstance(value, Iterable):
        named = _joined(value, name)
    if named is None:
        raise DataError(f"{name}: {type(value).__name__} is not data",
                        hint="give an array, (x, y), a dict of arrays, or batches of these")
    labels = named.pop(LABELS, None)
    return Dataset.from_arrays(named, labels, name=name, preprocess=preprocess)


def for_model(data: Dataset, inputs: Sequence[str] | None) -> Dataset:
    """The data set with the model's input names, in the model's order. Raises `DataError` when they do not match."""
    if inputs is None or data.input_names == tuple(inputs):
        return data
    given = dict(data.sources)
    if len(inputs) == len(given) == 1:
        return replace(data, sources={inputs[0]: next(iter(given.values()))})
    missing = [name for name in inputs if name not in given]
    unused = [name for name in given if name not in inputs]
    if missing or unused:
        raise DataError(f"{data.name}: the model's inputs are {', '.join(inputs)}; the data gives {', '.join(given)}",
                        hint="name the arrays after the model's inputs, and the labels y")
    return replace(data, sources={name: given[name] for name in inputs})


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or (hasattr(value, "__array__") and hasattr(value, "shape"))


def _named(value: Any) -> dict[str, Any] | None:
    """x, (x,), (x, y), a dict by input name or (dict, y), as a new dict; ``None`` for anything else."""
    if _is_array(value):
        return {"x": value}
    if isinstance(value, Mapping):
        return {str(key): array for key, array in value.items()}
    if not isinstance(value, tuple) or len(value) not in (1, 2) or not all(map(_is_array, value[1:])):
        return None
    named = None if isinstance(value[0], tuple) else _named(value[0])
    return named if named is None or len(value) == 1 else {**named, LABELS: value[1]}


def _joined(batches: Iterable[Any], name: str) -> dict[str, Any] | None:
    """Batches joined along the first axis; a batch may be the list that a DataLoader makes of (x, y)."""
    columns: dict[str, list[Array]] = {}
    for number, batch in enumerate(batches):
        named = _named(tuple(batch) if isinstance(batch, list) else batch)
        if named is None or (number and set(named) != set(columns)):
            raise DataError(f"{name}: batch {number} is not an array, (x, y) or dict like those before it",
                            hint="each batch gives the same inputs, with or without labels")
        for key, array in named.items():
            columns.setdefault(key, []).append(np.asarray(array))
    if not columns:
        raise DataError(f"{name}: there are no batches", hint="an iterator gives its batches only once")
    try:
        return {key: np.concatenate(parts) for key, parts in columns.items()}
    except ValueError as error:
        raise DataError(f"{name}: the batches do not join: {error}") from error
