"""Scores: collected while data run, as rows of plain values that can be kept and sent, and what such rows come to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import torch

from pinat_compile.compiler.deployments import from_text, to_text
from pinat_compile.data import Dataset
from pinat_compile.data.dataset import Batch
from pinat_compile.evaluation.metrics import Metric, metric_for, top5_of
from pinat_compile.evaluation.result import Deployed, LayerResult, Top5
from pinat_compile.evaluation.statistics import Spread
from pinat_compile.graph import Array
from pinat_compile.simulator.deployment import Deployment

Row = dict[str, Any]
"""What one chip scored, or (the row named `IDEAL`) reference and ideal execution: plain JSON values."""

IDEAL = "ideal"


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

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.total + other.total, self.top5 + other.top5, self.samples + other.samples)

    @property
    def mean(self) -> float:
        return self.total / self.samples

    @property
    def mean_top5(self) -> float:
        return self.top5 / self.samples


@dataclass(slots=True)
class Powers:
    """Of one layer's output, and of its error."""

    signal: float = 0.0
    error: float = 0.0

    def compare(self, found: torch.Tensor, exact: torch.Tensor) -> None:
        """Add one batch of the layer's output."""
        self.signal += float(exact.double().square().sum())
        self.error += float((found - exact).double().square().sum())

    def __add__(self, other: Powers) -> Powers:
        return Powers(self.signal + other.signal, self.error + other.error)

    @property
    def snr_db(self) -> float | None:
        return 10.0 * math.log10(self.signal / self.error) if self.error > 0.0 and self.signal > 0.0 else None


class Scores:
    """What the networks of a run scored so far, by one metric. ``bare``: chips run without deployment too."""

    def __init__(
        self, data: Dataset, metric: str | None, chips: Sequence[int], layers: Sequence[str], bare: Sequence[int] = ()
    ) -> None:
        self.data = data
        self.metric_name = metric
        self.known: Metric | None = None
        self.has_top5 = False
        self.of_reference, self.of_ideal = Tally(), Tally()
        self.of_chips = {number: Tally() for number in chips}
        self.of_bare = {number: Tally() for number in bare}
        self.of_layers = {(number, name): (Tally(), Powers()) for number in chips for name in layers}

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

    @property
    def per_chip(self) -> tuple[float, ...]:
        return tuple(tally.mean for tally in self.of_chips.values())

    @property
    def scored(self) -> Scored:
        """What the scores so far come to."""
        return Scored(self.rows({}), tuple(self.of_chips))

    def rows(self, deployments: Mapping[int, Deployment]) -> dict[str, Row]:
        """A row for each chip, and where the ideal execution ran one named `IDEAL`."""
        rows = {str(number): self._row(number, deployments.get(number)) for number in self.of_chips}
        if self.of_reference.samples:
            said = {"metric": self.metric.name, "higher_is_better": self.metric.higher_is_better, "top5": self.has_top5}
            rows[IDEAL] = {**said, "reference": astuple(self.of_reference), "ideal": astuple(self.of_ideal)}
        return rows

    def _row(self, number: int, deployment: Deployment | None) -> Row:
        bare = self.of_bare.get(number)
        return {
            "score": astuple(self.of_chips[number]),
            "bare": None if bare is None else astuple(bare),
            "layers": {
                name: [*astuple(tally), *astuple(powers)]
                for (chip, name), (tally, powers) in self.of_layers.items() if chip == number
            },
            "deployment": None if deployment is None else to_text(deployment),
        }


@dataclass(frozen=True)
class Scored:
    """What rows come to, for ``chips`` in their order."""

    rows: Mapping[str, Row]
    chips: Sequence[int]

    @property
    def metric(self) -> str:
        return str(self.rows[IDEAL]["metric"])

    @property
    def higher_is_better(self) -> bool:
        return bool(self.rows[IDEAL]["higher_is_better"])

    def alone(self, name: str) -> Tally:
        """Of the reference, or of the ideal execution."""
        return Tally(*self.rows[IDEAL][name])

    def tallies(self, name: str = "score") -> list[Tally]:
        """Of every chip; or (``bare``) without deployment."""
        return [Tally(*self.rows[str(number)][name]) for number in self.chips]

    @property
    def per_chip(self) -> tuple[float, ...]:
        return tuple(tally.mean for tally in self.tallies())

    def top5(self) -> Top5 | None:
        """Top-5 accuracy, where the metric is top-1 and there are classes enough."""
        if not self.rows[IDEAL]["top5"]:
            return None
        per_chip = tuple(tally.mean_top5 for tally in self.tallies())
        return Top5(
            reference=self.alone("reference").mean_top5,
            ideal=self.alone("ideal").mean_top5,
            per_chip=per_chip,
            spread=Spread.of(per_chip),
        )

    def deployed(self) -> Deployed | None:
        """What deployments changed; ``None`` where no chip ran without one too."""
        if self.rows[str(self.chips[0])]["bare"] is None:
            return None
        bare = self.tallies("bare")
        return Deployed.of(
            [from_text(self.rows[str(number)]["deployment"]) for number in self.chips],
            self.per_chip,
            [tally.mean for tally in bare],
            top5=[tally.mean_top5 for tally in bare] if self.rows[IDEAL]["top5"] else None,
            higher_is_better=self.higher_is_better,
        )

    def per_layer(self) -> tuple[LayerResult, ...] | None:
        """Each layer alone, in order, over all chips; ``None`` where that was not asked for."""
        names = self.rows[str(self.chips[0])]["layers"]
        return tuple(self._layer(name) for name in names) or None

    def _layer(self, name: str) -> LayerResult:
        tally, powers = Tally(), Powers()
        for number in self.chips:
            *score, signal, error = self.rows[str(number)]["layers"][name]
            tally, powers = tally + Tally(*score), powers + Powers(signal, error)
        loss = self.alone("reference").mean - tally.mean
        return LayerResult(name=name, snr_db=powers.snr_db, drop=loss if self.higher_is_better else -loss)
