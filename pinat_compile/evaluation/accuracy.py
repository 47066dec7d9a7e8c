"""``evaluate``: a compiled network on test data: the reference, the ideal mapped graph, and chips with their noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from pinat_compile.compiler.compiled import Compiled
from pinat_compile.data import Dataset, as_dataset
from pinat_compile.data.dataset import Batch
from pinat_compile.errors import DataError, OptionError, PinatError
from pinat_compile.evaluation.metrics import Metric, metric_for, top5_of
from pinat_compile.evaluation.result import Evaluation, LayerResult, Top5
from pinat_compile.evaluation.statistics import Spread
from pinat_compile.graph import Array, Node
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.simulator.conditions import VALIDATION_CHIPS
from pinat_compile.simulator.module import Simulator
from pinat_compile.simulator.noise import BLOCK

BATCH_SIZE = 64
"""Samples that run together by default: small enough for their values to stay in the processor's caches."""
MOST_READS = 10_000
"""How often a chip may see the data."""
PROGRAMMED_CELLS = 1 << 26
"""Weight cells kept programmed at a time; chips beyond that are run in another round over the data."""

Watcher = Callable[[int, int], None]
"""Called with the samples done and the samples to do, counted once for every network that they run through."""


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
    batch_size: int | None = None,
    device: str | torch.device = "cpu",
    progress: Watcher | None = None,
) -> Evaluation:
    """Judge ``compiled`` on ``data``: in onnxruntime, with ideal devices, and on ``chips``.

    ``data``: see `pinat_compile.data.as_dataset`; a data set with splits gives its test split. ``chips``: how many,
    counted from chip 0, or their numbers (test chips are 0 to 99,999). ``reads``: how often each chip sees the data,
    with fresh read noise; its figure is their mean. ``seed``: of the read noise. ``time``: after programming, seconds
    or ``"1h"`` (default: the first time for which the devices are described); ``temperature`` in kelvin, which says
    something only where the target has a temperature section (the result then holds it, else ``None``); ``severity``
    multiplies every deviation. ``metric``: see `metric_for`. ``per_layer``: also each analog layer alone on arrays.

    Only the network's first output is judged. Raises DataError where data and network do not fit, and OptionError.
    """
    numbers = chip_numbers(chips)
    if not 1 <= reads <= MOST_READS:
        raise OptionError(f"reads = {reads}: expected 1 to {MOST_READS:,}", hint="1 is the default")
    ideal = compiled.simulator(
        seed=seed, device=device, noise=False, time=time, temperature=temperature, severity=severity
    )
    dataset = as_dataset(data, inputs=compiled.source.inputs, preprocess=compiled.options.preprocess, split="test")
    layers = analog_layers(compiled) if per_layer else []
    size = batch_size or fitting_batch_size(compiled, dataset)
    run = _Run(compiled, dataset, ideal, numbers, reads, layers, size, metric, progress, device)
    return run.result()


def chip_numbers(chips: int | Sequence[int]) -> tuple[int, ...]:
    """Chips 0 to N - 1, or those named; OptionError for none at all or for chips that are not for testing."""
    if isinstance(chips, int) and chips > VALIDATION_CHIPS:
        raise OptionError(
            f"chips = {chips}: chips for testing are 0 to {VALIDATION_CHIPS - 1:,}", hint="10 is the default"
        )
    numbers = tuple(range(chips)) if isinstance(chips, int) else tuple(chips)
    if not numbers:
        raise OptionError(f"chips = {chips}: expected at least one", hint="10 is the default")
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


@dataclass(slots=True)
class _Tally:
    """Sums of scores over samples."""

    total: float = 0.0
    top5: float = 0.0
    samples: int = 0

    def add(self, scores: Array, top5: Array | None) -> None:
        self.total += float(scores.sum())
        self.top5 += 0.0 if top5 is None else float(top5.sum())
        self.samples += len(scores)

    @property
    def mean(self) -> float:
        return self.total / self.samples

    @property
    def mean_top5(self) -> float:
        return self.top5 / self.samples


@dataclass(slots=True)
class _LayerTally:
    """Sums for one layer: its score, the power of its output, and that of its error."""

    score: _Tally = field(default_factory=_Tally)
    signal: float = 0.0
    error: float = 0.0

    @property
    def snr_db(self) -> float | None:
        return 10.0 * math.log10(self.signal / self.error) if self.error > 0.0 and self.signal > 0.0 else None


@dataclass
class _Run:
    """One evaluation under way. Chips go in groups; a group sees each batch together, so that data are read once."""

    compiled: Compiled
    data: Dataset
    ideal: Simulator
    chips: tuple[int, ...]
    reads: int
    layers: list[Node]
    batch_size: int
    metric_name: str | None
    progress: Watcher | None
    device: torch.device | str
    done: int = 0
    to_do: int = 0
    metric: Metric | None = None
    has_top5: bool = False

    def result(self) -> Evaluation:
        self.of_reference, self.of_ideal = _Tally(), _Tally()
        self.of_chips = {number: _Tally() for number in self.chips}
        self.of_layers = {node.name: _LayerTally() for node in self.layers}
        groups = list(self._groups())
        exact_runs = len(groups) if self.layers else 0
        self.to_do = len(self.data) * (2 + exact_runs + len(self.chips) * (self.reads + len(self.layers)))
        for index, group in enumerate(groups):
            chips = {number: self._on_chip(number) for number in group}
            alone = [(node, self._on_chip(number, only=node)) for number in group for node in self.layers]
            exact = self.ideal.view(self.ideal.conditions, analog=()) if self.layers else None
            first = 0
            for batch in self.data.batches(self.batch_size):
                reference = self._reference(batch)
                if index == 0:
                    self._tell(len(reference))
                    self._score(self.of_reference, reference, batch, reference)
                    self._score(self.of_ideal, self._outputs(self.ideal, batch, 0), batch, reference)
                for number, chip in chips.items():
                    for read in range(self.reads):
                        sample = read * self._stride + first
                        self._score(self.of_chips[number], self._outputs(chip, batch, sample), batch, reference)
                if exact is not None:
                    self._run_layers(exact, alone, batch, first, reference)
                first += len(reference)
        return self._evaluation()

    # --- running ---

    def _groups(self) -> Iterator[tuple[int, ...]]:
        matrices = self.compiled.graph.matrices.values()
        cells = sum(matrix.weights * (matrix.cells.slices if matrix.cells else 1) for matrix in matrices)
        size = max(1, PROGRAMMED_CELLS // max(cells * (2 if self.layers else 1), 1))
        for start in range(0, len(self.chips), size):
            yield self.chips[start : start + size]

    @property
    def _stride(self) -> int:
        """Samples between two reads of the data: the next whole block of read noise."""
        return -(-len(self.data) // BLOCK) * BLOCK

    def _on_chip(self, number: int, only: Node | None = None) -> Simulator:
        conditions = replace(self.ideal.conditions, chip=number)
        return self.ideal.view(conditions, analog=None if only is None else {only.name})

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
        if self.metric is None:
            labels = self.data.labels
            self.metric = metric_for(self.metric_name, labels, found, self.data.name)
            if self.metric.name == "top1" and labels is not None:
                self.has_top5 = top5_of(found, labels[:count]) is not None
        return found

    def _outputs(self, chip: Simulator, batch: Batch, first: int) -> Array:
        found = self._run(chip, batch, first)
        return found[self.ideal.graph.outputs[0]].numpy(force=True)

    def _run(self, chip: Simulator, batch: Batch, first: int, record: Sequence[str] = ()) -> dict[str, torch.Tensor]:
        inputs = {name: torch.from_numpy(np.ascontiguousarray(x)).to(self.device) for name, x in batch.inputs.items()}
        with torch.inference_mode():
            found = chip.run(inputs, first_sample=first, record=record)
        self._tell(len(next(iter(batch.inputs.values()))))
        return found

    def _run_layers(
        self, exact: Simulator, alone: list[tuple[Node, Simulator]], batch: Batch, first: int, reference: Array
    ) -> None:
        values = self._run(exact, batch, first, [node.outputs[0] for node in self.layers])
        for node, chip in alone:
            found = self._run(chip, batch, first, [node.outputs[0]])
            tally, y = self.of_layers[node.name], values[node.outputs[0]]
            tally.signal += float(y.double().square().sum())
            tally.error += float((found[node.outputs[0]] - y).double().square().sum())
            output = found[self.ideal.graph.outputs[0]].numpy(force=True)
            self._score(tally.score, output, batch, reference)

    def _score(self, tally: _Tally, outputs: Array, batch: Batch, reference: Array) -> None:
        assert self.metric is not None
        labels = batch.labels
        expected = labels if self.metric.against == "labels" and labels is not None else reference
        top5 = top5_of(outputs, labels) if self.has_top5 and labels is not None else None
        tally.add(self.metric.score(outputs, expected), top5)

    def _tell(self, samples: int) -> None:
        self.done += samples
        if self.progress is not None:
            self.progress(self.done, self.to_do)

    # --- the result ---

    def _evaluation(self) -> Evaluation:
        assert self.metric is not None
        higher = self.metric.higher_is_better
        per_chip = tuple(self.of_chips[number].mean for number in self.chips)
        conditions = self.ideal.conditions
        return Evaluation(
            metric=self.metric.name,
            higher_is_better=higher,
            reference=self.of_reference.mean,
            ideal=self.of_ideal.mean,
            per_chip=per_chip,
            spread=Spread.of(per_chip, higher_is_better=higher),
            top5=self._top5() if self.has_top5 else None,
            chips=self.chips,
            samples=len(self.data),
            data=self.data.name,
            seed=self.ideal.seed,
            reads=self.reads,
            time_s=conditions.time_s,
            temperature_k=conditions.temperature_k if self.compiled.target.temperature is not None else None,
            severity=conditions.severity,
            per_layer=tuple(self._layer(node.name) for node in self.layers) if self.layers else None,
        )

    def _top5(self) -> Top5:
        per_chip = tuple(self.of_chips[number].mean_top5 for number in self.chips)
        return Top5(
            reference=self.of_reference.mean_top5,
            ideal=self.of_ideal.mean_top5,
            per_chip=per_chip,
            spread=Spread.of(per_chip),
        )

    def _layer(self, name: str) -> LayerResult:
        assert self.metric is not None
        tally = self.of_layers[name]
        loss = self.of_reference.mean - tally.score.mean
        return LayerResult(name=name, snr_db=tally.snr_db, drop=loss if self.metric.higher_is_better else -loss)


def outputs_of(
    compiled: Compiled, simulator: Simulator, data: Dataset, *, progress: Watcher | None = None
) -> dict[str, Array]:
    """All outputs of ``simulator`` for ``data``, by name; DataError where types or shapes do not fit."""
    expected = {name: compiled.graph.type_of(name).dtype for name in compiled.graph.inputs}
    parts: dict[str, list[Array]] = {}
    done = 0
    for batch in data.batches(fitting_batch_size(compiled, data)):
        for name, x in batch.inputs.items():
            if str(x.dtype) != expected[name]:
                raise DataError(
                    f"{data.name}: input {name!r} is {x.dtype}, the network takes {expected[name]}",
                    hint=f"convert it with .astype({expected[name]!r})",
                )
        inputs = {name: torch.from_numpy(np.ascontiguousarray(x)) for name, x in batch.inputs.items()}
        with torch.inference_mode():
            found = simulator.run(inputs)
        for name in compiled.graph.outputs:
            parts.setdefault(name, []).append(np.atleast_1d(found[name].numpy(force=True)))
        done += len(next(iter(inputs.values())))
        if progress is not None:
            progress(done, len(data))
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def fitting_batch_size(compiled: Compiled, data: Dataset) -> int:
    """`BATCH_SIZE`, unless the model's fixed batch is baked into it: then that batch."""
    shapes = [compiled.source.type_of(name).shape for name in compiled.source.inputs]
    fixed = shapes[0][0] if shapes and shapes[0] else None
    if not isinstance(fixed, int) or fixed < 1:
        return BATCH_SIZE
    if len(data) < 2 * fixed:
        return fixed
    return max(BATCH_SIZE // fixed, 1) * fixed if _takes_any_batch(compiled, data, fixed) else fixed


def _takes_any_batch(compiled: Compiled, data: Dataset, fixed: int) -> bool:
    """Whether two of the model's batches, run as one, give what they give one after the other."""
    batch = next(data.batches(2 * fixed))
    inputs = {name: torch.from_numpy(np.ascontiguousarray(x)) for name, x in batch.inputs.items()}
    try:
        with torch.inference_mode():
            exact = compiled.simulator(noise=False, analog=())
            found = exact.run(inputs)[compiled.graph.outputs[0]]
            apart = exact.run({name: x[:fixed] for name, x in inputs.items()})[compiled.graph.outputs[0]]
    except (RuntimeError, PinatError):
        return False
    return len(found) == 2 * len(apart) and bool(torch.isclose(found[: len(apart)], apart, rtol=1e-3, atol=1e-4).all())
