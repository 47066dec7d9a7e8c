"""What was measured: statistics, the JSON document, and the tables of the docs."""

from __future__ import annotations

import json
import platform
import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.speed.workloads import WORKLOADS


@dataclass(frozen=True, slots=True)
class Case:
    """One row of a table in one mode: a workload, a tool and its variant, inference or training."""

    workload: str
    tool: str
    variant: str
    train: bool

    @property
    def request(self) -> dict[str, Any]:
        return {"workload": self.workload, "variant": self.variant, "train": self.train}

    def __str__(self) -> str:
        return f"{self.workload}, {self.tool}, {self.variant}, {'training' if self.train else 'inference'}"


@dataclass
class Timing:
    """Pairs of seconds, plain torch and the tool, one pair a round; the tool's stand for ``runs`` plain ones."""

    case: Case
    runs: int = 1
    plain_s: list[float] = field(default_factory=list)
    own_s: list[float] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        return [own / plain / self.runs for plain, own in zip(self.plain_s, self.own_s, strict=True)]

    def document(self) -> dict[str, Any]:
        return {
            **asdict(self.case),
            "runs": self.runs,
            "rounds": len(self.own_s),
            "plain_s": statistics.median(self.plain_s),
            "own_s": statistics.median(self.own_s),
            "ratio": quartiles(self.ratios),
        }


def quartiles(values: Sequence[float]) -> dict[str, float]:
    """Median, first and third quartile."""
    if len(values) == 1:
        return dict.fromkeys(("median", "q1", "q3"), values[0])
    q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": median, "q1": q1, "q3": q3}


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    names = re.findall(r"^model name\s*:\s*(.*)$", _cpuinfo(), re.MULTILINE)
    return {"processor": names[0] if names else platform.processor(), "cores": len(names)}


def _cpuinfo() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text() if path.is_file() else ""


def tables(document: dict[str, Any]) -> str:
    """Markdown: a table per workload, then one of memory."""
    parts = [_measured_on(document)]
    for name, workload in WORKLOADS.items():
        rows = [row for row in document["timings"] if row["workload"] == name]
        if rows:
            head = f"| {workload.title} | inference | training step |"
            parts.append("\n".join((head, "|---|---|---|", *_rows(rows))))
    if document["memory"]:
        head = "| peak memory | plain torch | this project | ratio |"
        parts.append("\n".join((head, "|---|---|---|---|", *map(_memory_row, document["memory"]))))
    return "\n\n".join(parts) + "\n"


def _measured_on(document: dict[str, Any]) -> str:
    found, settings = document["machine"], document["settings"]
    rounds = max((row["rounds"] for row in document["timings"]), default=0)
    versions = ", ".join(f"{tool} {v[tool]}" for tool, v in document["versions"].items() if tool in v)
    return (
        f"{found['processor']}, {settings['threads']} of {found['cores']} cores, {settings['clock']} time, "
        f"median (quartiles) of {rounds} rounds; {versions}."
    )


def _rows(rows: Sequence[dict[str, Any]]) -> Iterable[str]:
    names = dict.fromkeys((row["tool"], row["variant"]) for row in rows)
    modes = {(row["tool"], row["variant"], row["train"]): row for row in rows}
    if rows:
        plain = [_plain_time([row for row in rows if row["train"] == train]) for train in (False, True)]
        yield f"| plain torch float32 | {plain[0]} | {plain[1]} |"
    for tool, variant in names:
        cells = [_ratio(modes.get((tool, variant, train))) for train in (False, True)]
        yield f"| {tool}: {variant} | {cells[0]} | {cells[1]} |"


def _plain_time(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return "–"
    milliseconds = 1e3 * statistics.median(row["plain_s"] for row in rows)
    return f"{milliseconds:.0f} ms" if milliseconds >= 100 else f"{milliseconds:.3g} ms"


def _ratio(row: dict[str, Any] | None) -> str:
    if row is None:
        return "–"
    ratio = row["ratio"]
    return f"{ratio['median']:.2f}× ({ratio['q1']:.2f}–{ratio['q3']:.2f})"


def _memory_row(row: dict[str, Any]) -> str:
    plain, own = row["plain_bytes"], row["own_bytes"]
    name = f"{row['workload']}, {row['variant']}, {'training' if row['train'] else 'inference'}"
    return f"| {name} | {plain / 1e6:.1f} MB | {own / 1e6:.1f} MB | {own / plain:.2f}× |"


def write_json(document: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")


def write_table(document: dict[str, Any], path: Path, section: str = "speed") -> None:
    """Put the tables between the marks of ``section`` in a page that has them."""
    begin, end = f"<!-- begin {section} -->\n", f"<!-- end {section} -->"
    before, found, rest = path.read_text("utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f"{path}: has no place for the tables: write {begin.strip()} and {end} there")
    path.write_text(f"{before}{begin}{tables(document)}{end}{after}", "utf-8")
