"""``evaluate``: a compiled network on test data: the reference, the ideal mapped graph, and chips with their noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.costs import estimate
from pinat_compile.data import as_dataset
from pinat_compile.errors import OptionError
from pinat_compile.evaluation.batches import Watcher, fitting_batch_size
from pinat_compile.evaluation.deploying import deployments_for
from pinat_compile.evaluation.dynamics import dynamic_for
from pinat_compile.evaluation.result import Evaluation
from pinat_compile.evaluation.running import Run
from pinat_compile.evaluation.scores import Scores
from pinat_compile.evaluation.statistics import Spread
from pinat_compile.graph import Node
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.simulator.conditions import VALIDATION_CHIPS
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

    Only the network's first output is judged. Raises DataError where data and network do not fit, and OptionError.
    """
    ideal = compiled.simulator(
        seed=seed, device=device, noise=False, time=time, temperature=temperature, severity=severity, reads=reads
    )
    numbers = chip_numbers(chips)
    given = {"deploy": deploy, "deploy_data": deploy_data, "deploy_samples": deploy_samples, "deploy_time": deploy_time}
    return judged(
        compiled, data, numbers, ideal, metric=metric, per_layer=per_layer, dynamic=dynamic, batch_size=batch_size,
        progress=progress, **given
    )


def judged(
    compiled: Compiled,
    data: Any,
    chips: Sequence[int],
    ideal: Simulator,
    **given: Any,
) -> Evaluation:
    """What `evaluate` does, on ``chips`` whatever they are for; see `run_on` for the rest."""
    return _result(run_on(compiled, data, chips, ideal, **given))


def run_on(
    compiled: Compiled,
    data: Any,
    chips: Sequence[int],
    ideal: Simulator,
    *,
    metric: str | None = None,
    per_layer: bool = False,
    deploy: str | Sequence[str] | Sequence[Deployment] = (),
    deploy_data: Any = None,
    deploy_samples: int | None = None,
    deploy_time: str | float | None = None,
    bare: bool = True,
    with_ideal: bool = True,
    dynamic: str | None = None,
    batch_size: int | None = None,
    progress: Watcher | None = None,
) -> Run:
    """The finished run over ``data`` and ``chips``, under the conditions and on the device of ``ideal``.

    Not ``bare``: chips that are deployed run with their deployment alone. Not ``with_ideal``: the ideal mapped network
    does not run for itself.
    """
    seed, device = ideal.seed, next(iter(ideal.values.values())).device
    dataset = as_dataset(data, inputs=compiled.source.inputs, preprocess=compiled.options.preprocess, split="test")
    layers = analog_layers(compiled) if per_layer else []
    size = batch_size or fitting_batch_size(compiled, dataset)
    varied = dynamic_for(dynamic, len(dataset), severity=ideal.conditions.severity, seed=seed)
    deployments = deployments_for(
        compiled, ideal, chips, deploy, deploy_data, judged=data, samples=deploy_samples, time=deploy_time
    )
    undeployed = list(deployments) if bare else []
    scores = Scores(dataset, metric, chips, [node.name for node in layers], undeployed)
    run = Run(
        compiled, dataset, ideal, tuple(chips), layers, size, scores, varied, progress, device, deployments, undeployed,
        with_ideal=with_ideal,
    )
    run.all()
    return run


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


def _result(run: Run) -> Evaluation:
    """What the scores of a finished run come to."""
    scores = run.scores
    per_chip, higher = scores.per_chip, scores.metric.higher_is_better
    conditions, target = run.ideal.conditions, run.compiled.target
    return Evaluation(
        metric=scores.metric.name,
        higher_is_better=higher,
        reference=scores.of_reference.mean,
        ideal=scores.of_ideal.mean,
        per_chip=per_chip,
        spread=Spread.of(per_chip, higher_is_better=higher),
        top5=scores.top5(),
        chips=run.chips,
        samples=len(run.data),
        data=run.data.name,
        seed=run.ideal.seed,
        reads=conditions.reads,
        energy_j=estimate(run.compiled, reads=conditions.reads).total.energy_total if conditions.reads > 1 else None,
        time_s=conditions.time_s,
        temperature_k=conditions.temperature_k if target.feels_heat else None,
        severity=conditions.severity,
        dynamic=run.dynamic,
        per_layer=scores.per_layer(),
        deployment=scores.deployed(run.deployments) if run.bare else None,
    )
