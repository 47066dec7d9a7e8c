"""``sweep``: values of a target, or conditions, against accuracy, on the same chips."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pinat_compile.compiler.build import recompile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.costs import estimate
from pinat_compile.errors import OptionError
from pinat_compile.evaluation.accuracy import evaluate
from pinat_compile.evaluation.batches import Watcher
from pinat_compile.evaluation.result import Evaluation
from pinat_compile.evaluation.varying import grid_size, parse_varied
from pinat_compile.hardware.loader import literal, overridden
from pinat_compile.hardware.schema import Target

CONDITIONS = ("severity", "time", "temperature", "reads")
"""What may be varied besides values of the target."""
OF_PLAN = ("array", "cell", "weights", "dac", "adc", "mapping")
"""Sections of a target that the plan is made from: where one of them changes, everything is planned anew."""
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


def sweep(
    compiled: Compiled,
    data: Any,
    vary: Mapping[str, Sequence[object]] | Sequence[str],
    *,
    progress: Watcher | None = None,
    **given: Any,
) -> tuple[Point, ...]:
    """Judge ``compiled`` on ``data`` for every combination of the values in ``vary``, on the same chips throughout.

    ``vary``: values by key, or texts such as ``"adc.bits=4,6,8"`` and ``"adc.bits=4..8"``. A key is ``section.key`` of
    the target, as for ``overrides`` of `compile` (``none`` takes a value out), or one of severity, time, temperature,
    reads.
    The plan stays where only noise and devices change; where converters, cells or arrays change, everything is planned
    anew from the trained values, with the calibration that is there, and learned ranges are lost.
    ``given``: as for `evaluate`. Raises OptionError, TargetError, DataError.
    """
    keys = parse_varied(vary, CONDITIONS)
    if grid_size(keys) > MOST:
        raise OptionError(f"sweep: {grid_size(keys):,} combinations", hint=f"at most {MOST:,}; vary less at a time")
    varied = [dict(zip(keys, values, strict=True)) for values in itertools.product(*keys.values())]
    networks = [_network(compiled, values) for values in varied]  # so that mistakes are found before anything runs
    points = []
    for index, (values, network) in enumerate(zip(varied, networks, strict=True)):
        watch = None if progress is None else _share_of(progress, index, len(varied))
        points.append(_judged(network, compiled, data, values, {**given, "progress": watch}))
    return tuple(points)


def _network(compiled: Compiled, values: Mapping[str, str]) -> Compiled:
    """``compiled`` with these values of its target."""
    changes = [f"{key}={value}" for key, value in values.items() if key not in CONDITIONS]
    if not changes:
        return compiled
    target = overridden(compiled.target, changes)
    return recompile(compiled, target=target, keep_plan=_same_plan(compiled.target, target))


def _same_plan(a: Target, b: Target) -> bool:
    return all(getattr(a, section) == getattr(b, section) for section in OF_PLAN)


def _judged(
    network: Compiled, compiled: Compiled, data: Any, values: Mapping[str, str], given: dict[str, Any]
) -> Point:
    conditions: dict[str, Any] = {key: values[key] for key in CONDITIONS if key in values}
    for key in set(conditions) - {"time"}:
        number = literal(conditions[key])
        if not isinstance(number, (int, float)) or isinstance(number, bool):
            raise OptionError(f"sweep: {key} = {conditions[key]!r} is not a number", hint=f"for example {key}=1,2")
        conditions[key] = number
    result = evaluate(network, data, **{**given, **conditions})
    return Point(
        values=dict(values),
        result=result,
        energy_j=estimate(network, reads=result.reads).total.energy_total,
        arrays=sum(matrix.arrays for matrix in network.graph.matrices.values()),
        planned_anew=not _same_plan(network.target, compiled.target),
    )


def _share_of(progress: Watcher, index: int, count: int) -> Watcher:
    return lambda done, total: progress(index * total + done, count * total)
