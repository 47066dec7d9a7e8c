"""Searching the plan: clips, column scales and converter ranges that suit a target's noise, by the network's accuracy.

The passes plan matrix by matrix, from statistics; here the whole network runs on chips, with several plans. Only
held-out training images and validation chips are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from pinat_compile.compiler.build import recompile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.data import Dataset, as_dataset, split_validation
from pinat_compile.hardware.loader import overridden
from pinat_compile.hardware.schema import Target
from pinat_compile.training.validation import validated

Overrides = tuple[str, ...]

CHOICES: dict[str, tuple[Overrides, ...]] = {
    "clip": (
        ("mapping.clip=none", "mapping.clip_rms=none"),
        ("mapping.clip=expected_error", "mapping.clip_rms=none"),
        *(("mapping.clip=rms", f"mapping.clip_rms={rms}") for rms in (2.0, 2.5, 3.0)),
    ),
    "column scale": (("mapping.per_column=true",), ("mapping.per_column=false",)),
    "ADC range": tuple((f"mapping.adc_share={share}",) for share in (0.5, 0.7, 1.0)),
    "DAC range": tuple((f"mapping.dac_percentile={percent}",) for percent in (99.9, 99.99, 100.0)),
}
"""What is tried, one after the other, each with the best of those before it."""
SEVERITIES = (0.5, 1.0, 2.0)
"""Severities whose mean accuracy counts."""

Watcher = Callable[[int, int, str], None]
"""Called with plans judged, plans in all, and the present one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One plan: what was changed, its accuracy by severity (in the order of the search) and their mean."""

    changes: Overrides
    accuracies: tuple[float, ...]
    mean: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSearch:
    """The network with the best plan, what made it, and everything that was tried; ``tried[0]`` is the start."""

    compiled: Compiled
    changes: Overrides
    severities: tuple[float, ...]
    tried: tuple[Tried, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"changes": list(self.changes), "severities": list(self.severities),
                "tried": [asdict(each) for each in self.tried]}


def search_plan(
    compiled: Compiled,
    data: Any,
    *,
    severities: Sequence[float] = SEVERITIES,
    chips: int = 8,
    samples: int = 1000,
    device: str = "cpu",
    progress: Watcher | None = None,
) -> PlanSearch:
    """Plan ``compiled`` anew in several ways and keep the one with the best mean accuracy over ``severities``.

    ``data``: training data, of which every tenth sample, at most ``samples`` of them, is looked at, on ``chips``
    validation chips. Trained values stay, learned converter ranges do not (they belong to the plan). For networks that
    will be trained afterwards the best plan may be another one, with tighter clips: training has its own trials.
    """
    dataset = as_dataset(data, inputs=compiled.source.inputs, preprocess=compiled.options.preprocess, split="train")
    search = _Search(compiled, split_validation(dataset)[1].spread(samples), tuple(severities), chips, device, progress)
    return search.result()


@dataclass
class _Search:
    compiled: Compiled
    data: Dataset
    severities: tuple[float, ...]
    chips: int
    device: str
    progress: Watcher | None

    def result(self) -> PlanSearch:
        groups = list(_choices(self.compiled.target))
        self.total, self.done = 1 + sum(len(group) for group in groups), 0
        best, network = self._judged(self.compiled, ()), self.compiled
        changes, tried = best.changes, [best]
        for group in groups:
            start = changes
            for choice in group:
                variant = self._planned((*start, *choice))
                found = self._judged(variant, (*start, *choice))
                tried.append(found)
                if found.mean > best.mean:
                    best, changes, network = found, found.changes, variant
        return PlanSearch(compiled=network, changes=changes, severities=self.severities, tried=tuple(tried))

    def _planned(self, changes: Overrides) -> Compiled:
        target = overridden(self.compiled.target, changes)
        options = replace(self.compiled.options, overrides=(*self.compiled.options.overrides, *changes))
        return recompile(self.compiled, target=target, options=options, keep_plan=False)

    def _judged(self, network: Compiled, changes: Overrides) -> Tried:
        values = network.simulator(chip=0, device=self.device)
        found = validated(network, values, self.data, self.chips, severities=self.severities, device=self.device)
        self.done += 1
        if self.progress is not None:
            self.progress(self.done, self.total, " ".join(changes))
        return Tried(changes=changes, accuracies=tuple(found), mean=sum(found) / len(found))


def _choices(target: Target) -> Iterator[tuple[Overrides, ...]]:
    """The groups that have an effect on ``target``."""
    for name, group in CHOICES.items():
        without = (name == "ADC range" and (target.adc.bits is None or target.adc.range != "calibrated")) or (
            name == "DAC range" and target.dac.bits is None
        )
        if not without:
            yield tuple(choice for choice in group if target.cell is not None or "expected_error" not in choice[0])
