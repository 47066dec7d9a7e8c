"""The page of results shows what the committed rows say."""

from __future__ import annotations

import math

from examples.energy_based import summary
from examples.energy_based.data import RESULTS, read_rows


def test_tables_of_the_page_are_those_of_the_rows() -> None:
    page = summary.PAGE.read_text("utf-8")
    for name, text in summary.blocks().items():
        assert f"<!-- {name} -->\n{text}\n<!-- end of {name} -->" in page, f"python -m {summary.__name__}"


def test_every_arm_ran_on_the_same_chips() -> None:
    rows = read_rows(RESULTS / "boltzmann_digits.csv")
    chips = {arm: [(r["seed"], r["chip"]) for r in rows if r["arm"] == arm] for arm in summary.arms(rows)}
    on_chips = [found for arm, found in chips.items() if not arm.startswith("a")]
    assert len(on_chips) == 7 and all(found == on_chips[0] for found in on_chips)


def test_the_chains_estimate_is_close_where_the_exact_likelihood_is_known() -> None:
    for row in read_rows(RESULTS / "boltzmann_digits.csv"):
        if row["arm"] == "a ideal":
            assert math.isclose(float(row["log_likelihood"]), float(row["of_energy"]), abs_tol=0.1)
