"""``deploy``: make up for the deviations of one chip, with probe reads and unlabelled samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import torch

from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.deployments import to_text
from pinat_compile.data import Dataset, as_dataset, load_data
from pinat_compile.data.spec import Spec
from pinat_compile.errors import DataError, OptionError
from pinat_compile.evaluation.deployer import NEED_DATA, Deployer
from pinat_compile.simulator.conditions import seconds
from pinat_compile.simulator.deployment import Deployment
from pinat_compile.simulator.module import Simulator

STEPS: Mapping[str, str] = {
    "faults": "cells known to be stuck: other device or side of the pair, other rows and columns of the tile",
    "drift": "one factor per matrix, from probe vectors read right after programming and now",
    "drift_per_tile": "the same with one factor per tile and slice",
    "moments": "scale and offset per channel: mean and deviation become those of the ideal mapped network",
    "bias": "offset per channel: the mean becomes that of the ideal mapped network",
    "affine": "scale and offset per channel by least squares against the ideal mapped network",
    "low_rank": "a digital map of rank 4 among the channels of every layer, by regression on the ideal mapped network",
    "distil": "scales and offsets of all layers trained together on the chip, towards the original network's outputs",
}
"""What a deployment may consist of, in the order in which it is done."""
EXCLUSIVE = (("drift", "drift_per_tile"), ("moments", "bias", "affine"))
"""Steps of which a deployment takes one at most: they set the same values."""
SAMPLES = 200
"""Unlabelled samples, at most, where no other number is given."""


def deploy(
    compiled: Compiled,
    *,
    chip: int = 0,
    data: Any = None,
    steps: str | Sequence[str] = ("moments",),
    samples: int | None = None,
    time: str | float | None = None,
    temperature: float = 300.0,
    severity: float = 1.0,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> Deployment:
    """What makes up for the deviations of chip number ``chip``, as it is ``time`` after programming; plan unchanged.

    ``steps``: of `STEPS`, done in that order, whatever order they are given in. ``data``: samples for moments, bias,
    affine, low_rank and distil (see `pinat_compile.data.as_dataset`; a data set with splits gives its training split),
    of which at most ``samples`` (default `SAMPLES`) are taken, evenly; labels are not looked at. Probe vectors are
    those that calibration kept. ``seed``: of the read noise, which is not that of any evaluation; slow noise
    is that of the chip at this time. Raises OptionError and DataError.

    Use it with ``compiled.simulator(chip=…, deployment=…)``.
    """
    chosen = chosen_steps(steps)
    ideal = compiled.simulator(noise=False, device=device, time=time, temperature=temperature, severity=severity)
    return Deployer(compiled, chosen, ideal, samples_for(compiled, chosen, data, samples), seed).on(chip)


def chosen_steps(steps: str | Sequence[str]) -> tuple[str, ...]:
    """The steps, in the order in which they are done; OptionError for none, unknown ones and those that clash."""
    given = [step.strip() for step in steps.split(",")] if isinstance(steps, str) else list(steps)
    for step in given:
        if step not in STEPS:
            raise OptionError(f"deploy: there is no step {step!r}", hint=f"steps are {', '.join(STEPS)}")
    if not given:
        raise OptionError("deploy: no steps are given", hint=f"steps are {', '.join(STEPS)}")
    for group in EXCLUSIVE:
        both = [step for step in group if step in given]
        if len(both) > 1:
            raise OptionError(f"deploy: {both[0]} and {both[1]} set the same values", hint="choose one of them")
    return tuple(step for step in STEPS if step in given)


def samples_for(compiled: Compiled, steps: Sequence[str], data: Any, samples: int | None) -> Dataset | None:
    """The unlabelled samples that ``steps`` need, ``None`` where they need none; OptionError where they are missing.

    At most ``samples`` of ``data``, `SAMPLES` where it is ``None``.
    """
    samples = SAMPLES if samples is None else samples
    needing = [step for step in steps if step in NEED_DATA]
    if not needing:
        return None
    if samples < 2:
        raise OptionError(f"deploy: samples = {samples}: expected at least 2", hint=f"{SAMPLES} is the default")
    if data is None:
        raise OptionError(
            f"deploy: {needing[0]} needs unlabelled samples", hint="give data (--deploy-data), from the training data"
        )
    made = as_dataset(data, inputs=compiled.source.inputs, preprocess=compiled.options.preprocess, split="train")
    if len(made) < 2:
        raise DataError(f"deploy: {made.name}: one sample has no deviation", hint=f"give {SAMPLES}, or 2 at least")
    return made.spread(samples).without_labels()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deploying:
    """How the chips of an evaluation get their deployments: by ``steps`` on ``data``, or those ``made`` before.

    ``time_s``: when they are made, in seconds after programming; ``None``: when the chip is judged. Without steps and
    made ones there are none.
    """

    steps: tuple[str, ...] = ()
    data: Dataset | None = None
    time_s: float | None = None
    made: Mapping[int, Deployment] = field(default_factory=dict)

    def on(self, compiled: Compiled, ideal: Simulator, chips: Sequence[int]) -> dict[int, Deployment]:
        """One deployment per chip, under the conditions of ``ideal``; none where there are none."""
        if not self.steps:
            return {number: self.made[number] for number in chips if number in self.made}
        then = ideal.conditions if self.time_s is None else replace(ideal.conditions, time_s=self.time_s)
        deployer = Deployer(compiled, self.steps, ideal.view(then), self.data, ideal.seed)
        return {number: deployer.on(number) for number in chips}

    def said(self) -> list[Any]:
        """What tells it from others, as plain JSON values."""
        data = None if self.data is None else self.data.content()
        return [self.steps, data, self.time_s, {number: to_text(made) for number, made in self.made.items()}]


def deploying_for(
    compiled: Compiled,
    chips: Sequence[int],
    deploy: str | Sequence[str] | Sequence[Deployment],
    data: Any,
    *,
    judged: Any,
    samples: int | None,
    time: str | float | None,
) -> Deploying:
    """How ``chips`` get their deployments; not at all where ``deploy`` is empty.

    ``deploy``: steps, or deployments made before. ``judged``: what the evaluation runs on; where it has a training
    split, that is the default ``data``. OptionError where a chip has no deployment, or steps and data do not fit.
    """
    if not isinstance(deploy, str) and all(isinstance(item, Deployment) for item in deploy):
        made = cast(Sequence[Deployment], deploy)
        return Deploying(made=_made_before(compiled, chips, made) if made else {})
    steps = chosen_steps(cast(str | Sequence[str], deploy))
    if data is None and not NEED_DATA.isdisjoint(steps):
        data = _training_part(judged)
    chosen = samples_for(compiled, steps, data, samples)
    return Deploying(steps=steps, data=chosen, time_s=None if time is None else seconds(time))


def deployments_for(
    compiled: Compiled, ideal: Simulator, chips: Sequence[int], *given: Any, **named: Any
) -> dict[int, Deployment]:
    """One deployment per chip under the conditions of ``ideal``; none where none is asked for. See `deploying_for`."""
    return deploying_for(compiled, chips, *given, **named).on(compiled, ideal, chips)


def _made_before(compiled: Compiled, chips: Sequence[int], made: Sequence[Deployment]) -> dict[int, Deployment]:
    known = {deployment.chip: deployment for deployment in made}
    for number in chips:
        if number not in known:
            raise OptionError(f"deploy: chip {number} has no deployment", hint="give one for each chip, or steps")
    return {number: known[number].for_network(compiled.fingerprint, compiled.name) for number in chips}


def _training_part(data: Any) -> str | None:
    """The training split of the data set that ``data`` names, where there is one."""
    if not isinstance(data, str | Path):
        return None
    name = f"{Spec.parse(str(data)).name}@train"
    try:
        load_data(name)
    except DataError:
        return None
    return name
