"""docs/networks.md: its tables are those that the script makes of the results, and its links lead somewhere."""

from __future__ import annotations

import re

import pytest

from benchmarks.networks.rows import ROOT
from benchmarks.networks.tables import PAGE, TABLES, rendered

TEXT = PAGE.read_text(encoding="utf-8")


def test_tables_are_those_of_the_results() -> None:
    assert all(f"<!-- begin {name} -->" in TEXT and f"<!-- end {name} -->" in TEXT for name in TABLES)
    assert rendered(TEXT) == TEXT


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(((?!https?:)[^)#]+)\)", TEXT))))
def test_links_lead_somewhere(target: str) -> None:
    assert (ROOT / "docs" / target).exists()
