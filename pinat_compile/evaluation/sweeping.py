"""``sweep``: values of a target, or conditions, against accuracy, on the same chips."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinat_compile.compiler.compiled import Compiled
from pinat_compile.data import Dataset
from pinat_compile.engines import Engine, Store, engine_for, store_for
from pinat_compile.errors import OptionError
from pinat_compile.evaluation.accuracy import chip_numbers, data_for, evaluation_of, judging_for
from pinat_compile.evaluation.batches import Watcher
from pinat_compile.evaluation.judging import Judging, judge_all, same_plan
from pinat_compile.evaluation.result import Evaluation
from pinat_compile.evaluation.scores import IDEAL, Row
from pinat_compile.evaluation.varying import grid_size, parse_varied
from pinat_compile.hardware.loader import literal, overridden
from pinat_compile.hardware.schema import Target
from pinat_compile.tables import dataframe, html

if TYPE_CHECKING:
    import pandas

CONDITIONS = ("severity", "time", "temperature", "reads")
"""What may be varied besides values of the target."""
MOST = 1000
"""Points, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One combination of values: what was set, what was found, what a sample costs, whether the plan is new."""

    values: Mapping[str, str]
    result: Evaluation
    energy_j: float | None
    arrays: int
    planned_anew: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "values": dict(self.values), "energy_j": self.energy_j, "arrays": self.arrays,
            "planned_anew": self.planned_anew, "accuracy": self.result.to_dict(),
        }


class Sweep(tuple[Point, ...]):
    """The points of a sweep, in the order of its combinations."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, as in schema "pinat-sweep/1"."""
        return {"points": [point.to_dict() for point in self]}

    def to_dataframe(self) -> pandas.DataFrame:
        """A row per point: what was varied, mean, deviation and worst of the chips, energy in joules. Needs pandas."""
        return dataframe(self._records())

    def _repr_html_(self) -> str:
        return html(f"{len(self)} points", self._records())

    def _records(self) -> list[dict[str, Any]]:
        return [
            {**point.values, "metric": point.result.metric, "mean": point.result.mean, "std": point.result.std,
             "worst": point.result.worst, "ideal": point.result.ideal, "reference": point.result.reference,
             "energy_j": point.energy_j, "arrays": point.arrays}
            for point in self
        ]  # fmt: skip


def sweep(
    compiled: Compiled,
    data: Any,
    vary: Mapping[str, Sequence[object]] | Sequence[str],
    *,
    chips: int | Sequence[int] = 10,
    engine: str | Engine | None = None,
    store: str | Path | Store | None = None,
    progress: Watcher | None = None,
    **given: Any,
) -> Sweep:
    """Judge ``compiled`` on ``data`` for every combination of the values in ``vary``, on the same chips throughout.

    ``vary``: values by key, or texts such as ``"adc.bits=4,6,8"`` and ``"adc.bits=4..8"``. A key is ``section.key`` of
    the target, as for ``overrides`` of `compile` (``none`` takes a value out), or one of severity, time, temperature,
    reads.
    The plan stays where only noise and devices change; where converters, cells or arrays change, everything is planned
    anew from the trained values, with the calibration that is there, and learned ranges are lost.
    ``engine``, ``store`` and ``given``: as for `evaluate`. Raises OptionError, TargetError, DataError, EngineError,
    StoreError.
    """
    keys = parse_varied(vary, CONDITIONS)
    if grid_size(keys) > MOST:
        raise OptionError(f"sweep: {grid_size(keys):,} combinations", hint=f"at most {MOST:,}; vary less at a time")
    varied = [dict(zip(keys, values, strict=True)) for values in itertools.product(*keys.values())]
    numbers = chip_numbers(chips)
    asked = [_asked(compiled, data, numbers, values, given) for values in varied]
    dataset = data_for(compiled, data)
    watch = None if progress is None else _thousandths(progress)
    points: dict[int, Point] = {}
    with engine_for(engine) as runs_on, store_for(store) as kept:
        for index, rows in judge_all(compiled, dataset, asked, numbers, engine=runs_on, store=kept, tell=watch):
            points[index] = _point(compiled.target, dataset, asked[index], numbers, varied[index], rows)
    return Sweep(points[index] for index in range(len(varied)))


def _asked(
    compiled: Compiled, data: Any, chips: Sequence[int], values: Mapping[str, str], given: Mapping[str, Any]
) -> Judging:
    """One point as an evaluation; mistakes are found here, before anything runs."""
    conditions: dict[str, Any] = {key: values[key] for key in CONDITIONS if key in values}
    for key in set(conditions) - {"time"}:
        number = literal(conditions[key])
        if not isinstance(number, (int, float)) or isinstance(number, bool):
            raise OptionError(f"sweep: {key} = {conditions[key]!r} is not a number", hint=f"for example {key}=1,2")
        conditions[key] = number
    changes = tuple(f"{key}={value}" for key, value in values.items() if key not in CONDITIONS)
    target = overridden(compiled.target, changes)
    if given.get("time") is None:
        conditions.setdefault("time", target.t0_s)
    return judging_for(compiled, data, chips, **{**given, **conditions}, changes=changes, costed=True)


def _point(
    target: Target, data: Dataset, asked: Judging, chips: Sequence[int], values: Mapping[str, str],
    rows: Mapping[str, Row],
) -> Point:
    """``target``: of the network that was compiled, before any value was changed."""
    changed = overridden(target, asked.changes)
    result = evaluation_of(changed, data, asked, chips, rows)
    anew = not same_plan(changed, target)
    return Point(values=dict(values), result=result, planned_anew=anew, **rows[IDEAL]["costs"])


def _thousandths(progress: Watcher) -> Callable[[float], None]:
    return lambda share: progress(round(1000 * share), 1000)
