"""Checking a section against its annotations: types, ranges, choices. Messages name key, value and allowed range."""

from __future__ import annotations

import math
import types
from dataclasses import dataclass, fields
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from pinat_compile.errors import TargetError


@dataclass(frozen=True, slots=True)
class Between:
    """The allowed range of a number, bounds included unless ``above`` says that the lower one is not."""

    low: float
    high: float = math.inf
    above: bool = False

    def holds(self, value: float) -> bool:
        return (value > self.low if self.above else value >= self.low) and value <= self.high

    def __str__(self) -> str:
        lower = f"more than {self.low:g}" if self.above else f"{self.low:g}"
        if math.isinf(self.high):
            return lower if self.above else f"{lower} or more"
        return f"{lower} and at most {self.high:g}" if self.above else f"{lower} to {self.high:g}"

    def nearest(self, value: float) -> str:
        """What to try in the place of a value outside; empty where no bound is a legal value."""
        bound = self.high if value > self.high else self.low
        return "" if self.above and bound == self.low else f"the nearest allowed value is {bound:g}"


POSITIVE = Between(0.0, above=True)
NOT_NEGATIVE = Between(0.0)
SHARE = Between(0.0, 1.0)

LARGEST = 1e12
"""No number of a target is larger, whatever its unit."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a key takes: the bare type (``tuple[float, ...]``, a Literal, …), whether it may be ``None``, the range."""

    type: Any
    optional: bool
    allowed: Between | None

    @property
    def words(self) -> str:
        if get_origin(self.type) is Literal:
            return "one of " + ", ".join(f'"{choice}"' for choice in get_args(self.type))
        plain = {int: "a whole number", float: "a number", bool: "true or false", str: "a string in quotes"}
        if self.type in plain:
            return plain[self.type] + (f", {self.allowed}" if self.allowed else "")
        depth = str(self.type).count("tuple[")
        return ("a list of " if depth == 1 else "a list of lists of ") + "numbers" + (
            f", each {self.allowed}" if self.allowed else ""
        )


@cache
def kinds(cls: Any) -> dict[str, Kind]:
    """Key -> kind, for every field of a section class."""
    hints = get_type_hints(cls, include_extras=True)
    return {field.name: _kind(hints[field.name]) for field in fields(cls)}


def _kind(hint: Any) -> Kind:
    optional, allowed = False, None
    while True:
        origin = get_origin(hint)
        if origin is Annotated:
            hint, *marks = get_args(hint)
            allowed = next((mark for mark in marks if isinstance(mark, Between)), allowed)
        elif origin in (Union, types.UnionType):
            parts = [part for part in get_args(hint) if part is not type(None)]
            (hint,), optional = parts, True
        else:
            return Kind(hint, optional, allowed)


class Section:
    """What all sections share: they check themselves when they are made."""

    __slots__ = ()
    section: ClassVar[str]

    def __post_init__(self) -> None:
        cls: Any = type(self)
        for key, kind in kinds(cls).items():
            _check(f"{self.section}.{key}", getattr(self, key), kind)
        self.check()

    def check(self) -> None:
        """Relations between the keys of one section; raises TargetError."""

    def wrong(self, key: str, why: str, hint: str | None = None) -> TargetError:
        return TargetError(f"{self.section}.{key} = {show(getattr(self, key))}: {why}", hint=hint)


def _check(name: str, value: Any, kind: Kind) -> None:
    if value is None and kind.optional:
        return
    for number in _numbers(value):
        if isinstance(number, int | float) and LARGEST < abs(number) < math.inf:
            raise TargetError(
                f"{name} = {show(value)}: no number may be larger than {LARGEST:g}", hint="check it, and its unit"
            )
    if not _has_type(value, kind.type):
        raise TargetError(f"{name} = {show(value)}: must be {kind.words}", hint=_type_hint(name, value, kind))
    if kind.allowed is None:
        return
    for number in _numbers(value):
        if not kind.allowed.holds(number):
            hint = kind.allowed.nearest(number)
            if kind.optional:
                hint = "; ".join(filter(None, (hint, f"--set {name}=none leaves it out")))
            raise TargetError(f"{name} = {show(value)}: must be {kind.words}", hint=hint or None)


def _has_type(value: Any, expected: Any) -> bool:
    if get_origin(expected) is Literal:
        return value in get_args(expected)
    if get_origin(expected) is tuple:
        return isinstance(value, tuple) and all(_has_type(item, get_args(expected)[0]) for item in value)
    if expected is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if expected is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, expected)


def _type_hint(name: str, value: Any, kind: Kind) -> str | None:
    if get_origin(kind.type) is Literal:
        near = get_close_matches(str(value), [str(choice) for choice in get_args(kind.type)], n=1, cutoff=0.5)
        return f'did you mean "{near[0]}"?' if near else None
    if isinstance(value, str) and kind.type in (int, float):
        try:
            float(value)
        except ValueError:
            unit = name.rsplit("_", 1)[-1] if "_" in name.rsplit(".", 1)[-1] else None
            return f"write the bare number; the unit stands in the key ({unit})" if unit in UNITS else None
        return f"write it without quotes: {value}"
    return None


def _numbers(value: Any) -> list[Any]:
    if isinstance(value, tuple):
        return [number for item in value for number in _numbers(item)]
    return [value]


def show(value: Any) -> str:
    """A value as a target file has it, for messages."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(show(item) for item in value) + "]"
    if isinstance(value, int) and value.bit_length() > 128:
        return f"a whole number of {value.bit_length()} bits"
    return f'"{value}"' if isinstance(value, str) else f"{value}"


UNITS = {
    "us": "µS",
    "s": "seconds",
    "ev": "electronvolts",
    "ns": "nanoseconds",
    "v": "volts",
    "pj": "picojoules",
    "ohm": "ohms",
    "rms": "multiples of the rms",
    "lsb": "steps of the converter",
    "hz": "hertz",
}
"""Unit suffixes of keys, and what they say."""
