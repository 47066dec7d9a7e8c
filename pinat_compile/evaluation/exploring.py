"""``explore``: a network on many variants of a target, and which of them no other beats."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pinat_compile.compiler.build import compile as compile_network
from pinat_compile.compiler.build import recompile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.costs import estimate
from pinat_compile.compiler.summary import report_document
from pinat_compile.errors import TargetError, extra_needed
from pinat_compile.evaluation.accuracy import evaluate
from pinat_compile.evaluation.varying import Progress, Varied, grid, grid_size, parse_varied
from pinat_compile.hardware.loader import load_target

SCHEMA = "pinat-exploration/1"
SAMPLES = 64
"""Points that are tried at most, unless more are asked for; a larger space is searched."""
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
    progress: Progress | None = None,
    **options: Any,
) -> Exploration:
    """Compile ``model`` onto variants of ``target`` and keep what each costs.

    ``vary``: keys of the target and their values, see `parse_varied`. All combinations where there are at most
    ``samples``; otherwise as many that a genetic search (NSGA-II, Deb et al. 2002, as in Optuna) picks with ``seed``.
    ``data``: also the accuracy, the mean of ``chips`` chips. The network is imported and calibrated once; every point
    is planned anew. A variant that cannot be built is kept with the reason.
    """
    varied = parse_varied(vary)
    base = compile_network(model, target, calibration=calibration, overrides=overrides, **options)

    def tried(changes: tuple[str, ...]) -> Point:
        try:
            variant = load_target(target, [*overrides, *changes])
            return _measured(recompile(base, target=variant, keep_plan=False), changes, data, chips, metric)
        except TargetError as error:
            return Point(overrides=changes, problem=error.message)

    whole = grid_size(varied) <= samples
    source = _all(varied, tried) if whole else _searched(varied, tried, samples, seed, data is not None)
    points = []
    for point in source:
        points.append(point)
        if progress is not None:
            progress(len(points), grid_size(varied) if whole else samples, " ".join(point.overrides))
    how = "every combination" if whole else f"{len(points)} of {grid_size(varied)} combinations, picked by NSGA-II"
    return Exploration(base.name, base.target.name, varied, how, mark_front(points))


def _measured(compiled: Compiled, changes: tuple[str, ...], data: Any, chips: int, metric: str | None) -> Point:
    totals = report_document(compiled, costs=estimate(compiled))["totals"]
    return Point(
        overrides=changes,
        arrays=totals["arrays"],
        energy_j=totals["energy_j"]["total"],
        **{key: totals[key] for key in ("latency_s", "interval_s", "area_mm2", "tops_per_watt")},
        accuracy=None if data is None else evaluate(compiled, data, chips=chips, metric=metric).mean,
    )


# --- which points ---

Try = Callable[[tuple[str, ...]], Point]


def _all(varied: Varied, tried: Try) -> Iterator[Point]:
    return (tried(changes) for changes in grid(varied))


def _searched(varied: Varied, tried: Try, samples: int, seed: int, judged: bool) -> Iterator[Point]:
    """``samples`` points of a genetic search for the front, each once."""
    try:
        import optuna
    except ImportError:
        raise extra_needed("a search through so many combinations", "optuna", "explore") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    less, more = optuna.study.StudyDirection.MINIMIZE, optuna.study.StudyDirection.MAXIMIZE
    directions = [less] * len(LEAST) + ([more] if judged else [])
    sampler = optuna.samplers.NSGAIISampler(population_size=min(16, max(2, samples // 4)), seed=seed)
    study = optuna.create_study(directions=directions, sampler=sampler)
    known: dict[tuple[str, ...], Point] = {}
    for _ in range(10 * samples):
        if len(known) == samples:
            return
        trial = study.ask()
        changes = tuple(f"{key}={trial.suggest_categorical(key, values)}" for key, values in varied.items())
        new = changes not in known
        if new:
            known[changes] = tried(changes)
        values = [getattr(known[changes], name) for name in LEAST] + ([known[changes].accuracy] if judged else [])
        if known[changes].problem is not None:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, [0.0 if value is None else value for value in values])
        if new:
            yield known[changes]


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
