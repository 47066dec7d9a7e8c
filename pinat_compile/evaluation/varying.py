"""Values to try, as text: ``array.rows=64,128,256`` and ``adc.bits=5..8``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import product

from pinat_compile.errors import OptionError

Varied = dict[str, tuple[str, ...]]
"""Key of the target -> its values, as ``--set`` takes them."""

Progress = Callable[[int, int, str], None]
"""Called with points done, points in all, and a word on the present one."""

LARGEST_RANGE = 1000


def parse_varied(texts: Mapping[str, Sequence[object]] | Sequence[str], also: Sequence[str] = ()) -> Varied:
    """``section.key=V1,V2,…`` or ``section.key=LOW..HIGH`` (whole numbers, ends included); or a mapping of lists.

    ``also``: keys without a section that may stand there too.
    Raises OptionError for anything else, and for a key that is given twice.
    """
    if isinstance(texts, Mapping):
        return {key: tuple(_text(value) for value in values) for key, values in texts.items()}
    varied: Varied = {}
    for text in texts:
        key, equals, values = (part.strip() for part in text.partition("="))
        if not equals or not (re.fullmatch(r"\w+\.\w+", key) or key in also) or not values:
            raise OptionError(f"--vary {text}: not of the form section.key=V1,V2,…", hint="try --vary adc.bits=5..8")
        if key in varied:
            raise OptionError(f"--vary {text}: {key} is varied twice", hint="give all its values at once")
        varied[key] = tuple(value for part in values.split(",") for value in _values(part.strip(), text))
    if not varied:
        raise OptionError("nothing is varied", hint="try --vary adc.bits=5..8")
    return varied


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _values(part: str, text: str) -> list[str]:
    ends = re.fullmatch(r"(-?\d{1,9})\.\.(-?\d{1,9})", part)
    if ends is None:
        if not part:
            raise OptionError(f"--vary {text}: an empty value", hint="values stand between commas")
        return [part]
    low, high = int(ends[1]), int(ends[2])
    if not low <= high < low + LARGEST_RANGE:
        raise OptionError(f"--vary {text}: {part} is not a range of 1 to {LARGEST_RANGE:,} numbers")
    return [str(number) for number in range(low, high + 1)]


def grid(varied: Varied) -> list[tuple[str, ...]]:
    """Every combination, as overrides."""
    keys = list(varied)
    return [
        tuple(f"{key}={value}" for key, value in zip(keys, values, strict=True))
        for values in product(*varied.values())
    ]


def grid_size(varied: Varied) -> int:
    size = 1
    for values in varied.values():
        size *= len(values)
    return size
