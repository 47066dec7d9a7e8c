"""Writing a target as TOML: every value with its source, in the form in which it is read."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from pinat_compile.hardware.checks import kinds
from pinat_compile.hardware.names import DEFAULT, HEAD, OVERRIDDEN, SCHEMA, UNSOURCED, plain, sections
from pinat_compile.hardware.schema import Target


def dump_target(target: Target) -> str:
    """TOML text, every value written out with its source, that loads back to an equal Target."""
    lines = [f"schema = {SCHEMA}", *(f"{key} = {toml_value(getattr(target, key))}" for key in HEAD)]
    for name, cls in sections().items():
        section = getattr(target, name)
        if section is None:
            continue
        values = {key: getattr(section, key) for key in kinds(plain(cls)) if getattr(section, key) is not None}
        lines += ["", f"[{name}]", *(f"{key} = {toml_value(value)}" for key, value in values.items())]
        sources = {key: target.sources[f"{name}.{key}"] for key in values if f"{name}.{key}" in target.sources}
        lines += _source_lines(name, sources, complete=len(sources) == len(values))
    return "\n".join(lines) + "\n"


def _source_lines(section: str, sources: dict[str, str], *, complete: bool) -> list[str]:
    """``source`` for what most keys share (only if every key has a source), ``sources`` for the others."""
    if not sources:
        return []
    common, count = Counter(sources.values()).most_common(1)[0]
    if not complete or (count <= 1 < len(sources)) or common in (OVERRIDDEN, DEFAULT, UNSOURCED):
        common = ""
    lines = [f"source = {toml_value(common)}"] if common else []
    others = {key: source for key, source in sources.items() if source != common}
    if others:
        lines += [f"[{section}.sources]", *(f"{key} = {toml_value(source)}" for key, source in others.items())]
    return lines


def toml_value(value: Any) -> str:
    """A value as TOML: bool, number (NumPy's too), string, or a list of them."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    return repr(value)
