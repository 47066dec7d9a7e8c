"""``study``: tune everything, train everything, then judge everything; each step is kept, and not done twice.

Three stages, one after the other for all targets, modes and methods, so that no test image and no test chip is looked
at before the last network is trained. A study that is broken off goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.folder import check_writable
from pinat_compile.compiler.manifest import is_unfinished
from pinat_compile.compiler.places import held, remove_unfinished, write_aside
from pinat_compile.data import Dataset, as_dataset
from pinat_compile.errors import FolderError, OptionError
from pinat_compile.evaluation.accuracy import run_on
from pinat_compile.evaluation.deploying import deployments_for
from pinat_compile.evaluation.running import Run
from pinat_compile.evaluation.studies.file import Contestant, Mode, On, Study, read_study
from pinat_compile.evaluation.studies.histograms import HISTOGRAM_COLUMNS, histograms
from pinat_compile.evaluation.studies.networks import Networks
from pinat_compile.evaluation.studies.rows import Rows
from pinat_compile.evaluation.studies.summary import summary, trained_at
from pinat_compile.simulator.conditions import VALIDATION_CHIPS
from pinat_compile.simulator.deployment import Deployment
from pinat_compile.simulator.module import Simulator

TUNING_COLUMNS = ("target", "mode", "method", "trial", "candidate", "key", "severity", "accuracy")
RESULT_COLUMNS = ("target", "mode", "method", "seed", "key", "condition", "severity", "chip", "top1", "top5")
FILE = "study.toml"
SUMMARY = "summary.json"

Watcher = Callable[[int, int, str], None]
"""Called with units done, units in all, and what is being done."""


class _OutOfTime(Exception):
    """The budget of this call is spent; nothing is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyResult:
    """Where a study stands: its folder, whether it is complete, and the summary of what is there."""

    folder: Path
    complete: bool
    done: int
    units: int
    summary: Mapping[str, Any]


def study(
    file: str | Path, output: str | Path, *, minutes: float | None = None, progress: Watcher | None = None
) -> StudyResult:
    """Run the study in ``file``, or go on with it, in the folder ``output``; stop cleanly after ``minutes``.

    The folder then holds ``study.toml``, the raw results (``results.csv``, ``tuning.csv``, ``networks.csv``,
    ``histories.csv``, ``histograms.csv``), the trained networks, and ``summary.json``, which is made from the raw
    results alone. Needs the extra ``study``. Raises OptionError, DataError, TargetError, FolderError.
    """
    read = read_study(file)
    folder = Path(output)
    check_writable_study(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder):
        for place in (folder, folder / "networks"):
            remove_unfinished(place)
        _take_folder(read, folder)
        deadline = None if minutes is None else monotonic() + 60.0 * minutes
        run = _Run(read, folder, progress, deadline)
        complete = True
        try:
            run.all()
        except _OutOfTime:
            complete = False
        found = write_summary(read, folder)
    return StudyResult(folder=folder, complete=complete, done=run.done, units=run.units, summary=found)


def write_summary(read: Study, folder: Path) -> Mapping[str, Any]:
    """``summary.json`` from the raw results in ``folder``."""
    found = summary(read, Rows(folder / "results.csv", RESULT_COLUMNS), Networks.rows_in(folder))
    text = json.dumps(found, indent=1, allow_nan=False) + "\n"
    write_aside(folder / SUMMARY, lambda file: file.write(text.encode()))
    return found


def check_writable_study(folder: Path) -> None:
    """FolderError where the folder belongs to somebody else; one that a study was killed in at its start is ours."""
    if (folder / FILE).is_file():
        return
    check_writable(folder)
    if folder.is_dir() and any(folder.iterdir()) and not is_unfinished(folder):
        raise FolderError(f"{folder}: is not empty and holds no study", hint="choose another -o")


def _take_folder(read: Study, folder: Path) -> None:
    """Put the study into its folder, first of all; FolderError where the folder holds another one."""
    kept = folder / FILE
    if not kept.is_file():
        write_aside(kept, lambda file: file.write(read.text.encode()))
    elif kept.read_bytes() != read.text.encode():
        raise FolderError(f"{folder}: holds another study, or an earlier form of this one", hint="choose another -o")


@dataclass(frozen=True, slots=True)
class _Entry:
    """One method on one target in one mode; ``at``: trained for this severity, and judged at it alone."""

    target: On
    mode: Mode
    method: Contestant
    at: float | None = None

    @property
    def where(self) -> dict[str, str]:
        title = self.method.title if self.at is None else trained_at(self.method.title, self.at)
        return {"target": self.target.title, "mode": self.mode.name, "method": title}

    @property
    def tuned(self) -> bool:
        """Whether it has trials of its own."""
        return self.mode.tuned_like is None and self.at is None

    def __str__(self) -> str:
        return ", ".join((self.target.title, f"mode {self.mode.name}", self.where["method"]))


@dataclass
class _Run:
    study: Study
    folder: Path
    progress: Watcher | None
    deadline: float | None
    done: int = 0

    def __post_init__(self) -> None:
        self.networks = Networks(self.study, self.folder, self._saying)
        self.tuning = Rows(self.folder / "tuning.csv", TUNING_COLUMNS)
        self.results = Rows(self.folder / "results.csv", RESULT_COLUMNS)
        self.pictures = Rows(self.folder / "histograms.csv", HISTOGRAM_COLUMNS)
        protocol = self.study.protocol
        self.conditions = [("static", m) for m in protocol.severities] + [(kind, 1.0) for kind in protocol.dynamic]
        self.units = sum(
            (entry.method.trials if entry.tuned else 0)
            + self.study.seeds(entry.target) * (1 + len(self._conditions(entry))) for entry in self.entries()
        )

    def entries(self) -> Iterator[_Entry]:
        for target in self.study.targets:
            for mode in self.study.modes:
                for method in self.study.methods:
                    if self.study.takes_part(method, mode):
                        yield _Entry(target, mode, method)
                if self.study.reference is not None and mode is self.study.modes[0]:
                    yield from (_Entry(target, mode, self.study.reference, m) for m in self.study.protocol.severities)

    def _conditions(self, entry: _Entry) -> list[tuple[str, float]]:
        if entry.at is not None:
            return [("static", entry.at)]
        chosen = self.study.protocol.dynamic_for
        if chosen and entry.method.title not in chosen:
            return [condition for condition in self.conditions if condition[0] == "static"]
        return self.conditions

    def all(self) -> None:
        """Tune, train, judge."""
        self._check_images()
        for entry in self.entries():
            if entry.tuned:
                self._tune(entry)
        trained = {}
        for entry in self.entries():
            for seed in range(self.study.seeds(entry.target)):
                trained[str(entry), seed] = self._train(entry, seed)
                self._tick(f"{entry}, seed {seed}: trained")
        self._draw()
        for entry in self.entries():  # test images and test chips from here on
            for seed in range(self.study.seeds(entry.target)):
                self._judge(entry, seed, trained[str(entry), seed])

    # --- tuning ---

    def _tune(self, entry: _Entry) -> None:
        """Train and judge candidates one after the other, on held-out images and validation chips."""
        best = entry.method.start
        self._try(entry, 0, best)
        setting = None
        for trial, (name, value) in enumerate(entry.method.changes(), 1):
            if name != setting:  # the next setting, with the best of those before it
                setting, best = name, self._chosen(entry)
            self._try(entry, trial, {**best, name: value})

    def _try(self, entry: _Entry, trial: int, candidate: Mapping[str, Any]) -> None:
        what = f"{entry}: trial {trial + 1} of {entry.method.trials}"
        known = {row["severity"] for row in self.tuning.where(**entry.where, trial=trial)}
        left = [s for s in self.study.protocol.validation_severities if str(s) not in known]
        if entry.method.trials > 1 and left:
            self._saying(what)
            key, network = self._network(entry, candidate, 0, self.study.protocol.trial_share)
            self.tuning.add([
                {**entry.where, "trial": trial, "candidate": json.dumps(candidate, sort_keys=True), "key": key,
                 "severity": severity, "accuracy": self._validated(entry, network, severity)}
                for severity in left
            ])
        self._tick(what)

    def _chosen(self, entry: _Entry) -> dict[str, Any]:
        """The candidate with the highest mean accuracy on validation chips; the first of equals."""
        if entry.at is not None:
            return {**self._chosen(_Entry(entry.target, entry.mode, entry.method)), "severity": entry.at}
        if entry.mode.tuned_like is not None:
            other = next(mode for mode in self.study.modes if mode.name == entry.mode.tuned_like)
            if self.study.takes_part(entry.method, other):
                return self._chosen(_Entry(entry.target, other, entry.method))
        scores: dict[str, list[float]] = {}
        for row in self.tuning.where(**entry.where):
            scores.setdefault(row["candidate"], []).append(float(row["accuracy"]))
        if not scores:
            return entry.method.start
        best: dict[str, Any] = json.loads(max(scores, key=lambda said: sum(scores[said]) / len(scores[said])))
        return best

    def _validated(self, entry: _Entry, network: Compiled, severity: float) -> float:
        protocol = self.study.protocol
        chips = range(VALIDATION_CHIPS, VALIDATION_CHIPS + protocol.validation_chips)
        run = self._on_chips(entry, network, self.networks.validation, chips, severity, with_ideal=False)
        return sum(run.scores.per_chip) / len(chips)

    # --- training ---

    def _network(self, entry: _Entry, tuned: Mapping[str, Any], seed: int, share: float) -> tuple[str, Compiled]:
        settings = self.study.settings(entry.mode, entry.method, tuned, seed, self.study.protocol.device)
        return self.networks.trained(entry.target, tuned.get("plan", ()), settings, share)

    def _train(self, entry: _Entry, seed: int) -> str:
        return self._network(entry, self._chosen(entry), seed, 1.0)[0]

    def _draw(self) -> None:
        """Histograms of the first seed's networks beside the untrained one's."""
        for entry in self.entries():
            if entry.at is None and not self.pictures.where(**entry.where):
                tuned = self._chosen(entry)
                network = self._network(entry, tuned, 0, 1.0)[1]
                before = self.networks.compiled(entry.target, tuned.get("plan", ()))
                self.pictures.add([
                    {**entry.where, "when": when, **row}
                    for when, held in (("before", before), ("after", network)) for row in histograms(held)
                ])

    # --- judging, on test images and test chips ---

    def _judge(self, entry: _Entry, seed: int, key: str) -> None:
        network: Compiled | None = None
        for condition, severity in self._conditions(entry):
            unit = {**entry.where, "seed": seed, "condition": condition, "severity": severity}
            if len(self.results.where(**unit)) < self.study.protocol.chips:
                self._saying(f"{entry}, seed {seed}: {condition} {severity:g}")
                network = network or self._network(entry, self._chosen(entry), seed, 1.0)[1]
                self._keep(entry, seed, key, unit, self._tested(entry, network, condition, severity, seed))
            self._tick(f"{entry}, seed {seed}: {condition} {severity:g}")

    def _tested(self, entry: _Entry, network: Compiled, condition: str, severity: float, seed: int) -> list[Run]:
        """Finished runs over all test chips: one together, or one each, on images of its own."""
        chips = self.study.protocol.test_chips
        unit = {**entry.where, "seed": seed, "condition": "ideal"}
        given: dict[str, Any] = {
            "dynamic": None if condition == "static" else condition, "with_ideal": not self.results.where(**unit)
        }
        count = self.study.protocol.images_per_chip
        if count is None:
            return [self._on_chips(entry, network, self._test_data(), chips, severity, seed=seed, **given)]
        deployments = self._deployed(entry, network, chips, severity, seed)
        return [
            self._on_chips(
                entry, network, self._test_data().slice(place * count, (place + 1) * count), [chip], severity,
                seed=seed * len(chips) + place, deploy=deployments[place : place + 1], **given,
            ) for place, chip in enumerate(chips)
        ]

    def _test_data(self) -> Dataset:
        return as_dataset(self.study.path(self.study.network.test), preprocess=self.networks.preprocess, split="test")

    def _check_images(self) -> None:
        """OptionError where there are not enough test images; none is looked at."""
        protocol, data = self.study.protocol, self._test_data()
        wanted = (protocol.images_per_chip or 0) * protocol.chips
        if wanted > len(data):
            raise OptionError(
                f"study {self.study.name}: {wanted:,} test images for {protocol.chips} chips, {data.name} has "
                f"{len(data):,}", hint="make protocol.images_per_chip smaller",
            )

    def _keep(self, entry: _Entry, seed: int, key: str, unit: Mapping[str, Any], runs: Sequence[Run]) -> None:
        rows: list[dict[str, Any]] = []
        alone = {
            "reference": [run.scores.of_reference for run in runs],
            "ideal": [run.scores.of_ideal for run in runs if run.with_ideal],
        }
        for condition, tallies in alone.items():
            once = {**entry.where, "seed": seed, "condition": condition}
            if tallies and not self.results.where(**once):
                mean = sum(tally.total for tally in tallies) / sum(tally.samples for tally in tallies)
                rows.append({**once, "key": key, "top1": mean})
        known = {row["chip"] for row in self.results.where(**unit)}  # of a write that was cut off
        rows += [
            {**unit, "key": key, "chip": chip, "top1": tally.mean,
             "top5": tally.mean_top5 if run.scores.has_top5 else None}
            for run in runs for chip, tally in run.scores.of_chips.items() if str(chip) not in known
        ]
        self.results.add(rows)

    def _on_chips(
        self, entry: _Entry, network: Compiled, data: Any, chips: Sequence[int], severity: float, *,
        seed: int = 0, deploy: Sequence[Deployment] | None = None, **given: Any,
    ) -> Run:
        steps = entry.mode.deploy
        return run_on(
            network, data, chips, self._ideal(entry, network, severity, seed), metric="top1", bare=False,
            deploy=steps if deploy is None else deploy,
            deploy_data=self.networks.unlabelled if steps and deploy is None else None,
            deploy_samples=self.study.protocol.samples,
            progress=lambda done, total: self._saying(f"{entry}: {done:,} of {total:,} samples"), **given,
        )

    def _deployed(
        self, entry: _Entry, network: Compiled, chips: Sequence[int], severity: float, seed: int
    ) -> list[Deployment]:
        if not entry.mode.deploy:
            return []
        found = deployments_for(
            network, self._ideal(entry, network, severity, seed), chips, entry.mode.deploy, self.networks.unlabelled,
            judged=None, samples=self.study.protocol.samples, time=None,
        )
        return [found[chip] for chip in chips]

    def _ideal(self, entry: _Entry, network: Compiled, severity: float, seed: int) -> Simulator:
        return network.simulator(
            noise=False, seed=seed, severity=severity, time=entry.target.time, device=self.study.protocol.device
        )

    # --- on the way ---

    def _tick(self, text: str) -> None:
        self.done += 1
        self._saying(text)

    def _saying(self, text: str) -> None:
        """Tell; stop where the time is spent."""
        if self.progress is not None:
            self.progress(self.done, self.units, text)
        if self.deadline is not None and monotonic() > self.deadline:
            raise _OutOfTime
