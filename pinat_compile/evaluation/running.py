"""The order in which an evaluation runs: chips in groups, severities one after the other, data in batches.

Where severities vary, samples run level by level, and the read noise is keyed by a sample's place in that order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from pinat_compile.compiler.compiled import Compiled
from pinat_compile.data import Dataset
from pinat_compile.data.dataset import Batch
from pinat_compile.errors import DataError
from pinat_compile.evaluation.batches import Watcher
from pinat_compile.evaluation.dynamics import Dynamic, Level
from pinat_compile.evaluation.scores import Scores, Tally
from pinat_compile.graph import Array, Node
from pinat_compile.simulator.deployment import Deployment
from pinat_compile.simulator.finite import begins_at, check_finite, refused
from pinat_compile.simulator.module import Simulator
from pinat_compile.simulator.shared import Shared

PROGRAMMED_CELLS = 1 << 26
"""Weight cells kept programmed at a time; chips beyond that are run in another round over the data."""


@dataclass(frozen=True)
class Given:
    """A batch as chips take it, and what they have in common while they run it."""

    batch: Batch
    inputs: dict[str, torch.Tensor]
    shared: Shared

    @classmethod
    def of(cls, batch: Batch, device: torch.device | str) -> Given:
        found = {name: torch.from_numpy(np.ascontiguousarray(x)).to(device) for name, x in batch.inputs.items()}
        return cls(batch, found, Shared())


@dataclass
class Run:
    """One evaluation under way. Chips go in groups; a group sees each batch together, so that data are read once.

    Chips of ``deployments`` run with their deployment; those of ``bare``, for `Scores.of_bare`, without it too. What a
    chip gives does not depend on the others. ``with_reference``, ``with_ideal``: these are judged for themselves too.
    """

    compiled: Compiled
    data: Dataset
    ideal: Simulator
    chips: tuple[int, ...]
    layers: Sequence[Node]
    batch_size: int
    scores: Scores
    dynamic: Dynamic | None
    progress: Watcher | None
    device: torch.device | str
    deployments: Mapping[int, Deployment]
    bare: Sequence[int] = ()
    with_reference: bool = True
    with_ideal: bool = True
    done: int = 0
    to_do: int = 0
    given: Given | None = None

    def all(self) -> None:
        """Run everything; the scores then hold what was found."""
        groups = list(self._groups()) or [()]
        exact_runs = len(groups) if self.layers else 0
        runs = len(self.chips) * (1 + len(self.layers)) + len(self.bare)
        self.to_do = len(self.data) * (self.with_reference + self.with_ideal + exact_runs + runs)
        for index, group in enumerate(groups):
            first = 0
            for level in self.levels:
                first = self._run_level(level, group, first, once=index == 0)

    @property
    def levels(self) -> tuple[Level, ...]:
        """What runs one after the other: one level where severities do not vary."""
        return (Level(self.ideal.conditions.severity),) if self.dynamic is None else self.dynamic.levels()

    def _run_level(self, level: Level, group: Sequence[int], first: int, *, once: bool) -> int:
        """Samples of one severity, counted from ``first`` for their read noise; the number of the next sample."""
        of_chips, of_bare = self.scores.of_chips, self.scores.of_bare
        chips = [(self._on_chip(number, level), of_chips[number]) for number in group]
        chips += [(self._on_chip(n, level, bare=True), of_bare[n]) for n in group if n in self.bare]
        alone = [(node, self._on_chip(n, level, only=node)) for n in group for node in self.layers]
        exact = self.ideal.view(self.ideal.conditions, analog=()) if self.layers else None
        for batch in self.data.batches(self.batch_size, order=level.samples):
            reference = self._reference(batch)
            if once:
                self._run_once(batch, reference)
            for chip, tally in chips:
                self._run_chip(tally, chip, batch, first, reference)
            if exact is not None:
                self._run_layers(exact, alone, batch, first, reference)
            first += len(reference)
        return first

    def _groups(self) -> Iterator[tuple[int, ...]]:
        matrices = self.compiled.graph.matrices.values()
        cells = sum(matrix.weights * (matrix.cells.slices if matrix.cells else 1) for matrix in matrices)
        times = 1 + bool(self.layers) + bool(self.bare)
        size = max(1, PROGRAMMED_CELLS // max(cells * times, 1))
        for start in range(0, len(self.chips), size):
            yield self.chips[start : start + size]

    def _on_chip(self, number: int, level: Level, only: Node | None = None, *, bare: bool = False) -> Simulator:
        drift = None if self.dynamic is None else self.dynamic.gain_drift
        conditions = replace(self.ideal.conditions, chip=number, severity=level.severity, gain_drift=drift)
        deployment = None if bare else self.deployments.get(number)
        return self.ideal.view(conditions, analog=None if only is None else {only.name}, deployment=deployment)

    def _reference(self, batch: Batch) -> Array:
        try:
            found = self.compiled.reference.run(batch.inputs)[self.compiled.source.outputs[0]]
        except DataError as error:
            hint = error.hint or "--preprocess resize=…,layout=… says how samples become the network's input"
            raise DataError(f"{self.data.name}: {error.message}", hint=hint) from None
        count = len(next(iter(batch.inputs.values())))
        if found.ndim == 0 or len(found) != count:
            raise DataError(
                f"{self.data.name}: the network gives {list(found.shape)} for {count} samples, not one result for each",
                hint="only networks whose outputs have the samples on their first axis can be evaluated",
            )
        if not np.isfinite(found).all():
            self._refuse(batch, found)
        self.scores.choose(found, batch)
        return found

    def _refuse(self, batch: Batch, found: Array) -> None:
        """DataError: the network itself gives NaN or infinity; its nodes, in floating point, say where."""
        inputs = Given.of(batch, self.device).inputs
        began = begins_at(self.ideal.view(self.ideal.conditions, analog=()), inputs)
        raise refused(self.data.name, "the network in onnxruntime", torch.from_numpy(found), began)

    def _run_once(self, batch: Batch, reference: Array) -> None:
        if self.with_reference:
            self._tell(len(reference))
            self.scores.add(self.scores.of_reference, reference, batch, reference)
        if self.with_ideal:
            self.scores.add(self.scores.of_ideal, self._outputs(self.ideal, batch, 0), batch, reference)

    def _run_chip(self, tally: Tally, chip: Simulator, batch: Batch, first: int, reference: Array) -> None:
        self.scores.add(tally, self._outputs(chip, batch, first), batch, reference)

    def _run_layers(
        self, exact: Simulator, alone: list[tuple[Node, Simulator]], batch: Batch, first: int, reference: Array
    ) -> None:
        values = self._run(exact, batch, first, [node.outputs[0] for node in self.layers])
        for node, chip in alone:
            name = node.outputs[0]
            found = self._run(chip, batch, first, [name])
            assert chip.conditions.chip is not None
            score, powers = self.scores.of_layers[chip.conditions.chip, node.name]
            powers.compare(found[name], values[name])
            self.scores.add(score, self._first_output(found), batch, reference)

    def _outputs(self, chip: Simulator, batch: Batch, first: int) -> Array:
        return self._first_output(self._run(chip, batch, first))

    def _first_output(self, found: dict[str, torch.Tensor]) -> Array:
        output: Array = found[self.ideal.graph.outputs[0]].numpy(force=True)
        return output

    def _run(self, chip: Simulator, batch: Batch, first: int, record: Sequence[str] = ()) -> dict[str, torch.Tensor]:
        if self.given is None or self.given.batch is not batch:
            self.given = Given.of(batch, self.device)
        chip.shared = self.given.shared
        with torch.inference_mode():
            found = chip.run(self.given.inputs, first_sample=first, record=record)
            check_finite(chip, found, self.given.inputs, self.data.name, first_sample=first)
        chip.shared = None
        self._tell(len(next(iter(batch.inputs.values()))))
        return found

    def _tell(self, samples: int) -> None:
        self.done += samples
        if self.progress is not None:
            self.progress(self.done, self.to_do)
