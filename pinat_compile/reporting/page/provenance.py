"""Every figure down to the numbers of the target that made it, each with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pinat_compile.cost.provenance import FIGURES, RATIOS, Constant, Explanation, explain
from pinat_compile.cost.value import COMPONENTS
from pinat_compile.hardware.checks import kinds
from pinat_compile.hardware.loader import is_verified
from pinat_compile.hardware.names import plain, sections
from pinat_compile.hardware.schema import Target
from pinat_compile.hardware.writer import toml_value
from pinat_compile.reporting.explanation import shown
from pinat_compile.reporting.printable import printable
from pinat_compile.reporting.terminal import COMPONENTS as WORDS

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Number:
    """One number of a target, as text. ``verified``: its source can be looked up."""

    key: str
    value: str
    source: str
    verified: bool


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure, how it is made, and what from."""

    key: str
    label: str
    value: str
    how: str
    numbers: tuple[Number, ...]

    @property
    def doubtful(self) -> int:
        return sum(not number.verified for number in self.numbers)


LABELS = {"energy_j.total": "energy of a sample", "write_energy_j": "energy of writing",
          "latency_s": "time for a sample", "interval_s": "interval between samples", "area_mm2": "area",
          "arrays": "arrays", "ops": "operations",
          "digital_energy_j": "energy on digital arrays", "tops_per_watt": "TOPS/W",
          "tops_per_watt_1b": "TOPS/W in 1-bit operations", "macs_per_joule": "products per joule"}  # fmt: skip


def figures(document: Document, target: Target) -> list[Figure]:
    """Every figure of the totals that was computed."""
    energies = [f"energy_j.{name}" for name in COMPONENTS if document["totals"]["energy_j"][name]]
    keys = ["energy_j.total", *energies, *FIGURES, *RATIOS]
    found = [explain(document, target, key) for key in keys]
    return [_figure(each) for each in found if each.value is not None]


def _figure(found: Explanation) -> Figure:
    component = found.key.partition(".")[2]
    label = LABELS.get(found.key) or f"energy: {WORDS.get(component, component)}"
    return Figure(found.key, label, shown(found.key, found.value), found.how, tuple(map(_number, found.constants)))


def _number(constant: Constant) -> Number:
    value = constant.value if isinstance(constant.value, str) else toml_value(constant.value)
    return Number(constant.key, printable(value), printable(constant.source), constant.verified)


def numbers(target: Target) -> list[Number]:
    """Every number that the target gives, section by section, whether a figure is made of it or not."""
    found = []
    for name, kind in sections().items():
        section = getattr(target, name)
        for key in () if section is None else kinds(plain(kind)):
            value = getattr(section, key)
            if value is not None:
                source = target.sources.get(f"{name}.{key}", "default")
                found.append(
                    _number(Constant(f"{name}.{key}", value, source, source == "default" or is_verified(source)))
                )
    return found
