"""How an evaluation scales over worker processes on one machine: Ray with 1 to N workers of one thread each.

    OMP_NUM_THREADS=1 python -m benchmarks.engine_scaling [WORKERS]

The shipped network on reram_128x128, 200 images, 12 chips. Starting Ray and the workers' first import of torch are
timed apart, as they are spent once. Every table of scores is compared with that of this process; in the last round one
worker is killed after a second. Writes benchmarks/results/engine_scaling.csv.
"""

from __future__ import annotations

import csv
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import pinat_compile as pc
from pinat_compile.engines.on_ray import Ray

ROOT = Path(__file__).parents[1]
DATA = "fashion-mnist-mini@test[:200]"
CHIPS = 12
KILL_AFTER_S = 1.0
OUTPUT = Path(__file__).parent / "results" / "engine_scaling.csv"


def process_id(pause: float, *, tell: Any = None) -> int:
    """A unit that is long enough for every worker to get one."""
    sleep(pause)
    return os.getpid()


def judged(compiled: pc.Compiled, engine: Any = None) -> tuple[float, pc.Evaluation]:
    started = perf_counter()
    found = pc.evaluate(compiled, DATA, chips=CHIPS, engine=engine)
    return perf_counter() - started, found


def rounds(compiled: pc.Compiled, most: int) -> Iterator[dict[str, Any]]:
    seconds, here = judged(compiled)
    yield {"engine": "this process", "workers": 1, "start_s": 0.0, "seconds": seconds, "speed_up": 1.0, "same": True}
    for workers in range(1, most + 1):
        started = perf_counter()
        engine = Ray(workers=workers)
        try:
            judged(compiled, engine)  # every worker has imported torch and holds the network
            start = perf_counter() - started
            spent, found = judged(compiled, engine)
            row = {"engine": "ray", "workers": workers, "start_s": start, "seconds": spent}
            yield {**row, "speed_up": seconds / spent, "same": found == here}
            if workers == most > 1:
                ids = {pid for _, pid in engine.run(process_id, [(0.5,)] * (2 * workers))}
                timer = threading.Timer(KILL_AFTER_S, os.kill, (max(ids), signal.SIGKILL))
                timer.start()
                spent, found = judged(compiled, engine)
                timer.join()
                row = {"engine": "ray, one worker killed", "workers": workers, "start_s": start, "seconds": spent}
                yield {**row, "speed_up": seconds / spent, "same": found == here}
        finally:
            engine.close()


def main(most: int) -> None:
    compiled = pc.compile(ROOT / "examples" / "resnet8_fashion_mnist.onnx", "reram_128x128")
    judged(compiled)
    rows = []
    for row in rounds(compiled, most):
        rows.append({name: round(value, 2) if isinstance(value, float) else value for name, value in row.items()})
        print(rows[-1], flush=True)
    with open(OUTPUT, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    from benchmarks import engine_scaling  # the name that workers know this module by

    engine_scaling.main(int(sys.argv[1]) if len(sys.argv) > 1 else len(os.sched_getaffinity(0)))
