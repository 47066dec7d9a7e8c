"""How fast this project and others simulate a layer or a network, as multiples of plain torch float32.

    python -m benchmarks.speed --json benchmarks/results/speed.json --page docs/speed.md      everything
    python -m benchmarks.speed --only linear --tool pinat-compile --quick                     a first look
    python -m benchmarks.speed --variant "128 rows" --mode inference --clock cpu --threads 1
    python -m benchmarks.speed --python crosssim=/path/to/python   a tool that is installed elsewhere

Every tool runs in a process of its own; those from the registry in an environment of their own, which is made at the
first run. In every round each case is measured once, plain torch right before it in the same process; a case's ratio is
the median over the rounds. The order of the cases changes from round to round. ``--clock cpu`` counts processor time
instead of wall time, which other work on the machine disturbs less.

A job is one inference of a batch, or one training step: forward, mean square as loss, backward to weights and inputs,
SGD. In training this project programs another chip at every step, as its fine-tuning does. What other tools leave out
of the physics stands in their file in ``benchmarks/speed/tools``.
"""

from __future__ import annotations

import argparse
import random
import sys
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.speed.environments import ROOT, TOOLS, python_for
from benchmarks.speed.processes import Process, Settings, worker
from benchmarks.speed.report import Case, Timing, machine, tables, write_json, write_table
from benchmarks.speed.workloads import PLAIN, WORKLOADS, Unavailable

MODES = {"inference": (False,), "training": (True,), "both": (False, True)}
OURS, PLAIN_TOOL = "pinat-compile", "torch-float32"
MEMORY_OF = ("128 rows", "512 rows", "128 rows, state-dependent read noise")


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.speed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), help="workloads")
    parser.add_argument("--tool", nargs="+", choices=TOOLS, default=list(TOOLS))
    parser.add_argument("--variant", nargs="+", help="only variants in whose name one of these texts occurs")
    parser.add_argument("--mode", choices=MODES, default="both")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--least", type=float, default=0.3, help="seconds that one measurement takes at least")
    parser.add_argument("--threads", type=int, default=machine()["cores"] or 1)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--python", nargs="+", default=[], metavar="TOOL=PATH", help="interpreters that have a tool")
    parser.add_argument("--environments", type=Path, default=ROOT / "build" / "speed", help="where they are made")
    parser.add_argument("--memory", action=argparse.BooleanOptionalAction, default=None, help="peaks of it")
    parser.add_argument("--quick", action="store_true", help="3 rounds of 0.05 s, no memory, nothing written")
    parser.add_argument("--smoke", action="store_true", help="tiny networks: whether it works at all")
    parser.add_argument("--json", type=Path, help="write every figure into this file")
    parser.add_argument("--page", type=Path, help="write the tables into this page, between its marks")
    given = parser.parse_args(arguments)
    if given.quick or given.smoke:
        given.rounds, given.least = 3, 0.05 if given.quick else 0.0
    if given.memory is None:
        given.memory = not (given.quick or given.smoke)
    return given


def main(arguments: list[str] | None = None) -> None:
    given = parsed(arguments)
    settings = Settings(given.threads, given.clock, given.smoke)
    with ExitStack() as stack:
        workers = started(given, settings, stack)
        timings = prepared(workers, given)
        run_rounds(timings, workers, given)
        versions = {name: process.ask("versions")["versions"] for name, process in workers.items()}
    document = {
        "machine": machine(),
        "settings": {"threads": given.threads, "clock": given.clock, "least_s": given.least},
        "versions": versions,
        "timings": [timing.document() for timing in timings],
        "memory": memory(timings, settings) if given.memory else [],
    }
    print(tables(document))
    if given.json:
        write_json(document, given.json)
    if given.page:
        write_table(document, given.page)


def started(given: argparse.Namespace, settings: Settings, stack: ExitStack) -> dict[str, Process]:
    """A worker for every tool that is wanted and can be had."""
    elsewhere = dict(item.split("=", 1) for item in given.python)
    workers = {}
    for name in given.tool:
        python = python_for(TOOLS[name], given.environments, elsewhere.get(name))
        if python is None:
            say(f"{name}: not installed here, left out (--python {name}=PATH)")
        else:
            workers[name] = stack.enter_context(worker(name, python, settings))
    return workers


def prepared(workers: dict[str, Process], given: argparse.Namespace) -> list[Timing]:
    """Every case that was asked for and that its tool can do, built and run once."""
    found = []
    for workload in given.only:
        for tool, process in workers.items():
            for train in MODES[given.mode]:
                found += offered(process, tool, workload, train, given.variant)
    return found


def offered(process: Process, tool: str, workload: str, train: bool, names: list[str] | None) -> list[Timing]:
    """The cases of one tool, as far as it can do them; what it cannot is said."""
    found = []
    try:
        variants = process.ask("offers", workload=workload, train=train)["variants"]
    except Unavailable as reason:
        say(f"{tool}: {reason}")
        return []
    for variant in variants:
        if names and not any(text in variant for text in names):
            continue
        case = Case(workload, tool, variant, train)
        try:
            found.append(Timing(case, process.ask("prepare", **case.request)["runs"]))
        except Unavailable as reason:
            say(f"{case}: {reason}")
        else:
            say(f"{case}: ready")
    return found


def run_rounds(timings: list[Timing], workers: dict[str, Process], given: argparse.Namespace) -> None:
    for number in range(given.rounds):
        order = random.Random(number).sample(timings, len(timings))
        for timing in order:
            answer = workers[timing.case.tool].ask("measure", **timing.case.request, least_s=given.least)
            timing.plain_s.append(answer["plain_s"])
            timing.own_s.append(answer["own_s"])
        say(f"round {number + 1} of {given.rounds}")


def memory(timings: list[Timing], settings: Settings) -> list[dict[str, Any]]:
    """Peak memory of this project and of plain torch, each in a fresh process, for some of the cases."""
    found: list[dict[str, Any]] = []
    for timing in timings:
        case = timing.case
        if case.tool == OURS and case.variant in MEMORY_OF:
            try:
                plain, own = peak(replace(case, tool=PLAIN_TOOL, variant=PLAIN), settings), peak(case, settings)
            except Unavailable as reason:
                say(f"memory of {case}: {reason}")
                continue
            found.append({**case.request, "plain_bytes": plain, "own_bytes": own})
            say(f"memory of {case}: {own / 1e6:.1f} MB, plain {plain / 1e6:.1f} MB")
    return found


@cache
def peak(case: Case, settings: Settings) -> int:
    # large blocks straight from the system, and back to it: what is freed is not counted
    with worker(case.tool, sys.executable, settings, MALLOC_MMAP_THRESHOLD_="65536") as process:
        return int(process.ask("memory", **case.request)["peak_bytes"])


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
