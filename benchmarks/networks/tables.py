"""Write the tables of docs/networks.md anew from benchmarks/results.

    python -m benchmarks.networks.tables
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import mean

from benchmarks.networks.rows import ROOT, read

PAGE = ROOT / "docs" / "networks.md"
NAMES = {300.0: "5 min", 3600.0: "1 h", 86400.0: "1 d", 2.592e6: "30 d", 3.1558e7: "1 y"}
STEPS = {"none": "as it is", "drift": "drift", "moments": "moments", "drift,moments": "drift, moments"}


def speech() -> list[str]:
    """Agreement with the reference: mean over the chips, and the worst of them."""
    found = read("speech")
    lines = []
    for time, name in NAMES.items():
        cells = []
        for steps in STEPS:
            chips = [float(row["agreement"]) for row in found
                     if row["steps"] == steps and row["time_s"] and float(row["time_s"]) == time]  # fmt: skip
            cells.append(f"{100 * mean(chips):.1f} ({100 * min(chips):.1f})")
        lines.append([name, *cells])
    return table(["after", *STEPS.values()], lines)


def sentences() -> list[str]:
    """Mean over the chips, by severity."""
    columns = ("cosine", "cosine_p5", "spearman", "kendall", "top1", "spearman_index", "top1_index")
    found = read("minilm")
    lines = []
    for severity in sorted({float(row["severity"]) for row in found}):
        chips = [row for row in found if float(row["severity"]) == severity]
        figures = [f"{mean(float(row[column]) for row in chips):.3f}" for column in columns]
        lines.append([f"{severity:g}", str(len(chips)) if severity else "ideal", *figures])
    titles = ("cosine", "5th percentile", "Spearman", "Kendall", "neighbour", "Spearman, index", "neighbour, index")
    return table(["severity", "chips", *titles], lines)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


TABLES = {"speech": speech, "sentences": sentences}


def rendered(page: str) -> str:
    """``page`` with every table between its marks made anew."""
    for name, made in TABLES.items():
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        before, _, rest = page.partition(begin)
        after = rest.partition(end)[2]
        page = before + begin + "\n".join(made()) + "\n" + end + after
    return page


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
