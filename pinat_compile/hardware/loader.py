"""Reading targets: shipped by name, a user's by path, both through the same strict checks; and writing one back.

A file holds ``schema``, ``name``, ``technology`` and ``title``, then one table per section. ``source`` in a table says
where all its values come from, ``sources.KEY`` where one of them does.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any, get_args, get_origin

from pinat_compile.errors import TargetError
from pinat_compile.hardware import names
from pinat_compile.hardware.checks import LARGEST, Section, kinds, show
from pinat_compile.hardware.names import (
    DEFAULT,
    HEAD,
    OVERRIDDEN,
    SCHEMA,
    UNSOURCED,
    check_key,
    near,
    needs,
    plain,
    section_class,
)
from pinat_compile.hardware.schema import Target
from pinat_compile.hardware.writer import dump_target as dump_target
from pinat_compile.hardware.writer import toml_value

_SOURCES = ("source", "sources")


def list_targets() -> tuple[str, ...]:
    """Names of the shipped targets, sorted."""
    folder = resources.files("pinat_compile.targets")
    return tuple(sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml")))


def load_target(name_or_path: str | Path, overrides: Mapping[str, Any] | Sequence[str] = ()) -> Target:
    """The target of that shipped name or in that TOML file, with ``overrides`` applied.

    ``overrides``: ``"section.key=VALUE"`` strings (or a mapping of key to VALUE), VALUE as in TOML, bare words are
    strings; ``none`` takes a key, or with ``section=none`` a whole section, out. They pass the same checks as the file.
    Raises TargetError, which names file or override, key, and what is allowed.
    """
    where, text = _read(name_or_path)
    try:
        data = tomllib.loads(text)
    except RecursionError:
        raise TargetError(f"{where}: not TOML: nested too deeply", hint="lists have two levels at most") from None
    except ValueError as error:  # also of numbers with thousands of digits
        raise TargetError(f"{where}: not TOML: {error}", hint="strings need quotes, lists stand in [ ]") from None
    draft = _draft(data, where)
    changes = [_parse_override(text) for text in _override_texts(overrides)]
    if changes:
        _build(draft)  # so that a mistake of the file is not blamed on the override
        for section, key, value in changes:
            draft.override(section, key, value)
        draft.where = f"{where} with --set"
    return _build(draft)


def overridden(target: Target, overrides: Mapping[str, Any] | Iterable[str]) -> Target:
    """A target with some of its values changed, as ``load_target`` changes them; TargetError for what cannot be."""
    draft = _draft(tomllib.loads(dump_target(target)), f"target {target.name}")
    for section, key, value in (_parse_override(text) for text in _override_texts(overrides)):
        draft.override(section, key, value)
    draft.where = f"target {target.name} with --set"
    return _build(draft)


def is_verified(source: str) -> bool:
    """Whether a source names something that can be looked up: no assumption, nothing from memory, not unsourced."""
    doubtful = ("assumption", "from memory", UNSOURCED, OVERRIDDEN)
    return not any(word in source.lower() for word in doubtful)


# --- reading ---


def _read(name_or_path: str | Path) -> tuple[str, str]:
    """How messages call the target, and its text."""
    if isinstance(name_or_path, str) and not name_or_path.endswith(".toml") and Path(name_or_path).name == name_or_path:
        shipped = list_targets()
        if name_or_path not in shipped:
            known = f"shipped: {', '.join(shipped)}; or give the path of a .toml file"
            guess = near(name_or_path, shipped)
            raise TargetError(f"unknown target {name_or_path!r}", hint=f"{guess} {known}" if guess else known)
        resource = resources.files("pinat_compile.targets").joinpath(f"{name_or_path}.toml")
        return f"target {name_or_path}", resource.read_text(encoding="utf-8")
    path = Path(name_or_path)
    try:
        if path.exists() and not path.is_file():
            raise TargetError(f"target {path}: not a regular file", hint="give the path of a .toml file")
        return str(path), path.read_text(encoding="utf-8-sig")
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else (error.strerror or "cannot be read")
        raise TargetError(f"target {path}: {reason}", hint=f"shipped targets: {', '.join(list_targets())}") from None
    except UnicodeDecodeError:
        raise TargetError(f"target {path}: not a text file in UTF-8", hint="save it as UTF-8") from None


@dataclass(slots=True)
class _Draft:
    """A target on its way: values as TOML gives them, and where each comes from."""

    where: str
    head: dict[str, str]
    values: dict[str, dict[str, Any]] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)

    def override(self, section: str, key: str | None, value: Any) -> None:
        section_class(section, f"--set {section}")
        if key is None:
            for old in self.values.pop(section, {}):
                self.sources.pop(f"{section}.{old}", None)
            return
        check_key(section, key, f"--set {section}.{key}")
        name = f"{section}.{key}"
        if value is None:
            self.values.get(section, {}).pop(key, None)
            self.sources.pop(name, None)
        else:
            self.values.setdefault(section, {})[key] = value
            self.sources[name] = OVERRIDDEN


def _draft(data: dict[str, Any], where: str) -> _Draft:
    version = data.get("schema")
    if version != SCHEMA or isinstance(version, bool):
        said = "is missing" if version is None else f"= {show(version)} is not known"
        raise TargetError(f"{where}: schema {said}", hint=f"this version reads schema = {SCHEMA}")
    for key in HEAD:
        if not isinstance(data.get(key), str):
            raise TargetError(f"{where}: {key} must be given, as a string", hint=f'try {key} = "{_EXAMPLE[key]}"')
    draft = _Draft(where, {key: data[key] for key in HEAD})
    for section, table in data.items():
        if section in ("schema", *HEAD):
            continue
        section_class(section, where)
        if not isinstance(table, dict):
            raise TargetError(f"{where}: {section} is a section", hint=f"write [{section}] and its keys below it")
        _read_section(draft, section, table)
    return draft


_EXAMPLE = {"name": "my_chip", "technology": "crossbar", "title": "What this chip is, in a line"}


def _read_section(draft: _Draft, section: str, table: dict[str, Any]) -> None:
    where = draft.where
    common, own = table.get("source"), table.get("sources", {})
    if common is not None and not isinstance(common, str):
        raise TargetError(f"{where}: {section}.source must be a string")
    if not isinstance(own, dict) or not all(isinstance(source, str) for source in own.values()):
        raise TargetError(f"{where}: {section}.sources must map keys to strings", hint='sources = { key = "…" }')
    values = {key: value for key, value in table.items() if key not in _SOURCES}
    for key in values:
        check_key(section, key, where)
    for key in own:
        if key not in values:
            raise TargetError(f"{where}: {section}.sources.{key}: the section has no such key", hint=near(key, values))
    draft.values[section] = values
    for key in values:
        draft.sources[f"{section}.{key}"] = own.get(key, common if common is not None else UNSOURCED)


def _build(draft: _Draft) -> Target:
    sections: dict[str, Section] = {}
    sources = dict(draft.sources)
    for name, cls in names.sections().items():
        if name not in draft.values:
            if names.required(name):
                raise TargetError(f"{draft.where}: section [{name}] is missing", hint=needs(name, cls))
            continue
        sections[name] = _make(cls, name, draft)
    try:
        target = Target(**draft.head, **sections, sources=sources)  # type: ignore[arg-type]
    except TargetError as error:
        raise TargetError(f"{draft.where}: {error.message}", hint=error.hint) from None
    for name in names.sections():
        section = getattr(target, name)
        for key in kinds(plain(type(section))) if section is not None else ():
            if getattr(section, key) is not None:
                sources.setdefault(f"{name}.{key}", DEFAULT)
    return target


def _make(cls: type[Section], name: str, draft: _Draft) -> Section:
    values = draft.values[name]
    for item in fields(cls):  # type: ignore[arg-type]
        if item.default is MISSING and item.name not in values:
            raise TargetError(f"{draft.where}: {name}.{item.name} is missing", hint=needs(name, cls))
    try:
        return cls(**{key: _coerce(value, kinds(plain(cls))[key].type) for key, value in values.items()})
    except TargetError as error:
        raise TargetError(f"{draft.where}: {error.message}", hint=error.hint) from None


def _coerce(value: Any, expected: Any) -> Any:
    """TOML's lists as tuples, whole numbers as floats where a float is meant; anything wrong is left to the checks."""
    if isinstance(value, list):
        inner = get_args(expected)[0] if get_origin(expected) is tuple else Any
        return tuple(_coerce(item, inner) for item in value)
    if expected is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST:
        return float(value)
    return value


# --- overrides ---


def _override_texts(overrides: Mapping[str, Any] | Iterable[str]) -> list[str]:
    if isinstance(overrides, Mapping):
        return [f"{key}={value if isinstance(value, str) else toml_value(value)}" for key, value in overrides.items()]
    if isinstance(overrides, str):
        raise TargetError(f"overrides = {overrides!r}: must be a list of strings", hint=f"[{overrides!r}]")
    return list(overrides)


def _parse_override(text: str) -> tuple[str, str | None, Any]:
    """``section.key=value`` as (section, key, value); value ``None`` for ``none``, key ``None`` for a whole section."""
    name, equals, said = (part.strip() for part in text.partition("="))
    match = re.fullmatch(r"(\w+)(?:\.(\w+))?", name)
    if not equals or not match:
        raise TargetError(f"--set {text}: not of the form section.key=value", hint="for example --set adc.bits=6")
    section, key = match.groups()
    if said.lower() == "none":
        return section, key, None
    if key is None and section in HEAD:
        raise TargetError(f"--set {text}: {section} cannot be set", hint="write a .toml file of your own to change it")
    if key is None:
        raise TargetError(
            f"--set {text}: a section cannot take a value",
            hint=f"--set {section}.KEY={said}, or --set {section}=none to take it out",
        )
    value = literal(said)
    if value is None:
        raise TargetError(f"--set {text}: {said!r} is not a TOML value", hint='try 8, 0.5, "text", [1.0, 2.0]')
    return section, key, value


def literal(text: str) -> Any:
    """A TOML value, or a plain word as a string; ``None`` for anything else."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text if re.fullmatch(r"[A-Za-z_][\w.\-]*", text) else None
    return parsed["value"] if set(parsed) == {"value"} else None
