"""``evaluate``: a compiled network on test data: the reference, the ideal mapped graph, and chips with their noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from pinat_compile.compiler.compiled import Compiled
from pinat_compile.data import Dataset, as_dataset
from pinat_compile.engines import Engine, Store, engine_for, store_for
from pinat_compile.errors import OptionError
from pinat_compile.evaluation.batches import Watcher
from pinat_compile.evaluation.deploying import deploying_for
from pinat_compile.evaluation.dynamics import dynamic_for
from pinat_compile.evaluation.judging import Judging, finished, judge_all
from pinat_compile.evaluation.result import Evaluation
from pinat_compile.evaluation.running import Run
from pinat_compile.evaluation.scores import IDEAL, Row, Scored
from pinat_compile.evaluation.statistics import Spread
from pinat_compile.graph import Node
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.hardware.schema import Target
from pinat_compile.simulator.conditions import VALIDATION_CHIPS, Conditions, seconds
from pinat_compile.simulator.deployment import Deployment
from pinat_compile.simulator.module import Simulator


def evaluate(
    compiled: Compiled,
    data: Any,
    *,
    chips: int | Sequence[int] = 10,
    reads: int = 1,
    seed: int = 0,
    time: str | float | None = None,
    temperature: float = 300.0,
    severity: float = 1.0,
    metric: str | None = None,
    per_layer: bool = False,
    deploy: str | Sequence[str] | Sequence[Deployment] = (),
    deploy_data: Any = None,
    deploy_samples: int | None = None,
    deploy_time: str | float | None = None,
    dynamic: str | None = None,
    batch_size: int | None = None,
    device: str | torch.device = "cpu",
    engine: str | Engine | None = None,
    store: str | Path | Store | None = None,
    progress: Watcher | None = None,
) -> Evaluation:
    """Judge ``compiled`` on ``data``: in onnxruntime, with ideal devices, and on ``chips``.

    ``data``: see `pinat_compile.data.as_dataset`; a data set with splits gives its test split. ``chips``: how many,
    counted from chip 0, or their numbers (test chips are 0 to 99,999). ``reads``: how often each product on arrays is
    read to be averaged; the result's ``energy_j`` is then the energy of a sample with them. ``seed``: of read noise.
    ``time``: after programming, seconds or ``"1h"`` (default: the first time for which the devices are described);
    ``temperature`` in kelvin, which says something only where the target has a temperature section or thermal noise
    (the result then holds it, else ``None``); ``severity`` multiplies every deviation. ``metric``: see `metric_for`.
    ``per_layer``: also each analog layer alone on arrays.

    ``deploy``: steps of a deployment that is made for each chip (see `deploy`), or deployments that were made before;
    the figures are then those with it, and the result's ``deployment`` holds those without. It is made
    ``deploy_time`` after programming (default: ``time``), with at most ``deploy_samples`` (200) of ``deploy_data``
    (default: the training split of ``data``, where it has one).

    ``dynamic``: conditions that change meanwhile, ``per-sample``, ``ou``, ``shift`` or ``gain-drift``; see
    `pinat_compile.evaluation.dynamics`. ``severity`` multiplies theirs; deployments are made at ``severity`` itself,
    before any gain has drifted.

    ``engine``: where chips are judged, in this process or on Ray (see `pinat_compile.engines.engine_for`); the result
    is the same, bit for bit. ``store``: a file in which each chip's scores are kept as they are found, by the content
    of everything they depend on; what it holds is not found again.

    Only the network's first output is judged. Raises DataError where data and network do not fit, OptionError,
    EngineError and StoreError.
    """
    numbers = chip_numbers(chips)
    asked = judging_for(
        compiled, data, numbers, seed=seed, time=time, temperature=temperature, severity=severity, reads=reads,
        metric=metric, per_layer=per_layer, deploy=deploy, deploy_data=deploy_data, deploy_samples=deploy_samples,
        deploy_time=deploy_time, dynamic=dynamic, batch_size=batch_size, device=device,
    )
    dataset = data_for(compiled, data)
    with engine_for(engine) as runs_on, store_for(store) as kept:
        watch = None if progress is None else _samples(progress, len(dataset), asked, len(numbers))
        found = judge_all(compiled, dataset, [asked], numbers, engine=runs_on, store=kept, tell=watch)
        return evaluation_of(compiled.target, dataset, asked, numbers, dict(found)[0])


def judging_for(
    compiled: Compiled,
    data: Any,
    chips: Sequence[int],
    *,
    time: str | float | None = None,
    temperature: float = 300.0,
    severity: float = 1.0,
    reads: int = 1,
    per_layer: bool = False,
    deploy: str | Sequence[str] | Sequence[Deployment] = (),
    deploy_data: Any = None,
    deploy_samples: int | None = None,
    deploy_time: str | float | None = None,
    device: str | torch.device = "cpu",
    costed: bool = False,
    **given: Any,
) -> Judging:
    """What `evaluate` was asked for, checked; ``given``: fields of `Judging` as they are."""
    conditions = Conditions(
        chip=None,
        time_s=compiled.default_time_s if time is None else seconds(time),
        temperature_k=temperature,
        severity=severity,
        reads=reads,
    )
    layers = tuple(node.name for node in analog_layers(compiled)) if per_layer else ()
    deploying = deploying_for(
        compiled, chips, deploy, deploy_data, judged=data, samples=deploy_samples, time=deploy_time
    )
    asked = Judging(
        conditions=conditions, layers=layers, deploying=deploying, device=str(device), costed=costed or reads > 1,
        **given,
    )
    dynamic_for(asked.dynamic, 1, severity=severity, seed=asked.seed)  # so that mistakes are found at once
    return asked


def data_for(compiled: Compiled, data: Any) -> Dataset:
    """``data`` as the network takes them; the test split where there are splits."""
    return as_dataset(data, inputs=compiled.source.inputs, preprocess=compiled.options.preprocess, split="test")


def _samples(progress: Watcher, samples: int, asked: Judging, chips: int) -> Callable[[float], None]:
    """Shares of the whole as samples, counted once for every network that they run through."""
    bare = asked.bare and bool(asked.deploying.steps or asked.deploying.made)
    total = samples * (2 + bool(asked.layers) + chips * (1 + len(asked.layers) + bare))
    return lambda share: progress(round(share * total), total)


def run_on(
    compiled: Compiled,
    data: Any,
    chips: Sequence[int],
    ideal: Simulator,
    *,
    deploy: str | Sequence[str] | Sequence[Deployment] = (),
    deploy_data: Any = None,
    deploy_samples: int | None = None,
    per_layer: bool = False,
    with_ideal: bool = True,
    progress: Watcher | None = None,
    **given: Any,
) -> Run:
    """The finished run over ``data`` and ``chips``, whatever they are for, under the conditions of ``ideal``.

    In this process. Not ``with_ideal``: the ideal mapped network does not run for itself. ``given``: fields of
    `Judging`.
    """
    deploying = deploying_for(
        compiled, chips, deploy, deploy_data, judged=data, samples=deploy_samples, time=None
    )
    device = str(next(iter(ideal.values.values())).device)
    layers = tuple(node.name for node in analog_layers(compiled)) if per_layer else ()
    asked = Judging(
        conditions=ideal.conditions, seed=ideal.seed, device=device, deploying=deploying, layers=layers, **given
    )
    return finished(
        compiled, data_for(compiled, data), asked, chips, ideal, with_ideal=with_ideal, progress=progress
    )


def chip_numbers(chips: int | Sequence[int]) -> tuple[int, ...]:
    """Chips 0 to N - 1, or those named; OptionError for none at all or for chips that are not for testing."""
    if isinstance(chips, int) and chips > VALIDATION_CHIPS:
        raise OptionError(
            f"chips = {chips}: chips for testing are 0 to {VALIDATION_CHIPS - 1:,}", hint="10 is the default"
        )
    numbers = tuple(range(chips)) if isinstance(chips, int) else tuple(chips)
    if not numbers:
        raise OptionError(f"chips = {chips}: expected at least one", hint="10 is the default")
    if len(set(numbers)) < len(numbers):
        raise OptionError(f"chips = {list(numbers)}: a chip is named twice", hint="name it once")
    for number in numbers:
        if not 0 <= number < VALIDATION_CHIPS:
            raise OptionError(
                f"chip {number}: chips for testing are 0 to {VALIDATION_CHIPS - 1:,}",
                hint="higher numbers are for validation and training",
            )
    return numbers


def analog_layers(compiled: Compiled) -> list[Node]:
    """The nodes that run on arrays, in order."""
    return [node for node in compiled.graph.nodes if isinstance(node.op, ArrayMvm)]


def evaluation_of(
    target: Target, data: Dataset, judging: Judging, chips: Sequence[int], rows: Mapping[str, Row]
) -> Evaluation:
    """What the rows of all ``chips`` come to; ``target``: as it was judged."""
    scored, conditions = Scored(rows, chips), judging.conditions
    per_chip, higher = scored.per_chip, scored.higher_is_better
    return Evaluation(
        metric=scored.metric,
        higher_is_better=higher,
        reference=scored.alone("reference").mean,
        ideal=scored.alone("ideal").mean,
        per_chip=per_chip,
        spread=Spread.of(per_chip, higher_is_better=higher),
        top5=scored.top5(),
        chips=tuple(chips),
        samples=len(data),
        data=data.name,
        seed=judging.seed,
        reads=conditions.reads,
        energy_j=rows[IDEAL]["costs"]["energy_j"] if conditions.reads > 1 else None,
        time_s=conditions.time_s,
        temperature_k=conditions.temperature_k if target.feels_heat else None,
        severity=conditions.severity,
        dynamic=dynamic_for(judging.dynamic, len(data), severity=conditions.severity, seed=judging.seed),
        per_layer=scored.per_layer(),
        deployment=scored.deployed(),
    )
