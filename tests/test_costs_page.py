"""docs/costs.md is true: it names every section and component of the costs, and its tables are the scripts'."""

import csv
import re
from pathlib import Path

import pytest

from pinat_compile.cost.value import COMPONENTS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "costs.md").read_text("utf-8")
COSTS = ("energy", "converter", "chip", "timing", "leakage", "area", "power", "layout")


@pytest.mark.parametrize("section", COSTS)
def test_every_section_has_its_line(section: str) -> None:
    assert re.search(rf"^\| `\[{section}\]`", PAGE, re.MULTILINE)


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_component_has_its_line(component: str) -> None:
    assert re.search(rf"^\| .*`{component}`.* \|", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("name", "file"), [
    ("published", "published_chips"), ("presets", "presets"), ("mapping", "mapping"),
])
def test_tables_are_those_of_the_results(name: str, file: str) -> None:
    shown = PAGE.split(f"<!-- begin {name} -->")[1].split(f"<!-- end {name} -->")[0].strip().splitlines()
    with (ROOT / "benchmarks" / "results" / f"{file}.csv").open(encoding="utf-8", newline="") as text:
        rows = list(csv.reader(text))
    assert [line.strip("|").strip().split("|") for line in (shown[0], *shown[2:])] == [
        (" " + " | ".join(row) + " ").strip().split("|") for row in rows
    ]


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(((?!https?:)[^)#]+)\)", PAGE))))
def test_links_lead_somewhere(target: str) -> None:
    assert (ROOT / "docs" / target).exists()
