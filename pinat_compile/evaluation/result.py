"""What an evaluation found."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from pinat_compile.evaluation.statistics import Spread


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
class Evaluation:
    """A metric on the reference (onnxruntime), on the mapped graph with ideal devices, and on each chip.

    Accuracies are fractions. ``spread`` holds mean, deviation, 95 % interval, worst and 5th percentile over chips.
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
    time_s: float
    temperature_k: float | None
    severity: float
    per_layer: tuple[LayerResult, ...] | None = None

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
        return f"{self.metric} of {chips} {self.mean:.4g}{known}, {others}"

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
            "time_s": self.time_s,
            "temperature_k": self.temperature_k,
            "severity": self.severity,
            "deployment": None,
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
