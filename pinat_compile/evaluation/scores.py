"""Sums of scores while data run: of the reference, the ideal execution, every chip and every layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from pinat_compile.data import Dataset
from pinat_compile.data.dataset import Batch
from pinat_compile.evaluation.metrics import Metric, metric_for, top5_of
from pinat_compile.evaluation.result import Deployed, LayerResult, Top5
from pinat_compile.evaluation.statistics import Spread
from pinat_compile.graph import Array
from pinat_compile.simulator.deployment import Deployment


@dataclass(slots=True)
class Tally:
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
class LayerTally:
    """Sums for one layer: its score, the power of its output, and that of its error."""

    score: Tally = field(default_factory=Tally)
    signal: float = 0.0
    error: float = 0.0

    def compare(self, found: torch.Tensor, exact: torch.Tensor) -> None:
        """Add the powers of one batch of the layer's output."""
        self.signal += float(exact.double().square().sum())
        self.error += float((found - exact).double().square().sum())

    @property
    def snr_db(self) -> float | None:
        return 10.0 * math.log10(self.signal / self.error) if self.error > 0.0 and self.signal > 0.0 else None


class Scores:
    """What every network of an evaluation scored so far, by one metric. ``bare``: chips run without deployment too."""

    def __init__(
        self,
        data: Dataset,
        metric: str | None,
        chips: Sequence[int],
        layers: Sequence[str],
        bare: Sequence[int] = (),
    ) -> None:
        self.data = data
        self.metric_name = metric
        self.known: Metric | None = None
        self.has_top5 = False
        self.of_reference, self.of_ideal = Tally(), Tally()
        self.of_chips = {number: Tally() for number in chips}
        self.of_bare = {number: Tally() for number in bare}
        self.of_layers = {name: LayerTally() for name in layers}

    @property
    def metric(self) -> Metric:
        assert self.known is not None
        return self.known

    def choose(self, outputs: Array, batch: Batch) -> None:
        """Settle the metric, once, on a first batch of the reference's outputs; DataError where it does not fit."""
        if self.known is None:
            self.known = metric_for(self.metric_name, self.data.labels, outputs, self.data.name)
            if self.known.name == "top1" and batch.labels is not None:
                self.has_top5 = top5_of(outputs, batch.labels) is not None

    def add(self, tally: Tally, outputs: Array, batch: Batch, reference: Array) -> None:
        """Add one batch to ``tally``."""
        labels = batch.labels
        expected = labels if self.metric.against == "labels" and labels is not None else reference
        top5 = top5_of(outputs, labels) if self.has_top5 and labels is not None else None
        tally.add(self.metric.score(outputs, expected), top5)

    # --- what they come to ---

    @property
    def per_chip(self) -> tuple[float, ...]:
        return tuple(tally.mean for tally in self.of_chips.values())

    def top5(self) -> Top5 | None:
        """Top-5 accuracy, where the metric is top-1 and there are classes enough."""
        if not self.has_top5:
            return None
        per_chip = tuple(tally.mean_top5 for tally in self.of_chips.values())
        return Top5(
            reference=self.of_reference.mean_top5,
            ideal=self.of_ideal.mean_top5,
            per_chip=per_chip,
            spread=Spread.of(per_chip),
        )

    def deployed(self, deployments: Mapping[int, Deployment]) -> Deployed | None:
        """What the deployments changed; ``None`` where there are none."""
        if not deployments:
            return None
        bare = list(self.of_bare.values())
        return Deployed.of(
            [deployments[number] for number in self.of_bare],
            self.per_chip,
            [tally.mean for tally in bare],
            top5=[tally.mean_top5 for tally in bare] if self.has_top5 else None,
            higher_is_better=self.metric.higher_is_better,
        )

    def per_layer(self) -> tuple[LayerResult, ...] | None:
        """Each layer alone, in order; ``None`` where that was not asked for."""
        found = tuple(self._layer(name, tally) for name, tally in self.of_layers.items())
        return found or None

    def _layer(self, name: str, tally: LayerTally) -> LayerResult:
        loss = self.of_reference.mean - tally.score.mean
        return LayerResult(name=name, snr_db=tally.snr_db, drop=loss if self.metric.higher_is_better else -loss)
