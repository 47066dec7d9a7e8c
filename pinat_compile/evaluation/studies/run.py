"""``study``: tune everything, train everything, then judge everything; each step is kept, and not done twice.

Three stages, one after the other for all targets, modes and methods, so that no test image and no test chip is looked
at before the last network is trained. A study that is broken off goes on where it was.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from pinat_compile.compiler.folder import check_writable
from pinat_compile.compiler.manifest import is_unfinished
from pinat_compile.compiler.places import held, remove_unfinished, write_aside
from pinat_compile.engines import Engine, Work, engine_for
from pinat_compile.errors import FolderError, OptionError
from pinat_compile.evaluation.studies.entries import Entry, conditions, entries
from pinat_compile.evaluation.studies.file import Study, read_study
from pinat_compile.evaluation.studies.histograms import HISTOGRAM_COLUMNS, histograms
from pinat_compile.evaluation.studies.networks import HISTORY_COLUMNS, NETWORK_COLUMNS, Networks, Training
from pinat_compile.evaluation.studies.rows import Rows, as_text
from pinat_compile.evaluation.studies.summary import summary
from pinat_compile.evaluation.studies.units import Bench, judge, train, validate

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
    file: str | Path, output: str | Path, *, minutes: float | None = None, engine: str | Engine | None = None,
    progress: Watcher | None = None,
) -> StudyResult:
    """Run the study in ``file``, or go on with it, in the folder ``output``; stop cleanly after ``minutes``.

    The folder then holds ``study.toml``, the raw results (``results.csv``, ``tuning.csv``, ``networks.csv``,
    ``histories.csv``, ``histograms.csv``), the trained networks, and ``summary.json``, which is made from the raw
    results alone. ``engine``: where units of work run (see `pinat_compile.engines.engine_for`): one training, one
    trial, or one network on all chips under one condition. Rows are the same, bit for bit, in the order in which units
    end; ``minutes`` are looked at between the units that run elsewhere. Needs the extra ``study``. Raises OptionError,
    DataError, TargetError, FolderError, EngineError.
    """
    read = read_study(file)
    folder = Path(output)
    check_writable_study(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder), engine_for(engine) as runs_on:
        for place in (folder, folder / "networks"):
            remove_unfinished(place)
        _take_folder(read, folder)
        deadline = None if minutes is None else monotonic() + 60.0 * minutes
        run = _Run(read, folder, runs_on, progress, deadline)
        complete = True
        try:
            run.all()
        except _OutOfTime:
            complete = False
        found = write_summary(read, folder)
    return StudyResult(folder=folder, complete=complete, done=run.done, units=run.units, summary=found)


def write_summary(read: Study, folder: Path) -> Mapping[str, Any]:
    """``summary.json`` from the raw results in ``folder``."""
    found = summary(read, Rows(folder / "results.csv", RESULT_COLUMNS), Rows(folder / "networks.csv", NETWORK_COLUMNS))
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


@dataclass
class _Run:
    study: Study
    folder: Path
    engine: Engine
    progress: Watcher | None
    deadline: float | None
    done: int = 0

    def __post_init__(self) -> None:
        self.networks = Networks(self.study, self.folder)
        self.bench = Bench(self.networks)
        self.shared = self.engine.share(self.bench)
        self.trained = Rows(self.folder / "networks.csv", NETWORK_COLUMNS)
        self.histories = Rows(self.folder / "histories.csv", HISTORY_COLUMNS)
        self.tuning = Rows(self.folder / "tuning.csv", TUNING_COLUMNS)
        self.results = Rows(self.folder / "results.csv", RESULT_COLUMNS)
        self.pictures = Rows(self.folder / "histograms.csv", HISTOGRAM_COLUMNS)
        self.entries = list(entries(self.study))
        self.units = sum(
            (entry.method.trials if entry.tuned else 0)
            + self.study.seeds(entry.target) * (1 + len(conditions(self.study, entry))) for entry in self.entries
        )

    def all(self) -> None:
        """Tune, train, judge."""
        self._check_images()
        self._tune([entry for entry in self.entries if entry.tuned])
        each = [(entry, seed) for entry in self.entries for seed in range(self.study.seeds(entry.target))]
        wanted = [self._training(entry, self._chosen(entry), seed) for entry, seed in each]
        self._train(wanted, ticks=True)
        self._draw()
        self._judge([(*one, training.key) for one, training in zip(each, wanted, strict=True)])

    def _do(
        self, work: Work, units: Sequence[tuple[Any, ...]], said: Callable[[int], str]
    ) -> Iterator[tuple[int, Any]]:
        """Index and result of each unit, as they are finished; ``said``: what a unit is about."""
        def tell(index: int, share: float) -> None:
            self._saying(f"{said(index)}: {share:.0%}")

        return self.engine.run(work, [(self.shared, *unit) for unit in units], tell)

    # --- tuning, on held-out images and validation chips ---

    def _tune(self, tuned: Sequence[Entry]) -> None:
        """The first candidate of each, then setting after setting, with the best of those before it."""
        self._try([(entry, 0, entry.method.start) for entry in tuned])
        for number in range(max((len(entry.rounds) for entry in tuned), default=0)):
            self._try([
                (entry, trial, {**self._chosen(entry), name: value})
                for entry in tuned for trial, name, value in (entry.rounds[number : number + 1] or [[]])[0]
            ])

    def _try(self, trials: Sequence[tuple[Entry, int, dict[str, Any]]]) -> None:
        """Train and validate candidates that do not wait for each other."""
        left = [self._not_validated(entry, trial) for entry, trial, _ in trials]
        asked = [number for number, severities in enumerate(left) if severities]
        training = {n: self._training(trials[n][0], trials[n][2], 0, self.study.protocol.trial_share) for n in asked}
        self._train(list(training.values()))
        for _ in range(len(trials) - len(asked)):
            self._tick("tuning")

        def said(index: int) -> str:
            entry, trial, _ = trials[asked[index]]
            return f"{entry}: trial {trial + 1} of {entry.method.trials}"

        units = [(trials[n][0], training[n].key, left[n]) for n in asked]
        for index, accuracies in self._do(validate, units, said):
            entry, trial, candidate = trials[asked[index]]
            unit = {**entry.where, "trial": trial, "candidate": json.dumps(candidate, sort_keys=True),
                    "key": training[asked[index]].key}
            self.tuning.add([
                {**unit, "severity": severity, "accuracy": accuracy}
                for severity, accuracy in zip(left[asked[index]], accuracies, strict=True)
            ])
            self._tick(said(index))

    def _not_validated(self, entry: Entry, trial: int) -> list[float]:
        """Severities at which a trial is still to be validated; none where there is nothing to choose from."""
        known = {row["severity"] for row in self.tuning.where(**entry.where, trial=trial)}
        severities = self.study.protocol.validation_severities if entry.method.trials > 1 else ()
        return [severity for severity in severities if str(severity) not in known]

    def _chosen(self, entry: Entry) -> dict[str, Any]:
        """The candidate with the highest mean accuracy on validation chips; the first of equals."""
        if entry.at is not None:
            return {**self._chosen(Entry(entry.target, entry.mode, entry.method)), "severity": entry.at}
        if entry.mode.tuned_like is not None:
            other = next(mode for mode in self.study.modes if mode.name == entry.mode.tuned_like)
            if self.study.takes_part(entry.method, other):
                return self._chosen(Entry(entry.target, other, entry.method))
        scores: dict[str, list[float]] = {}
        for row in sorted(self.tuning.where(**entry.where), key=lambda row: int(row["trial"])):
            scores.setdefault(row["candidate"], []).append(float(row["accuracy"]))
        if not scores:
            return entry.method.start
        best: dict[str, Any] = json.loads(max(scores, key=lambda said: sum(scores[said]) / len(scores[said])))
        return best

    # --- training ---

    def _training(self, entry: Entry, tuned: Mapping[str, Any], seed: int, share: float = 1.0) -> Training:
        settings = self.study.settings(entry.mode, entry.method, tuned, seed, self.study.protocol.device)
        return Training.of(entry.target, tuned.get("plan", ()), settings, share)

    def _train(self, wanted: Sequence[Training], *, ticks: bool = False) -> None:
        """Train those that are not there, each once; ``ticks``: each that is wanted counts as a unit."""
        times = Counter(training.key for training in wanted) if ticks else Counter[str]()
        left = {training.key: training for training in wanted if not self._is_trained(training.key)}
        for _ in range(sum(times[key] for key in times if key not in left)):
            self._tick("trained")
        asked = list(left.values())
        for index, made in self._do(train, [(training,) for training in asked], lambda index: str(asked[index])):
            key = asked[index].key
            if not self.histories.where(key=key):
                self.histories.add(made.history)
            self.trained.add([made.row])
            self.networks.settled(key)
            for _ in range(times[key]):
                self._tick(f"{asked[index]}: trained")

    def _is_trained(self, key: str) -> bool:
        return self.networks.stands(key) and bool(self.trained.where(key=key))

    def _draw(self) -> None:
        """Histograms of the first seed's networks beside the untrained one's."""
        for entry in self.entries:
            if entry.at is None and not self.pictures.where(**entry.where):
                tuned = self._chosen(entry)
                network = self.networks.load(self._training(entry, tuned, 0).key)
                before = self.networks.compiled(entry.target, tuned.get("plan", ()))
                self.pictures.add([
                    {**entry.where, "when": when, **row}
                    for when, held in (("before", before), ("after", network)) for row in histograms(held)
                ])

    # --- judging, on test images and test chips ---

    def _judge(self, trained: Sequence[tuple[Entry, int, str]]) -> None:
        """Judge networks, each of an entry and a seed, under all conditions that they were not judged under yet."""
        units = []
        for entry, seed, key in trained:
            alone = not self.results.where(**entry.where, seed=seed, condition="ideal")
            for condition, severity in conditions(self.study, entry):
                unit = {**entry.where, "seed": seed, "condition": condition, "severity": severity}
                if len(self.results.where(**unit)) < self.study.protocol.chips:
                    units.append((entry, seed, key, condition, severity, alone))
                    alone = False
                else:
                    self._tick("judged")

        def said(index: int) -> str:
            entry, seed, _, condition, severity, _ = units[index]
            return f"{entry}, seed {seed}: {condition} {severity:g}"

        for index, rows in self._do(judge, units, said):
            known = {self._chip_of(row) for row in self.results.where(**units[index][0].where, seed=units[index][1])}
            self.results.add([row for row in rows if self._chip_of(row) not in known])  # of a write that was cut off
            self._tick(said(index))

    @staticmethod
    def _chip_of(row: Mapping[str, Any]) -> tuple[str, ...]:
        """Condition, severity and chip, as texts."""
        return tuple(as_text(row.get(name)) for name in ("condition", "severity", "chip"))

    def _check_images(self) -> None:
        """OptionError where there are not enough test images; none is looked at."""
        protocol, data = self.study.protocol, self.bench.test_data
        wanted = (protocol.images_per_chip or 0) * protocol.chips
        if wanted > len(data):
            raise OptionError(
                f"study {self.study.name}: {wanted:,} test images for {protocol.chips} chips, {data.name} has "
                f"{len(data):,}", hint="make protocol.images_per_chip smaller",
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
