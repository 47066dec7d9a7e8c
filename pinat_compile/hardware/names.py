"""The names a target file may use, and what to say of one that it may not."""

from __future__ import annotations

import types
from collections.abc import Iterable
from dataclasses import MISSING, fields
from difflib import get_close_matches
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from pinat_compile.errors import TargetError
from pinat_compile.hardware.checks import UNITS, Section, kinds
from pinat_compile.hardware.schema import Target

SCHEMA = 1
"""Version of the file format; the key ``schema`` of every target."""

HEAD = ("name", "technology", "title")
"""The keys beside ``schema`` that stand before the sections."""

OVERRIDDEN, DEFAULT, UNSOURCED = "--set", "default", "unsourced"
"""Sources of a value that was overridden, left at its default, or given without saying where it comes from."""


@cache
def sections() -> dict[str, type[Section]]:
    """Section name -> class, in the order of Target."""
    found: dict[str, type[Section]] = {}
    for name, hint in get_type_hints(Target).items():
        options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
        for cls in options:
            if isinstance(cls, type) and issubclass(cls, Section):
                found[name] = cls
    return found


def section_keys() -> list[str]:
    """``section.key`` of everything that a target file can say."""
    return [f"{name}.{key}" for name, cls in sections().items() for key in kinds(plain(cls))]


def required(section: str) -> bool:
    """Whether every target must have that section."""
    item = next(item for item in fields(Target) if item.name == section)
    return item.default is MISSING and item.default_factory is MISSING


def section_class(section: str, where: str) -> type[Section]:
    """The class of a section; TargetError for a name that no section has."""
    known = sections()
    if section not in known:
        listing = f"sections: {', '.join(known)}"
        raise TargetError(f"{where}: unknown section {section!r}", hint=_join(near(section, known), listing))
    return known[section]


def check_key(section: str, key: str, where: str) -> None:
    """TargetError for a key that the section does not have."""
    known = kinds(plain(sections()[section]))
    if key not in known:
        hint = _unit_hint(key, known) or near(key, known)
        listing = f"keys of [{section}]: {', '.join(known)}"
        raise TargetError(f"{where}: unknown key {section}.{key}", hint=_join(hint, listing))


def _join(*parts: str | None) -> str:
    return "; ".join(part for part in parts if part)


def _unit_hint(key: str, known: Iterable[str]) -> str | None:
    """For a key that is right but for its unit (``g_max_ms``, ``g_max``): the key, and the unit that it is in."""
    for right in known:
        stem, _, unit = right.rpartition("_")
        if stem and unit in UNITS and (key == stem or key.rpartition("_")[0] == stem):
            return f"did you mean {right}? it is in {UNITS[unit]}"
    return None


def near(word: str, known: Iterable[str]) -> str | None:
    """The nearest known name, as a question."""
    matches = get_close_matches(word, list(known), n=1)
    return f"did you mean {matches[0]}?" if matches else None


def needs(name: str, cls: type[Section]) -> str:
    """The keys without which a section cannot be."""
    needed = [item.name for item in fields(cls) if item.default is MISSING]  # type: ignore[arg-type]
    return f"[{name}] needs {', '.join(needed)}" if needed else f"write [{name}]; all its keys have defaults"


def plain(cls: Any) -> Any:
    """A class as a plain hashable object (mypy takes the class's __hash__ for its instances')."""
    return cls
