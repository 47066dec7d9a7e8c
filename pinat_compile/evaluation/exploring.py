"""``explore``: a network on many variants of a target, and which of them no other beats."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinat_compile.compiler.build import compile as compile_network
from pinat_compile.compiler.build import recompile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.costs import estimate
from pinat_compile.compiler.summary import report_document
from pinat_compile.engines import Engine, Store, code_digest, digest, engine_for, store_for
from pinat_compile.errors import TargetError, extra_needed
from pinat_compile.evaluation.accuracy import data_for, evaluate
from pinat_compile.evaluation.varying import Progress, Varied, grid, grid_size, parse_varied
from pinat_compile.hardware.loader import load_target
from pinat_compile.hardware.schema import Target
from pinat_compile.hardware.writer import dump_target
from pinat_compile.tables import dataframe, html

if TYPE_CHECKING:
    import pandas

SCHEMA = "pinat-exploration/1"
SAMPLES = 64
"""Points that are tried at most, unless more are asked for; a larger space is searched."""
KIND = "exploration"
"""Of rows in a store."""
LEAST = ("energy_j", "latency_s", "area_mm2")
"""Figures of which less is better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One variant: what was set, what came out, whether it is on the Pareto front.

    Energy of a sample, latency of a sample, interval between samples, area; ``accuracy`` the mean of chips. ``None``:
    not computed. ``problem``: why this variant cannot be; then nothing is known of it.
    """

    overrides: tuple[str, ...]
    arrays: int | None = None
    energy_j: float | None = None
    latency_s: float | None = None
    interval_s: float | None = None
    area_mm2: float | None = None
    tops_per_watt: float | None = None
    accuracy: float | None = None
    pareto: bool = False
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Exploration:
    """All points, in the order in which they were tried; ``how``: every combination, or a search."""

    model: str
    target: str
    varied: Varied
    how: str
    points: tuple[Point, ...]

    @property
    def front(self) -> tuple[Point, ...]:
        """The points that no other is better than in one of energy, latency, area, accuracy and as good in all."""
        return tuple(point for point in self.points if point.pareto)

    def to_dataframe(self) -> pandas.DataFrame:
        """A row per point: what was set, what it costs, its accuracy, whether no other beats it. Needs pandas."""
        return dataframe(self._records())

    def _repr_html_(self) -> str:
        return html(f"{self.model} on {self.target}", self._records(), self.how)

    def _records(self) -> list[dict[str, Any]]:
        return [
            {**dict(change.split("=", 1) for change in point.overrides),
             **{key: value for key, value in asdict(point).items() if key != "overrides"}}
            for point in self.points
        ]  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values: schema "pinat-exploration/1"."""
        varied = {key: list(values) for key, values in self.varied.items()}
        points = [{**asdict(point), "overrides": list(point.overrides)} for point in self.points]
        return {"schema": SCHEMA, "model": self.model, "target": self.target, "varied": varied, "how": self.how,
                "points": points}  # fmt: skip


def explore(
    model: Any,
    target: str | Path,
    *,
    vary: Mapping[str, Sequence[object]] | Sequence[str],
    data: Any = None,
    chips: int = 3,
    metric: str | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
    calibration: Any = None,
    overrides: Sequence[str] = (),
    engine: str | Engine | None = None,
    store: str | Path | Store | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Exploration:
    """Compile ``model`` onto variants of ``target`` and keep what each costs.

    ``vary``: keys of the target and their values, see `parse_varied`. All combinations where there are at most
    ``samples``; otherwise as many that a genetic search (NSGA-II, Deb et al. 2002, as in Optuna) picks with ``seed``.
    ``data``: also the accuracy, the mean of ``chips`` chips. The network is imported and calibrated once; every point
    is planned anew. A variant that cannot be built is kept with the reason. ``engine``, ``store``: as for `evaluate`.
    """
    varied = parse_varied(vary)
    base = compile_network(model, target, calibration=calibration, overrides=overrides, **options)

    whole = grid_size(varied) <= samples
    total = grid_size(varied) if whole else samples
    with engine_for(engine) as runs_on, store_for(store) as kept:
        trial = _Trial(base, target, tuple(overrides), data, chips, metric, runs_on, kept, progress, total)
        if whole:
            points = trial.points(grid(varied))
        else:
            points = _searched(varied, trial.points, samples, seed, data is not None)
    how = "every combination" if whole else f"{len(points)} of {grid_size(varied)} combinations, picked by NSGA-II"
    return Exploration(base.name, base.target.name, varied, how, mark_front(points))


# --- one point ---


def measure(
    base: Compiled, data: Any, variant: Target, changes: tuple[str, ...], chips: int, metric: str | None,
    *, tell: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """A `Point` as plain JSON values: ``base`` planned anew for ``variant``. A pure function, a unit of work."""
    try:
        compiled = recompile(base, target=variant, keep_plan=False)
    except TargetError as error:
        return asdict(Point(overrides=changes, problem=error.message))
    totals = report_document(compiled, costs=estimate(compiled))["totals"]
    point = Point(
        overrides=changes,
        arrays=totals["arrays"],
        energy_j=totals["energy_j"]["total"],
        **{key: totals[key] for key in ("latency_s", "interval_s", "area_mm2", "tops_per_watt")},
        accuracy=None if data is None else evaluate(compiled, data, chips=chips, metric=metric).mean,
    )
    return asdict(point)


@dataclass
class _Trial:
    """Measures variants of a target, each once."""

    base: Compiled
    target: str | Path
    overrides: tuple[str, ...]
    data: Any
    chips: int
    metric: str | None
    engine: Engine
    store: Store | None
    progress: Progress | None
    total: int
    done: int = 0

    def __post_init__(self) -> None:
        self.samples = None if self.data is None else data_for(self.base, self.data)
        self.shared = [self.engine.share(self.base), self.engine.share(self.samples)]
        said = None if self.samples is None else self.samples.content()
        self.said = [code_digest(), self.base.content, said, self.chips, self.metric, self.engine.threads]

    def points(self, variants: Sequence[tuple[str, ...]]) -> list[Point]:
        """The points of ``variants``, in their order."""
        found: dict[tuple[str, ...], Point] = {}
        units, keys = [], []
        for changes in variants:
            try:
                variant = load_target(self.target, [*self.overrides, *changes])
            except TargetError as error:
                self._keep(found, Point(overrides=changes, problem=error.message))
                continue
            key = digest(self.said, dump_target(variant), changes)
            known = {} if self.store is None else self.store.known(KIND, [key])
            if known:
                self._keep(found, _point(known[key]))
            else:
                units.append((*self.shared, variant, changes, self.chips, self.metric))
                keys.append(key)
        for index, row in self.engine.run(measure, units):
            if self.store is not None:
                self.store.add(KIND, {keys[index]: row})
            self._keep(found, _point(row))
        return [found[changes] for changes in variants]

    def _keep(self, found: dict[tuple[str, ...], Point], point: Point) -> None:
        found[point.overrides] = point
        self.done += 1
        if self.progress is not None:
            self.progress(self.done, self.total, " ".join(point.overrides))


def _point(row: Mapping[str, Any]) -> Point:
    return Point(**{**row, "overrides": tuple(row["overrides"])})


# --- which points ---


def _searched(
    varied: Varied, measured: Callable[[Sequence[tuple[str, ...]]], list[Point]], samples: int, seed: int, judged: bool
) -> list[Point]:
    """``samples`` points of a genetic search for the front, each once; a generation is measured together."""
    try:
        import optuna
    except ImportError:
        raise extra_needed("a search through so many combinations", "optuna", "explore") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    less, more = optuna.study.StudyDirection.MINIMIZE, optuna.study.StudyDirection.MAXIMIZE
    directions = [less] * len(LEAST) + ([more] if judged else [])
    generation = min(16, max(2, samples // 4))
    sampler = optuna.samplers.NSGAIISampler(population_size=generation, seed=seed)
    study = optuna.create_study(directions=directions, sampler=sampler)
    known: dict[tuple[str, ...], Point] = {}
    for _ in range(10 * samples // generation):
        trials = [study.ask() for _ in range(generation)]
        asked = [
            tuple(f"{key}={trial.suggest_categorical(key, values)}" for key, values in varied.items())
            for trial in trials
        ]
        new = [changes for changes in dict.fromkeys(asked) if changes not in known][: samples - len(known)]
        known.update(zip(new, measured(new), strict=True))
        if len(known) == samples:
            break
        for trial, changes in zip(trials, asked, strict=True):
            point = known[changes]
            if point.problem is not None:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
                continue
            values = [getattr(point, name) for name in LEAST] + ([point.accuracy] if judged else [])
            study.tell(trial, [0.0 if value is None else value for value in values])
    return list(known.values())


# --- which of them no other beats ---


def mark_front(points: Sequence[Point]) -> tuple[Point, ...]:
    """The same points, each marked where no other is at least as good in every figure and better in one.

    Figures that a point lacks are not compared.
    """
    sound = [point for point in points if point.problem is None]
    return tuple(
        replace(point, pareto=point.problem is None and not any(_beats(other, point) for other in sound))
        for point in points
    )


def _beats(one: Point, other: Point) -> bool:
    pairs = [(getattr(one, name), getattr(other, name)) for name in LEAST]
    pairs.append((_negative(one.accuracy), _negative(other.accuracy)))
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    return all(a <= b for a, b in known) and any(a < b for a, b in known)


def _negative(value: float | None) -> float | None:
    return None if value is None else -value
