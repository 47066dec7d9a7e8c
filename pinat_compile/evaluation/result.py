"""What an evaluation found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pinat_compile.evaluation.dynamics import Dynamic
from pinat_compile.evaluation.statistics import Spread
from pinat_compile.simulator.deployment import Deployment, Step, mean_steps
from pinat_compile.tables import dataframe, html

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerResult:
    """One layer alone on arrays, all others in floating point, over the same chips and samples.

    ``snr_db``: 10 log10(sum y² / sum (y' - y)²) of the layer's output; None where nothing deviates.
    ``drop``: how much worse the metric is than the reference's (a positive number is worse).
    """

    name: str
    snr_db: float | None
    drop: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Top5:
    """Top-5 accuracy, as the evaluation has top-1."""

    reference: float
    ideal: float
    per_chip: tuple[float, ...]
    spread: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """What the deployments ``made``, one per chip, changed; the same chips, samples and read noise without them.

    ``steps``: name, samples, data, and figures that are means over the chips. ``gain``: how much better each chip is
    with its deployment (a positive number is better, whatever the metric). Times in seconds after programming:
    ``time_s`` is when the deployments were made.
    """

    made: tuple[Deployment, ...]
    steps: tuple[Step, ...]
    time_s: float
    per_chip: tuple[float, ...]
    spread: Spread
    top5: float | None
    gain_per_chip: tuple[float, ...]
    gain: Spread

    @classmethod
    def of(
        cls,
        deployments: Sequence[Deployment],
        with_it: Sequence[float],
        without: Sequence[float],
        *,
        top5: Sequence[float] | None,
        higher_is_better: bool,
    ) -> Deployed:
        """One deployment, and one value of the metric with and without it, per chip."""
        sign = 1.0 if higher_is_better else -1.0
        gains = tuple(sign * (new - old) for new, old in zip(with_it, without, strict=True))
        return cls(
            made=tuple(deployments),
            steps=mean_steps([deployment.steps for deployment in deployments]),
            time_s=deployments[0].time_s,
            per_chip=tuple(without),
            spread=Spread.of(without, higher_is_better=higher_is_better),
            top5=None if top5 is None else Spread.of(top5).mean,
            gain_per_chip=gains,
            gain=Spread.of(gains),
        )

    def to_dict(self) -> dict[str, Any]:
        """The ``deployment`` of a report's accuracy."""
        fitted = next((step for step in self.steps if step.samples is not None), None)
        return {
            "steps": [step.name for step in self.steps],
            "samples": None if fitted is None else fitted.samples,
            "data": None if fitted is None else fitted.data,
            "time_s": self.time_s,
            "per_step": [step.to_dict() for step in self.steps],
            "without": {**asdict(self.spread), "top5": self.top5, "per_chip": self.per_chip},
            "gain": {**asdict(self.gain), "per_chip": self.gain_per_chip},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A metric on the reference (onnxruntime), on the mapped graph with ideal devices, and on each chip.

    Accuracies are fractions. ``spread`` holds mean, deviation, 95 % interval, worst and 5th percentile over chips.
    Where chips were deployed, their figures are those *with* their deployment, and ``deployment`` holds those without.
    """

    metric: str
    higher_is_better: bool
    reference: float
    ideal: float
    per_chip: tuple[float, ...]
    spread: Spread
    top5: Top5 | None
    chips: tuple[int, ...]
    samples: int
    data: str
    seed: int
    reads: int
    energy_j: float | None
    time_s: float
    temperature_k: float | None
    severity: float
    dynamic: Dynamic | None = None
    per_layer: tuple[LayerResult, ...] | None = None
    deployment: Deployed | None = None

    @property
    def mean(self) -> float:
        return self.spread.mean

    @property
    def std(self) -> float | None:
        return self.spread.std

    @property
    def ci95(self) -> tuple[float, float] | None:
        return self.spread.ci95

    @property
    def worst(self) -> float:
        return self.spread.worst

    @property
    def p5(self) -> float:
        return self.spread.p5

    def __str__(self) -> str:
        """One line: ``top1 of 5 chips 0.887 (std 0.005, worst 0.880), ideal 0.925, reference 0.934``."""
        known = "" if self.std is None else f" (std {self.std:.4g}, worst {self.worst:.4g})"
        chips = f"{len(self.chips)} chips" if len(self.chips) > 1 else f"chip {self.chips[0]}"
        others = f"ideal {self.ideal:.4g}, reference {self.reference:.4g}"
        if self.deployment is not None:
            others = f"without deployment {self.deployment.spread.mean:.4g}, {others}"
        return f"{self.metric} of {chips} {self.mean:.4g}{known}, {others}"

    def to_dataframe(self) -> pandas.DataFrame:
        """A row per chip: its number, its metric, top-5, and what it was without deployment. Needs pandas."""
        return dataframe(self._records())

    def _repr_html_(self) -> str:
        return html(str(self), self._records(), f"{self.samples} samples of {self.data}")

    def _records(self) -> list[dict[str, Any]]:
        columns: dict[str, Sequence[Any]] = {"chip": self.chips, self.metric: self.per_chip}
        if self.top5 is not None:
            columns["top5"] = self.top5.per_chip
        if self.deployment is not None:
            columns["without deployment"] = self.deployment.per_chip
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def to_dict(self) -> dict[str, Any]:
        """The ``accuracy`` part of a report: plain JSON values; what is not finite becomes None."""
        top5 = self.top5
        found = {
            "metric": self.metric,
            "higher_is_better": self.higher_is_better,
            "reference": self.reference,
            "ideal": self.ideal,
            **asdict(self.spread),
            "top5": None if top5 is None else top5.spread.mean,
            "top5_detail": None if top5 is None else {
                "reference": top5.reference,
                "ideal": top5.ideal,
                **asdict(top5.spread),
                "per_chip": top5.per_chip,
            },
            "chips": len(self.chips),
            "chip_numbers": self.chips,
            "samples": self.samples,
            "data": self.data,
            "seed": self.seed,
            "reads": self.reads,
            "energy_j": self.energy_j,
            "time_s": self.time_s,
            "temperature_k": self.temperature_k,
            "severity": self.severity,
            "dynamic": None if self.dynamic is None else self.dynamic.to_dict(),
            "deployment": None if self.deployment is None else self.deployment.to_dict(),
            "per_chip": self.per_chip,
            "per_layer": None if self.per_layer is None else [asdict(layer) for layer in self.per_layer],
        }
        return {key: _plain(value) for key, value in found.items()}


def _plain(value: Any) -> Any:
    """Tuples as lists, numbers that are not finite as None."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
