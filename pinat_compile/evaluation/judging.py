"""An evaluation as units of work: some chips of one network on the same data, in this process or in another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field

from pinat_compile.compiler.build import recompile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.costs import estimate
from pinat_compile.data import Dataset
from pinat_compile.engines import Engine, Store, code_digest, digest
from pinat_compile.engines.engine import parts
from pinat_compile.evaluation.batches import Watcher, fitting_batch_size
from pinat_compile.evaluation.deploying import Deploying
from pinat_compile.evaluation.dynamics import dynamic_for
from pinat_compile.evaluation.running import Run
from pinat_compile.evaluation.scores import IDEAL, Row, Scores
from pinat_compile.hardware.loader import overridden
from pinat_compile.hardware.schema import Target
from pinat_compile.simulator.conditions import Conditions
from pinat_compile.simulator.module import Simulator

OF_PLAN = ("array", "cell", "weights", "dac", "adc", "mapping")
"""Sections of a target that the plan is made from: where one of them changes, everything is planned anew."""
PER_WORKER = 3
"""Units for each worker, where there are chips enough: so that the last ones end at nearly the same time."""
KIND = "evaluation"
"""Of rows in a store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """All that an evaluation depends on besides network, data and chips; see `evaluate`.

    ``changes`` of the network's target, for which it is compiled again. ``conditions``: of ideal devices.
    ``layers``: also each of these alone. ``bare``: chips with a deployment run without it too.
    ``costed``: also what a sample costs.
    """

    conditions: Conditions
    seed: int = 0
    device: str = "cpu"
    changes: tuple[str, ...] = ()
    metric: str | None = None
    layers: tuple[str, ...] = ()
    dynamic: str | None = None
    batch_size: int | None = None
    bare: bool = True
    costed: bool = False
    deploying: Deploying = field(default_factory=Deploying)

    def key(self, compiled: Compiled, data: Dataset, threads: int) -> str:
        """Names the results by the content of everything that they depend on."""
        own = {name: getattr(self, name) for name in self.__slots__ if name not in ("conditions", "deploying")}
        said = [asdict(self.conditions), self.deploying.said(), own]
        return digest(code_digest(), compiled.content, data.content(), threads, said)


# --- one unit ---


def judge(
    compiled: Compiled,
    data: Dataset,
    judging: Judging,
    chips: Sequence[int],
    ideal: bool,
    *,
    tell: Callable[[float], None] | None = None,
) -> dict[str, Row]:
    """The rows of ``chips``; with ``ideal`` also that of the reference and of ideal devices. A pure function."""
    network = changed(compiled, judging.changes)
    watch = None if tell is None else lambda done, total: tell(done / max(1, total))
    run = finished(
        network, data, judging, chips, ideal_devices(network, judging), with_reference=ideal, with_ideal=ideal,
        progress=watch,
    )
    rows = run.scores.rows(run.deployments)
    if ideal and judging.costed:
        energy_j = estimate(network, reads=judging.conditions.reads).total.energy_total
        arrays = sum(matrix.arrays for matrix in network.graph.matrices.values())
        rows[IDEAL]["costs"] = {"energy_j": energy_j, "arrays": arrays}
    return rows


def finished(
    network: Compiled,
    data: Dataset,
    judging: Judging,
    chips: Sequence[int],
    ideal: Simulator,
    *,
    with_reference: bool = True,
    with_ideal: bool = True,
    progress: Watcher | None = None,
) -> Run:
    """The run of ``network``, which ``ideal`` holds on ideal devices, on ``chips``; and for themselves on none."""
    deployments = judging.deploying.on(network, ideal, chips)
    undeployed = list(deployments) if judging.bare else []
    run = Run(
        compiled=network,
        data=data,
        ideal=ideal,
        chips=tuple(chips),
        layers=[network.graph.node(name) for name in judging.layers],
        batch_size=judging.batch_size or fitting_batch_size(network, data),
        scores=Scores(data, judging.metric, chips, judging.layers, undeployed),
        dynamic=dynamic_for(judging.dynamic, len(data), severity=ideal.conditions.severity, seed=ideal.seed),
        progress=progress,
        device=judging.device,
        deployments=deployments,
        bare=undeployed,
        with_reference=with_reference,
        with_ideal=with_ideal,
    )
    run.all()
    return run


def ideal_devices(network: Compiled, judging: Judging) -> Simulator:
    """The mapped network on ideal devices, under the conditions of the evaluation."""
    now = judging.conditions
    return network.simulator(
        seed=judging.seed, device=judging.device, noise=False, time=now.time_s, temperature=now.temperature_k,
        severity=now.severity, reads=now.reads,
    )


def changed(compiled: Compiled, changes: Sequence[str]) -> Compiled:
    """``compiled`` with other values of its target; planned anew only where the plan is made from one of them."""
    if not changes:
        return compiled
    target = overridden(compiled.target, changes)
    return recompile(compiled, target=target, keep_plan=same_plan(compiled.target, target))


def same_plan(a: Target, b: Target) -> bool:
    """Whether a plan for one target is one for the other."""
    return all(getattr(a, section) == getattr(b, section) for section in OF_PLAN)


# --- all units ---


@dataclass(frozen=True, slots=True)
class Found:
    """Rows of one `Judging`, by the name of the row."""

    key: str
    rows: dict[str, Row]
    missing: tuple[int, ...]


def judge_all(
    compiled: Compiled,
    data: Dataset,
    judgings: Sequence[Judging],
    chips: Sequence[int],
    *,
    engine: Engine,
    store: Store | None = None,
    tell: Callable[[float], None] | None = None,
) -> Iterator[tuple[int, dict[str, Row]]]:
    """Index and rows of each of ``judgings``, as they are complete; what ``store`` holds is not found again.

    ``tell`` takes the share of all that is done.
    """
    found = [_known(compiled, data, judging, chips, engine, store) for judging in judgings]
    yield from ((index, each.rows) for index, each in enumerate(found) if not _work(each))
    units = list(_units(found, max(1, PER_WORKER * engine.workers // len(judgings)) if engine.workers > 1 else 1))
    network, samples = (engine.share(value) if units else None for value in (compiled, data))
    shared = {index: engine.share(judgings[index]) for index, _, _ in units}
    given = [(network, samples, shared[index], part, ideal) for index, part, ideal in units]
    shares = [0.0] * len(units)

    def watch(unit: int, share: float) -> None:
        shares[unit] = share
        if tell is not None:
            tell(sum(shares) / len(shares))

    waiting = [sum(index == unit[0] for unit in units) for index in range(len(judgings))]
    for number, rows in engine.run(judge, given, watch):
        index = units[number][0]
        if store is not None:
            store.add(KIND, {f"{found[index].key}:{name}": row for name, row in rows.items()})
        found[index].rows.update(rows)
        waiting[index] -= 1
        if not waiting[index]:
            yield index, found[index].rows


def _known(
    compiled: Compiled, data: Dataset, judging: Judging, chips: Sequence[int], engine: Engine, store: Store | None
) -> Found:
    if store is None:
        return Found("", {}, tuple(chips))
    key = judging.key(compiled, data, engine.threads)
    names = [IDEAL, *map(str, chips)]
    held = store.known(KIND, [f"{key}:{name}" for name in names])
    rows = {name: held[f"{key}:{name}"] for name in names if f"{key}:{name}" in held}
    return Found(key, rows, tuple(chip for chip in chips if str(chip) not in rows))


def _work(found: Found) -> bool:
    return bool(found.missing) or IDEAL not in found.rows


def _units(found: Sequence[Found], count: int) -> Iterator[tuple[int, Sequence[int], bool]]:
    """Index, chips, and whether the ideal execution is part of it; the chips of each in at most ``count`` parts."""
    for index, each in enumerate(found):
        split: list[Sequence[int]] = parts(each.missing, count) if each.missing else [()]
        for number, part in enumerate(split if _work(each) else []):
            yield index, part, number == 0 and IDEAL not in each.rows

