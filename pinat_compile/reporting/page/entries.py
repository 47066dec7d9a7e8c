"""The network as a line of entries: layers one by one, and where there are many, digital operators between them added
up, so that a network of thousands of operators stays readable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

Document = Mapping[str, Any]

ONE_BY_ONE = 80
"""Layers up to which every operator is an entry."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One place along the network: a layer, or digital operators that follow each other. Sums over ``layers``."""

    name: str
    layers: tuple[Document, ...]

    @property
    def analog(self) -> bool:
        return bool(self.layers[0]["where"] == "analog")

    @property
    def op(self) -> str:
        return ", ".join(dict.fromkeys(layer["op"] for layer in self.layers))

    def total(self, *path: str) -> float | None:
        """The sum of a figure over the entry's layers; None where it is known of none."""
        values = [value for layer in self.layers if (value := _at(layer, path)) is not None]
        return sum(values) if values else None

    @property
    def only(self) -> Document | None:
        """The layer, where it is one."""
        return self.layers[0] if len(self.layers) == 1 else None


def _at(layer: Document, path: Sequence[str]) -> Any:
    value: Any = layer
    for key in path:
        value = None if value is None else value[key]
    return value


def entries(layers: Sequence[Document]) -> list[Entry]:
    """The layers of a report document, in their order."""
    if len(layers) <= ONE_BY_ONE:
        return [Entry(layer["name"], (layer,)) for layer in layers]
    return list(_grouped(layers))


def _grouped(layers: Sequence[Document]) -> Iterator[Entry]:
    for where, group in groupby(layers, key=lambda layer: layer["where"]):
        members = tuple(group)
        if where == "analog" or len(members) == 1:
            yield from (Entry(layer["name"], (layer,)) for layer in members)
        else:
            yield Entry(f"{members[0]['name']} and {len(members) - 1} more", members)


def arcs(found: Sequence[Entry], edges: Sequence[tuple[str, str]]) -> list[tuple[int, int]]:
    """Which entries read which others, by position, each pair once; what stays inside an entry is left out."""
    at = {layer["name"]: index for index, entry in enumerate(found) for layer in entry.layers}
    pairs = {(at[a], at[b]) for a, b in edges if a in at and b in at}
    return sorted((a, b) for a, b in pairs if a != b)
