"""Making deployments: which cells are stuck, what probe vectors read, how the layers' outputs lie."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from pinat_compile.compiler.compiled import Compiled
from pinat_compile.data import Dataset
from pinat_compile.evaluation.batches import fitting_batch_size
from pinat_compile.evaluation.distilling import BATCH, distilled
from pinat_compile.frontend.calibration import spread
from pinat_compile.graph import Array, Node
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.physics import converters
from pinat_compile.physics.faults import place_around_faults, stuck_cells
from pinat_compile.physics.probing import drift_gains
from pinat_compile.physics.randomness import Key
from pinat_compile.simulator.arrays import ArrayMatrix
from pinat_compile.simulator.deployment import Deployment, Step
from pinat_compile.simulator.matching import Kind, fit, fit_mixes
from pinat_compile.simulator.module import Simulator, Steps

NEED_DATA = frozenset(("moments", "bias", "affine", "low_rank", "distil"))
"""Steps that look at samples of the network's input."""
RANK = 4
"""Of the map among a layer's channels."""
PROBES = 256
"""Probe vectors per matrix, at most."""
KEPT = 1 << 26
"""Numbers of the ideal network's layers that are kept from chip to chip, at most."""

Stops = list[tuple[Node, Tensor]]


@dataclass(frozen=True)
class Deployer:
    """Makes deployments of any chip, under the conditions of ``ideal``."""

    compiled: Compiled
    steps: tuple[str, ...]
    ideal: Simulator
    data: Dataset | None
    seed: int
    ideal_stops: list[Stops] = field(default_factory=list)
    """What the ideal network's layers give, one list for each of its runs; the same for every chip."""

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
            elif step == "low_rank":
                made = self._mixed(made)
            elif step == "distil":
                made = self._distilled(made)
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
        found = chip.deployment
        assert found is not None
        placement, _ = found.of_matrix(name)
        adc = None if arrays.ranges.adc_range is None else chip.value(arrays.ranges.adc_range)
        return drift_gains(
            arrays.state(chip.value, now, placement),
            _in_groups(_tiles(self._driven(chip, arrays, name), arrays), arrays.target.array.rows_on),
            Key(("deploy", self.seed, "probe", found.chip, name)),
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

    def _runs(self, made: Deployment) -> tuple[list[Steps], list[Steps], int]:
        """Runs of the chip and of the ideal mapped network over the same samples, and their layers on arrays."""
        assert self.data is not None
        chip, first = self._chip(made), 0
        ours: list[Steps] = []
        for inputs in self._batches(self.data):
            ours += chip.steps(inputs, first_sample=first)
            first += len(next(iter(inputs.values())))
        return ours, self._ideal_runs(self.data), len(_layers(chip))

    def _ideal_runs(self, data: Dataset) -> list[Steps]:
        """Runs of the ideal network, from what is kept where there is such a thing."""
        if self.ideal_stops:
            return [_replayed(stops) for stops in self.ideal_stops]
        runs = [run for inputs in self._batches(data) for run in self.ideal.steps(inputs)]
        self.ideal_stops.extend([] for _ in runs)
        return [_kept(run, self.ideal_stops, index) for index, run in enumerate(runs)]

    def _fitted(self, made: Deployment, kind: Kind) -> Deployment:
        """Match every layer on arrays to the ideal mapped network, on the same samples."""
        assert self.data is not None
        matches = fit(kind, *self._runs(made))
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

    def _mixed(self, made: Deployment) -> Deployment:
        """Correct what a layer's outputs tell of its own errors, by a digital map of low rank among its channels."""
        assert self.data is not None
        mixes = fit_mixes(RANK, *self._runs(made))
        figures = {"rank": float(RANK), "macs_per_sample": float(sum(found.products for found in mixes.values()))}
        step = Step(name="low_rank", samples=len(self.data), data=self.data.name, figures=figures)
        moved = {name: made.offsets.get(name, torch.zeros(1)) + found.shift.cpu() for name, found in mixes.items()}
        return replace(
            made,
            offsets={**made.offsets, **moved},
            mix_reads={name: found.read.cpu() for name, found in mixes.items()},
            mix_writes={name: found.write.cpu() for name, found in mixes.items()},
            steps=(*made.steps, step),
        )

    def _distilled(self, made: Deployment) -> Deployment:
        """Train the scales and offsets of all layers together, on the chip, against the original network's outputs."""
        assert self.data is not None
        chip, first = self._chip(made), self.compiled.source.outputs[0]
        batches, taught = [], []
        for batch in self.data.batches(fitting_batch_size(self.compiled, self.data, BATCH)):
            batches.append(self._on_device(batch.inputs))
            taught.append(torch.from_numpy(self.compiled.reference.run(batch.inputs)[first]).to(self._device))
        found = distilled(chip, made, batches, taught)
        figures = {"loss_before": found.before, "loss_after": found.after}
        step = Step(name="distil", samples=len(self.data), data=self.data.name, figures=figures)
        scales, offsets = ({name: x.cpu() for name, x in held.items()} for held in (found.scales, found.offsets))
        return replace(made, scales=scales, offsets=offsets, steps=(*made.steps, step))

    def _batches(self, data: Dataset) -> Iterator[dict[str, Tensor]]:
        for batch in data.batches(fitting_batch_size(self.compiled, data)):
            yield self._on_device(batch.inputs)

    @property
    def _device(self) -> torch.device:
        device: torch.device = next(iter(self.ideal.values.values())).device
        return device

    def _on_device(self, inputs: Mapping[str, Array]) -> dict[str, Tensor]:
        return {name: torch.from_numpy(np.ascontiguousarray(x)).to(self._device) for name, x in inputs.items()}


def _kept(run: Steps, kept: list[Stops], index: int) -> Steps:
    """The same run; what it stops at is kept, or nothing where that is too much."""
    for stop in run:
        if kept:
            kept[index].append(stop)
            if sum(y.numel() for stops in kept for _, y in stops) > KEPT:
                kept.clear()
        yield stop
    return {}


def _replayed(stops: Stops) -> Steps:
    yield from stops
    return {}


def _layers(chip: Simulator) -> list[str]:
    """The nodes on arrays, in order."""
    return [node.name for node in chip.graph.nodes if isinstance(node.op, ArrayMvm)]


def _matrices(chip: Simulator) -> list[str]:
    """The matrices that nodes on arrays multiply by, each once."""
    return list(dict.fromkeys(node.op.matrix for _, node in chip.graph.walk() if isinstance(node.op, ArrayMvm)))


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
