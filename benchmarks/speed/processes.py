"""Workers of several tools side by side: questions to them, and their answers."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.speed.environments import ROOT
from benchmarks.speed.workloads import Unavailable


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for all workers of a run."""

    threads: int
    clock: str = "wall"
    small: bool = False


@dataclass(frozen=True, slots=True)
class Process:
    """A running worker; see `benchmarks.speed.worker`."""

    tool: str
    running: subprocess.Popen[str]

    def ask(self, do: str, **given: Any) -> dict[str, Any]:
        """Its answer; Unavailable where it cannot, or where it has died."""
        assert self.running.stdin is not None and self.running.stdout is not None
        try:
            print(json.dumps({"do": do, **given}), file=self.running.stdin, flush=True)
            line = self.running.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise Unavailable(f"the process of {self.tool} ended; what it said stands above")
        answer: dict[str, Any] = json.loads(line)
        if "unavailable" in answer:
            raise Unavailable(answer["unavailable"])
        return answer


@contextmanager
def worker(tool: str, python: str, settings: Settings, **environment: str) -> Iterator[Process]:
    """A worker of ``tool`` in the interpreter ``python``; it ends with the block."""
    size = "smoke" if settings.small else "full"
    command = [python, "-m", "benchmarks.speed.worker", tool, settings.clock, size]
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": str(settings.threads),
        "OMP_WAIT_POLICY": "PASSIVE",  # a worker that waits for its turn does not take the others' time
        **environment,
    }
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    running = subprocess.Popen(command, text=True, cwd=ROOT, env=variables, **pipes)  # type: ignore[call-overload]
    try:
        yield Process(tool, running)
    finally:
        running.stdin.close()
        running.wait()
