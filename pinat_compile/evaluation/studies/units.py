"""Units of work of a study: train a network, try it on validation chips, judge it on test chips.

Each is a function of the study, its folder and what it is asked for, and may run in any process that sees the folder:
networks are put there, rows are given back. What is done twice gives the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pinat_compile.compiler.compiled import Compiled
from pinat_compile.data import Dataset, as_dataset
from pinat_compile.evaluation.accuracy import run_on
from pinat_compile.evaluation.deploying import deployments_for
from pinat_compile.evaluation.running import Run
from pinat_compile.evaluation.studies.entries import Entry
from pinat_compile.evaluation.studies.file import Study
from pinat_compile.evaluation.studies.networks import Made, Networks, Training
from pinat_compile.simulator.conditions import VALIDATION_CHIPS
from pinat_compile.simulator.deployment import Deployment
from pinat_compile.simulator.module import Simulator

Share = Callable[[float], None] | None
"""Called with the share of a unit that is done."""


def train(bench: Bench, wanted: Training, *, tell: Share = None) -> Made:
    """Put the network into the study's folder; the rows that say what it took."""
    return bench.networks.train(wanted, tell)


def validate(bench: Bench, entry: Entry, key: str, severities: Sequence[float], *, tell: Share = None) -> list[float]:
    """Mean accuracy of a trained network on validation images and validation chips, at each severity."""
    protocol = bench.study.protocol
    chips = range(VALIDATION_CHIPS, VALIDATION_CHIPS + protocol.validation_chips)
    bench.telling(tell, len(severities))
    runs = [bench.on_chips(entry, key, bench.networks.validation, chips, m, with_ideal=False) for m in severities]
    return [sum(run.scores.per_chip) / len(chips) for run in runs]


def judge(
    bench: Bench, entry: Entry, seed: int, key: str, condition: str, severity: float, alone: bool, *, tell: Share = None
) -> list[dict[str, Any]]:
    """Rows of a trained network on all test chips under one condition; ``alone``: and without any chip."""
    runs = bench.tested(entry, seed, key, condition, severity, with_ideal=alone, tell=tell)
    rows: list[dict[str, Any]] = []
    if alone:
        for name in ("reference", "ideal"):
            tallies = [getattr(run.scores, f"of_{name}") for run in runs]
            mean = sum(tally.total for tally in tallies) / sum(tally.samples for tally in tallies)
            rows.append({**entry.where, "seed": seed, "key": key, "condition": name, "top1": mean})
    unit = {**entry.where, "seed": seed, "key": key, "condition": condition, "severity": severity}
    return rows + [
        {**unit, "chip": chip, "top1": tally.mean, "top5": tally.mean_top5 if run.scores.has_top5 else None}
        for run in runs for chip, tally in run.scores.of_chips.items()
    ]


@dataclass
class Bench:
    """Runs networks of a study on chips, and keeps what several units need: data, and the network of the last one."""

    networks: Networks
    tell: Share = None
    runs: int = 1
    run: int = 0
    last: tuple[str, Compiled] | None = field(default=None)

    @property
    def study(self) -> Study:
        return self.networks.study

    def telling(self, tell: Share, runs: int) -> None:
        """What is told is the share of so many runs."""
        self.tell, self.runs, self.run = tell, runs, 0

    def network(self, key: str) -> Compiled:
        if self.last is None or self.last[0] != key:
            self.last = key, self.networks.load(key)
        return self.last[1]

    @cached_property
    def test_data(self) -> Dataset:
        return as_dataset(self.study.path(self.study.network.test), preprocess=self.networks.preprocess, split="test")

    def tested(
        self, entry: Entry, seed: int, key: str, condition: str, severity: float, *, with_ideal: bool, tell: Share
    ) -> list[Run]:
        """Finished runs over all test chips: one together, or one each, on images of its own."""
        chips, count = self.study.protocol.test_chips, self.study.protocol.images_per_chip
        given: dict[str, Any] = {
            "dynamic": None if condition == "static" else condition, "with_ideal": with_ideal
        }
        if count is None:
            self.telling(tell, 1)
            return [self.on_chips(entry, key, self.test_data, chips, severity, seed=seed, **given)]
        deployments = self._deployed(entry, key, chips, severity, seed)
        self.telling(tell, len(chips))
        return [
            self.on_chips(
                entry, key, self.test_data.slice(place * count, (place + 1) * count), [chip], severity,
                seed=seed * len(chips) + place, deploy=deployments[place : place + 1], **given,
            ) for place, chip in enumerate(chips)
        ]

    def on_chips(
        self, entry: Entry, key: str, data: Any, chips: Sequence[int], severity: float, *,
        seed: int = 0, deploy: Sequence[Deployment] | None = None, **given: Any,
    ) -> Run:
        steps = entry.mode.deploy
        found = run_on(
            self.network(key), data, chips, self._ideal(entry, key, severity, seed), metric="top1", bare=False,
            deploy=steps if deploy is None else deploy,
            deploy_data=self.networks.unlabelled if steps and deploy is None else None,
            deploy_samples=self.study.protocol.samples, progress=self._progress, **given,
        )
        self.run += 1
        return found

    def _deployed(self, entry: Entry, key: str, chips: Sequence[int], severity: float, seed: int) -> list[Deployment]:
        if not entry.mode.deploy:
            return []
        found = deployments_for(
            self.network(key), self._ideal(entry, key, severity, seed), chips, entry.mode.deploy,
            self.networks.unlabelled, judged=None, samples=self.study.protocol.samples, time=None,
        )
        return [found[chip] for chip in chips]

    def _ideal(self, entry: Entry, key: str, severity: float, seed: int) -> Simulator:
        return self.network(key).simulator(
            noise=False, seed=seed, severity=severity, time=entry.target.time, device=self.study.protocol.device
        )

    def _progress(self, done: int, total: int) -> None:
        if self.tell is not None:
            self.tell((self.run + done / total) / self.runs)
