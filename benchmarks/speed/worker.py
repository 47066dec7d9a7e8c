"""One tool in a process of its own: reads requests from stdin and answers on stdout, one JSON document a line.

    {"do": "offers", "workload": …, "train": …}               → {"variants": […]}
    {"do": "prepare", "workload": …, "variant": …, "train": …} → {"runs": n}, or {"unavailable": why}
    {"do": "measure", …the same…, "least_s": …}                → {"plain_s": …, "own_s": …}
    {"do": "memory", …the same…}                               → {"peak_bytes": …}, for a fresh process
    {"do": "versions"}                                         → {"versions": {…}}

Every measurement is of a pair, in this process and one after the other: plain torch float32, then the tool. So the
ratio of the two means the same whatever else the machine does, and whatever torch the tool is installed with.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

import torch

from benchmarks.speed.memory import peak_bytes
from benchmarks.speed.workloads import PLAIN, WORKLOADS, Job, Unavailable, Workload, plain, smoke

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


@dataclass
class Worker:
    """The jobs of one tool, each made once."""

    tool: str
    clock: str = "wall"
    small: bool = False
    jobs: dict[tuple[Any, ...], Job] = field(default_factory=dict)
    counts: dict[tuple[Any, ...], int] = field(default_factory=dict)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        do = getattr(self, request.pop("do"))
        try:
            found: dict[str, Any] = do(**request)
        except Unavailable as reason:
            return {"unavailable": str(reason)}
        except Exception as error:  # other people's code: whatever it raises, the other cases go on
            return {"unavailable": f"{type(error).__name__}: {error}"}
        return found

    def offers(self, workload: str, train: bool) -> dict[str, Any]:
        return {"variants": list(self._module().variants(self._workload(workload), train=train))}

    def prepare(self, workload: str, variant: str, train: bool) -> dict[str, Any]:
        for name in (PLAIN, variant):
            self._job(workload, name, train)()
        runs = getattr(self._module(), "runs", None)
        return {"runs": 1 if runs is None else runs(variant)}

    def measure(self, workload: str, variant: str, train: bool, least_s: float) -> dict[str, Any]:
        return {
            f"{which}_s": self._seconds((workload, name, train), least_s)
            for which, name in (("plain", PLAIN), ("own", variant))
        }

    def memory(self, workload: str, variant: str, train: bool) -> dict[str, Any]:
        """Peak of resident memory over a few steps, beyond that of the process with its libraries loaded."""
        make_small = Worker(self.tool, small=True)
        for name in {PLAIN, variant}:  # whatever is imported or set up once
            make_small._job(workload, name, train)()
        return {"peak_bytes": peak_bytes(lambda: self._job(workload, variant, train))}

    def versions(self) -> dict[str, Any]:
        found = {"torch": torch.__version__, "threads": str(torch.get_num_threads())}
        with contextlib.suppress(PackageNotFoundError):
            found[self.tool] = version(self.tool)
        return {"versions": found}

    def _seconds(self, key: tuple[Any, ...], least_s: float) -> float:
        """Of one job: as many in a row as fill ``least_s``."""
        job, clock = self.jobs[key], CLOCKS[self.clock]
        if key not in self.counts:
            started = time.perf_counter()
            job()
            self.counts[key] = max(1, round(least_s / max(time.perf_counter() - started, 1e-9)))
        started = clock()
        for _ in range(self.counts[key]):
            job()
        return (clock() - started) / self.counts[key]

    def _job(self, workload: str, variant: str, train: bool) -> Job:
        key = (workload, variant, train)
        if key not in self.jobs:
            chosen = self._workload(workload)
            if variant == PLAIN:
                self.jobs[key] = plain(chosen, train=train)
            else:
                made: Job = self._module().job(chosen, variant, train=train)
                self.jobs[key] = made
        return self.jobs[key]

    def _module(self) -> ModuleType:
        return import_module(f"benchmarks.speed.tools.{self.tool.replace('-', '_')}")

    def _workload(self, name: str) -> Workload:
        return smoke(WORKLOADS[name]) if self.small else WORKLOADS[name]


def main() -> None:
    tool, clock, size = sys.argv[1:4]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    worker = Worker(tool, clock, size == "smoke")
    for line in sys.stdin:
        print(json.dumps(worker.answer(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
