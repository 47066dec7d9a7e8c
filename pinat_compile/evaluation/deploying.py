"""``deploy``: make up for the deviations of one chip, with probe reads and unlabelled samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from pinat_compile.compiler.compiled import Compiled
from pinat_compile.data import Dataset, as_dataset, load_data
from pinat_compile.data.spec import Spec
from pinat_compile.errors import DataError, OptionError
from pinat_compile.evaluation.batches import fitting_batch_size
from pinat_compile.evaluation.matching import Kind, fit
from pinat_compile.frontend.calibration import spread
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.physics import converters
from pinat_compile.physics.faults import place_around_faults, stuck_cells
from pinat_compile.physics.probing import drift_gains
from pinat_compile.physics.randomness import Key
from pinat_compile.simulator.arrays import ArrayMatrix
from pinat_compile.simulator.conditions import seconds
from pinat_compile.simulator.deployment import Deployment, Step
from pinat_compile.simulator.module import Simulator

STEPS: Mapping[str, str] = {
    "faults": "cells known to be stuck: other device or side of the pair, other rows and columns of the tile",
    "drift": "one factor per matrix, from probe vectors read right after programming and now",
    "drift_per_tile": "the same with one factor per tile and slice",
    "moments": "scale and offset per channel: mean and deviation become those of the ideal mapped network",
    "bias": "offset per channel: the mean becomes that of the ideal mapped network",
    "affine": "scale and offset per channel by least squares against the ideal mapped network",
}
"""What a deployment may consist of, in the order in which it is done."""
EXCLUSIVE = (("drift", "drift_per_tile"), ("moments", "bias", "affine"))
"""Steps of which a deployment takes one at most: they set the same values."""
NEED_DATA = frozenset(("moments", "bias", "affine"))
PROBES = 256
"""Probe vectors per matrix, at most."""
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

    ``steps``: of `STEPS`, done in that order, whatever order they are given in. ``data``: samples for moments, bias and
    affine (see `pinat_compile.data.as_dataset`; a data set with splits gives its training split), of which at most
    ``samples`` (default `SAMPLES`) are taken, evenly; labels are not looked at. Probe vectors are those that
    calibration kept. ``seed``: of the read noise, which is not that of any evaluation. Raises OptionError and
    DataError.

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


def deployments_for(
    compiled: Compiled,
    ideal: Simulator,
    chips: Sequence[int],
    deploy: str | Sequence[str] | Sequence[Deployment],
    data: Any,
    *,
    judged: Any,
    samples: int | None,
    time: str | float | None,
) -> dict[int, Deployment]:
    """One deployment per chip for an evaluation under the conditions of ``ideal``; none where ``deploy`` is empty.

    ``deploy``: steps, or deployments made before. ``judged``: what the evaluation runs on; where it has a training
    split, that is the default ``data``. OptionError where a chip has no deployment, or steps and data do not fit.
    """
    if not isinstance(deploy, str) and all(isinstance(item, Deployment) for item in deploy):
        return _made_before(compiled, chips, cast(Sequence[Deployment], deploy)) if deploy else {}
    steps = chosen_steps(cast(str | Sequence[str], deploy))
    if data is None and not NEED_DATA.isdisjoint(steps):
        data = _training_part(judged)
    chosen = samples_for(compiled, steps, data, samples)
    then = ideal.conditions if time is None else replace(ideal.conditions, time_s=seconds(time))
    deployer = Deployer(compiled, steps, ideal.view(then), chosen, ideal.seed)
    return {number: deployer.on(number) for number in chips}


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


@dataclass(frozen=True)
class Deployer:
    """Makes deployments of any chip, under the conditions of ``ideal``."""

    compiled: Compiled
    steps: tuple[str, ...]
    ideal: Simulator
    data: Dataset | None
    seed: int

    @torch.no_grad()
    def on(self, number: int) -> Deployment:
        """The deployment of chip ``number``."""
        now = self.ideal.conditions
        made = Deployment(
            network=self.compiled.fingerprint,
            chip=number,
            steps=(),
            time_s=now.time_s,
            temperature_k=now.temperature_k,
            severity=now.severity,
            seed=self.seed,
        )
        for step in self.steps:
            if step == "faults":
                made = self._placed(made)
            elif step in NEED_DATA:
                made = self._fitted(made, cast(Kind, step))
            else:
                made = self._undrifted(made, step)
        return made

    def _chip(self, made: Deployment) -> Simulator:
        """The chip with what was found so far; its read noise is that of no evaluation."""
        chip = self.ideal.view(replace(self.ideal.conditions, chip=made.chip), deployment=made)
        chip.seed = Key(("deploy", self.seed)).seed()
        return chip

    # --- faults ---

    def _placed(self, made: Deployment) -> Deployment:
        """Test every cell, and place the weights of every matrix around those that are stuck."""
        chip, placements = self._chip(made), {}
        cells, before, after = 0, 0.0, 0.0
        for name in _matrices(chip):
            arrays = chip.arrays(name)
            state = arrays.state(chip.value, chip.conditions)
            known = stuck_cells(state, chip.conditions.severity)
            if known is None or not bool(known.any()):
                continue
            power = self._driven(chip, arrays, name).square().mean(dim=0, keepdim=True)
            found = place_around_faults(state, known, _tiles(power, arrays)[0])
            placements[name] = found.placement
            cells, before, after = cells + found.cells, before + found.before, after + found.after
        figures = {"cells": float(cells), "error_left": after / before if before else 0.0}
        step = Step(name="faults", figures=figures)
        return replace(made, placements=placements, steps=(*made.steps, step))

    # --- drift ---

    def _undrifted(self, made: Deployment, step: str) -> Deployment:
        """Probe every matrix right after programming and now."""
        chip = self._chip(made)
        gains = {name: self._gains(chip, name, per_tile=step == "drift_per_tile") for name in _matrices(chip)}
        probes = max((len(self._vectors(name)) for name in gains), default=0)
        values = torch.cat([gain.flatten() for gain in gains.values()]) if gains else torch.ones(1)
        figures = {"gain_mean": float(values.mean()), "gain_max": float(values.max())}
        found = Step(name=step, probes=probes, figures=figures)
        return replace(made, drift_gains=gains, steps=(*made.steps, found))

    def _vectors(self, name: str) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Probe vectors [vectors, inputs]."""
        return spread(self.compiled.calibration.matrices[name].vectors, PROBES)

    def _gains(self, chip: Simulator, name: str, *, per_tile: bool) -> Tensor:
        """[row_tile, col_tile, slice]"""
        arrays, now = chip.arrays(name), chip.conditions
        assert chip.deployment is not None
        placement, _ = chip.deployment.of_matrix(name)
        adc = None if arrays.ranges.adc_range is None else chip.value(arrays.ranges.adc_range)
        return drift_gains(
            arrays.state(chip.value, now, placement),
            _in_groups(_tiles(self._driven(chip, arrays, name), arrays), arrays.target.array.rows_on),
            Key(("deploy", self.seed, "probe", made_for(chip), name)),
            unit=None if adc is None else adc / arrays.limits.codes[1],
            codes=None if adc is None else arrays.limits.codes,
            time_s=now.time_s,
            temperature_k=now.temperature_k,
            severity=now.severity,
            per_tile=per_tile,
        )

    def _driven(self, chip: Simulator, arrays: ArrayMatrix, name: str) -> Tensor:
        """Probe vectors [vectors, inputs] in input steps; where inputs come bit by bit, on or off."""
        x = torch.from_numpy(self._vectors(name)).to(chip.value(arrays.matrix.weight).device)
        dac = arrays.ranges.dac_range
        if dac is None:
            return x
        limit = arrays.input_limit
        codes = converters.quantise(x, chip.value(dac) / limit, -limit, limit)
        return codes if arrays.target.dac.converted_at_once else (codes != 0).to(x) * arrays.target.dac.largest_input

    # --- scale and offset ---

    def _fitted(self, made: Deployment, kind: Kind) -> Deployment:
        """Match every layer on arrays to the ideal mapped network, on the same samples."""
        assert self.data is not None
        chip, ours, ideal, first = self._chip(made), [], [], 0
        for inputs in self._batches(self.data):
            ours += chip.steps(inputs, first_sample=first)
            ideal += self.ideal.steps(inputs)
            first += len(next(iter(inputs.values())))
        matches = fit(kind, ours, ideal, len(_layers(chip)))
        scales = {name: match.scale.cpu() for name, match in matches.items()}
        offsets = {name: match.offset.cpu() for name, match in matches.items()}
        live = torch.cat([match.live for match in matches.values()]) if matches else torch.ones(0)
        values = torch.cat(list(scales.values())) if scales else torch.ones(1)
        figures = {
            "scale_mean": float(values.mean()),
            "scale_min": float(values.min()),
            "scale_max": float(values.max()),
            "channels": float(len(live)),
            "dead_channels": float((~live.bool()).sum()),
        }
        found = Step(name=kind, samples=len(self.data), data=self.data.name, figures=figures)
        changed = replace(made, offsets=offsets, steps=(*made.steps, found))
        return changed if kind == "bias" else replace(changed, scales=scales)


    def _batches(self, data: Dataset) -> Iterator[dict[str, Tensor]]:
        device = next(iter(self.ideal.values.values())).device
        for batch in data.batches(fitting_batch_size(self.compiled, data)):
            yield {name: torch.from_numpy(np.ascontiguousarray(x)).to(device) for name, x in batch.inputs.items()}


def made_for(chip: Simulator) -> int:
    """The number of a chip that is not ideal."""
    assert chip.conditions.chip is not None
    return chip.conditions.chip


def _layers(chip: Simulator) -> list[str]:
    """The nodes on arrays, in order."""
    return [node.name for node in chip.graph.nodes if isinstance(node.op, ArrayMvm)]


def _matrices(chip: Simulator) -> list[str]:
    """The matrices that nodes on arrays multiply by, each once."""
    return list(dict.fromkeys(node.op.matrix for node in chip.graph.nodes if isinstance(node.op, ArrayMvm)))


def _in_groups(x: Tensor, rows_on: int | None) -> Tensor:
    """[vectors, row_tile, rows] → the same for each group of rows that is driven at a time, the others at 0."""
    if rows_on is None or rows_on >= x.shape[-1]:
        return x
    group = torch.arange(x.shape[-1], device=x.device) // rows_on
    return torch.cat([x * (group == index) for index in range(int(group[-1]) + 1)])


def _tiles(x: Tensor, arrays: ArrayMatrix) -> Tensor:
    """[vectors, inputs] → [vectors, row_tile, rows]."""
    blocks, rows, _ = arrays.tiling.dense_shape
    return arrays.tiling.split_rows(x.t().reshape(blocks, rows, -1)).permute(2, 0, 1)
