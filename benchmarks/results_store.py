"""Load test of the results store: 8 processes write 100,000 rows at once, some of them the same; none lost or doubled.

    python -m benchmarks.results_store

Each process adds its own 12,500 rows, ten at a time, and all of them add the same 2,000 rows in between. Then each is
started again and adds all of its rows once more, as a run does that starts again without knowing what it had done. In
another store half of the writers are killed on the way, and then all are started again. Writes
benchmarks/results/results_store.csv.
"""

from __future__ import annotations

import csv
import multiprocessing
import os
import signal
import tempfile
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

from pinat_compile.engines import Store

WRITERS = 8
ROWS = 100_000
TOGETHER = 10
SHARED = 2_000
OUTPUT = Path(__file__).parent / "results" / "results_store.csv"


def row(writer: int, number: int) -> dict[str, Any]:
    """About as large as what a study keeps of one chip."""
    return {"target": "reram_128x128", "mode": "a", "method": f"m{writer}", "seed": 0, "condition": "static",
            "severity": 1.0, "chip": number, "top1": number / ROWS, "top5": None}


def write(path: Path, writer: int) -> None:
    own = ROWS // WRITERS
    with Store(path) as store:
        for start in range(0, own, TOGETHER):
            numbers = range(start, start + TOGETHER)
            store.add("own", {f"{writer}.{number}": row(writer, number) for number in numbers})
            if start < SHARED:
                store.add("shared", {str(number): number for number in numbers})


def count(path: Path) -> int:
    with Store(path) as store:
        return len(store.rows("own"))


def round_of(path: Path, killed: int) -> dict[str, float]:
    """All writers together, ``killed`` of them killed on the way; what it took, and what is there then.

    ``missing``: rows of writers that were killed before they came to them; of writers that ended none may be missing.
    """
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write, args=(path, number)) for number in range(WRITERS)]
    started = perf_counter()
    for writer in writers:
        writer.start()
    while killed and count(path) < ROWS // 5:
        sleep(0.1)
    for writer in writers[:killed]:
        if writer.is_alive() and writer.pid is not None:
            os.kill(writer.pid, signal.SIGKILL)
    for writer in writers:
        writer.join()
    seconds = perf_counter() - started
    with Store(path) as store:
        own, shared = store.rows("own"), store.rows("shared")
    wanted = {f"{w}.{n}": row(w, n) for w in range(WRITERS) for n in range(ROWS // WRITERS)}
    found = dict(own)
    return {
        "killed": sum(writer.exitcode == -signal.SIGKILL for writer in writers),
        "rows": len(own), "missing": len(wanted.keys() - found.keys()), "doubled": len(own) - len(found),
        "wrong": sum(wanted.get(key) != value for key, value in own), "shared": len(shared),
        "shared_doubled": len(shared) - len(dict(shared)), "seconds": round(seconds, 1),
    }


def main() -> None:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.sqlite"
        broken = Path(folder) / "broken.sqlite"
        for name, file, killed in (("8 writers", path, 0), ("the same again", path, 0),
                                   ("4 of 8 killed", broken, 4), ("restarted", broken, 0)):
            rows.append({"round": name, **round_of(file, killed)})
            print(rows[-1], flush=True)
    with open(OUTPUT, "w", encoding="utf-8", newline="") as file_:
        writer = csv.DictWriter(file_, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
