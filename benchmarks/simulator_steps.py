"""What each step towards plain float32 gained: layers simulated with one idea after the other taken away again.

    python -m benchmarks.simulator_steps        writes benchmarks/results/simulator_steps.csv

Processor time of one thread, which others on the machine disturb less; plain torch before and after each case, medians,
in turns. The layers and the training step are those of `benchmarks.speed`.
"""

from __future__ import annotations

import csv
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed.tools.pinat_compile import chips_in_turn, compiled_for, trained
from benchmarks.speed.workloads import WORKLOADS, Job, Workload, inference, plain, training
from pinat_compile.simulator.arrays import ArrayMatrix
from pinat_compile.simulator.planned import PlannedMatrix

RESULTS = Path(__file__).parent / "results" / "simulator_steps.csv"
ROUNDS = 5
SECONDS = 0.4
"""Per measurement, about."""


@contextmanager
def without(**taken_away: bool) -> Iterator[None]:
    """Without reads in few passes (``passes``), or without devices from stock (``stock``)."""
    kept: list[tuple[Any, str, Any]] = []
    for wanted, owner, name in (("passes", ArrayMatrix, "_streamlined"), ("stock", PlannedMatrix, "stocked")):
        if taken_away.get(wanted):
            kept.append((owner, name, getattr(owner, name)))
            setattr(owner, name, lambda *_: None)
    try:
        yield
    finally:
        for owner, name, before in kept:
            setattr(owner, name, before)


def infer(workload: Workload, *, anew: bool) -> Job:
    chip = compiled_for(workload, ()).simulator(chip=0)
    chip.draw_anew = anew
    return inference(chip, workload.inputs())


def learn(workload: Workload) -> Job:
    simulator = compiled_for(workload, ()).simulator()
    return training(chips_in_turn(simulator), workload.inputs(), trained(simulator))


CASES: dict[str, tuple[str, bool, dict[str, bool]]] = {
    "array by array, noise drawn anew": ("inference", True, {"passes": True}),
    "array by array, noise from the bank": ("inference", False, {"passes": True}),
    "in few passes, noise drawn anew": ("inference", True, {}),
    "in few passes, noise from the bank": ("inference", False, {}),
    "training, array by array, devices one by one": ("training", False, {"passes": True, "stock": True}),
    "training, in few passes, devices one by one": ("training", False, {"stock": True}),
    "training, in few passes, devices from stock": ("training", False, {}),
}


def seconds(job: Job) -> float:
    """Processor seconds of one run, warm: as many runs went before."""
    for _ in range(2):
        runs, started = 0, time.process_time()
        while time.process_time() - started < SECONDS:
            job()
            runs += 1
        taken = (time.process_time() - started) / runs
    return taken


def measured(workload: Workload) -> list[dict[str, Any]]:
    plain_jobs = {mode: plain(workload, train=mode == "training") for mode in ("inference", "training")}
    jobs: dict[str, Callable[[], object]] = {}
    for name, (mode, anew, _) in CASES.items():
        jobs[name] = learn(workload) if mode == "training" else infer(workload, anew=anew)
    ratios: dict[str, list[float]] = {name: [] for name in CASES}
    for turn in range(-1, ROUNDS):
        for name, (mode, _, taken_away) in CASES.items():
            base = seconds(plain_jobs[mode])
            with without(**taken_away):
                found = seconds(jobs[name])
            if turn >= 0:
                ratios[name].append(found / base)
    return [
        {"layer": workload.title, "case": name, "ratio": f"{statistics.median(each):.2f}",
         "lowest": f"{min(each):.2f}", "highest": f"{max(each):.2f}"}
        for name, each in ratios.items()
    ]


def main() -> None:
    torch.set_num_threads(1)
    rows = [row for name in ("linear", "conv") for row in measured(WORKLOADS[name])]
    with RESULTS.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        print(f"{row['layer']:40} {row['case']:48} {row['ratio']}x ({row['lowest']} to {row['highest']})")


if __name__ == "__main__":
    main()
