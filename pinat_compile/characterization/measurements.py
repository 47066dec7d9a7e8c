"""Measurements of devices: a CSV file, or arrays, checked cell by cell.

One row per read. ``g_target_us``: what the device was programmed to, ``g_us``: what was read, ``time_s`` since it was
programmed; ``temperature_k`` and ``device`` may be left out. Every programming of a device is a device of its own: give
it its own id, else its reads count as repeated ones.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pinat_compile.errors import DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NUMBERS = ("g_target_us", "g_us", "time_s", "temperature_k")
REQUIRED = NUMBERS[:3]
COLUMNS = (*NUMBERS, "device")
RANGES = {"g_target_us": (0.0, 1e9), "g_us": (-1e9, 1e9), "time_s": (0.0, 1e12), "temperature_k": (1.0, 2000.0)}
"""What a cell may hold, in µS, seconds and kelvin."""

MOST = 5_000_000
"""Rows of a file, at most."""

_HEADER = "the first line names the columns: g_target_us,g_us,time_s and, where known, temperature_k,device"


@dataclass(frozen=True, eq=False)
class Measurements:
    """Reads [n]: conductances in µS, seconds since programming, kelvin; ``device`` numbers from 0, ``names`` theirs.

    ``None``: not recorded. ``unused``: columns of the file that mean nothing here.
    """

    g_target_us: Floats
    g_us: Floats
    time_s: Floats
    temperature_k: Floats | None = None
    device: Ints | None = None
    names: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    source: str = "arrays"

    def __len__(self) -> int:
        return len(self.g_us)


def read_measurements(path: str | Path) -> Measurements:
    """The measurements of a CSV file in UTF-8, columns parted by comma, semicolon or tab.

    Empty lines and lines that begin with # are skipped. Raises DataError, which names the line.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise DataError(f"{path}: not a regular file", hint="give a CSV file")
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _read(str(path), path.name, file)
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else (error.strerror or "cannot be read")
        raise DataError(f"{path}: {reason}", hint="give a CSV file") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: not a text file in UTF-8", hint="save it as CSV in UTF-8") from None
    except csv.Error as error:
        raise DataError(f"{path}: not CSV: {error}", hint=_HEADER) from None


def from_arrays(columns: Mapping[str, Any], source: str = "arrays") -> Measurements:
    """The same from arrays (or lists) of equal length, by column name; devices may be numbers or strings."""
    header = list(columns)
    _check_header(source, header)
    arrays = {name: np.asarray(columns[name]).ravel() for name in header if name in COLUMNS}
    lengths = {name: len(values) for name, values in arrays.items()}
    if len(set(lengths.values())) != 1:
        raise DataError(f"{source}: columns of different lengths: {lengths}", hint="one entry per read in each")
    numbers = {}
    for name in set(arrays) & set(NUMBERS):
        try:
            numbers[name] = arrays[name].astype(np.float64)
        except (TypeError, ValueError):
            raise DataError(f"{source}: {name} is not all numbers", hint="give floats") from None
        _check_range(source, name, numbers[name], range(1, len(numbers[name]) + 1), "row")
    return _build(source, numbers, [str(item) for item in arrays["device"].tolist()] if "device" in arrays else None,
                  tuple(name for name in header if name not in COLUMNS))


def _read(where: str, source: str, file: Any) -> Measurements:
    lines = ((number, line) for number, line in enumerate(file, 1) if line.strip() and not line.startswith("#"))
    first = next(lines, None)
    if first is None:
        raise DataError(f"{where}: is empty", hint=_HEADER)
    separator = max(",;\t", key=first[1].count)
    header = [cell.strip().lower() for cell in next(csv.reader([first[1]], delimiter=separator))]
    _check_header(where, header)
    rows = list(islice(_rows(where, lines, separator, len(header)), MOST + 1))
    if len(rows) > MOST:
        raise DataError(f"{where}: more than {MOST:,} measurements", hint="a part of them determines the models too")
    if not rows:
        raise DataError(f"{where}: has a header and no measurements", hint="one line per read")
    numbers = {name: _column(where, name, header.index(name), rows) for name in NUMBERS if name in header}
    place = header.index("device") if "device" in header else None
    devices = None if place is None else [cells[place].strip() for _, cells in rows]
    for (number, _), name in zip(rows, devices or (), strict=False):
        if not name:
            raise DataError(f"{where}, line {number}: device is empty", hint="name each, or leave the column out")
    return _build(source, numbers, devices, tuple(name for name in header if name not in COLUMNS))


def _rows(
    where: str, lines: Iterator[tuple[int, str]], separator: str, width: int
) -> Iterator[tuple[int, list[str]]]:
    for number, line in lines:
        cells = next(csv.reader([line], delimiter=separator))
        if len(cells) != width:
            raise DataError(f"{where}, line {number}: {len(cells)} cells, but the header has {width}",
                            hint="numbers use a decimal point, not a comma" if separator == "," else _HEADER)
        yield number, cells


def _check_header(where: str, header: Sequence[str]) -> None:
    for name in REQUIRED:
        if name not in header:
            guess = get_close_matches(name, header, n=1)
            raise DataError(f"{where}: no column {name}; it has {', '.join(header)[:200]}",
                            hint=f"rename {guess[0]!r}, if that is it and its unit fits" if guess else _HEADER)
    for name in header:
        if list(header).count(name) > 1:
            raise DataError(f"{where}: two columns are called {name!r}", hint="rename or remove one")
        near = get_close_matches(name, [other for other in COLUMNS if other not in header], n=1, cutoff=0.7)
        if name not in COLUMNS and near:
            raise DataError(f"{where}: unknown column {name!r}", hint=f"did you mean {near[0]}? rename or remove it")


def _column(where: str, name: str, place: int, rows: Sequence[tuple[int, list[str]]]) -> Floats:
    values = np.empty(len(rows))
    for index, (number, cells) in enumerate(rows):
        try:
            values[index] = float(cells[place])
        except ValueError:
            shown = cells[place].strip()[:40]
            said = f"{name} is empty" if not shown else f"{name} = {shown!r} is not a number"
            raise DataError(f"{where}, line {number}: {said}",
                            hint="numbers use a decimal point and no unit; leave out lines without a value") from None
    _check_range(where, name, values, [number for number, _ in rows], "line")
    return values


def _check_range(where: str, name: str, values: Floats, numbers: Sequence[int], word: str) -> None:
    low, high = RANGES[name]
    wrong = np.flatnonzero(~((values >= low) & (values <= high)))
    if len(wrong):
        more = f" (and {len(wrong) - 1:,} more)" if len(wrong) > 1 else ""
        said = f"{name} = {values[wrong[0]]:g} is not between {low:g} and {high:g}{more}"
        raise DataError(f"{where}, {word} {numbers[wrong[0]]}: {said}",
                        hint="leave out what was not measured, and check the unit")


def _build(source: str, numbers: dict[str, Floats], devices: list[str] | None, unused: tuple[str, ...]) -> Measurements:
    codes: Ints | None = None
    names: tuple[str, ...] = ()
    if devices is not None:
        order = {name: code for code, name in enumerate(dict.fromkeys(devices))}
        codes, names = np.array([order[name] for name in devices], np.int64), tuple(order)
    if not len(numbers["g_us"]) or not math.isfinite(float(numbers["g_us"].sum())):
        raise DataError(f"{source}: no measurements", hint="one row per read")
    clean = "".join(letter if letter.isprintable() else "?" for letter in source)[:200]
    return Measurements(**numbers, device=codes, names=names, unused=unused, source=clean)
