"""``compare``: one network on several targets, and on digital hardware, beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinat_compile.compiler.build import compile as compile_network
from pinat_compile.compiler.build import recompile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.costs import estimate
from pinat_compile.compiler.summary import report_document
from pinat_compile.cost.baseline import CONSTANTS, DATA_SHEETS
from pinat_compile.errors import OptionError
from pinat_compile.evaluation.accuracy import evaluate
from pinat_compile.evaluation.varying import Progress
from pinat_compile.hardware.loader import load_target
from pinat_compile.hardware.schema import Target
from pinat_compile.tables import dataframe, html

if TYPE_CHECKING:
    import pandas

SCHEMA = "pinat-comparison/1"

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Comparison:
    """``reports``: the report document of every target; ``accuracies``: the mean of chips, or None."""

    model: Document
    reports: tuple[Document, ...]
    accuracies: tuple[float | None, ...]

    def to_dict(self) -> Document:
        """Plain JSON values: schema "pinat-comparison/1"."""
        return {
            "schema": SCHEMA,
            "model": self.model,
            "targets": [
                {**_target(report), "accuracy": accuracy}
                for report, accuracy in zip(self.reports, self.accuracies, strict=True)
            ],
            "digital": self.digital(),
            "constants": [
                {"name": c.name, "value": c.value, "unit": c.unit, "source": c.source} for c in CONSTANTS
            ],
        }

    def to_dataframe(self) -> pandas.DataFrame:
        """A row per target: arrays, joules, seconds and mm² of a sample, accuracy. Needs pandas."""
        return dataframe(self._records())

    def _repr_html_(self) -> str:
        return html(str(self.model["name"]), self._records())

    def _records(self) -> list[Document]:
        keys = ("arrays", "utilisation", "latency_s", "interval_s", "area_mm2", "tops_per_watt", "digital_energy_j")
        return [
            {"target": report["target"]["name"], "energy_j": report["totals"]["energy_j"]["total"],
             **{key: report["totals"][key] for key in keys}, "accuracy": accuracy}
            for report, accuracy in zip(self.reports, self.accuracies, strict=True)
        ]  # fmt: skip

    def digital(self) -> list[Document]:
        """The network at the peak efficiency of digital chips, after their data sheets."""
        macs = self.model["macs"]
        return [
            {
                "name": chip.name,
                "tops_per_watt": chip.value,
                "energy_j": None if macs is None else 2e-12 * macs / chip.value,
                "source": chip.source,
            }
            for chip in DATA_SHEETS
        ]


def compare(
    model: Any,
    targets: Sequence[str | Path | Target],
    *,
    calibration: Any = None,
    data: Any = None,
    chips: int = 5,
    metric: str | None = None,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
    **options: Any,
) -> Comparison:
    """Compile ``model`` onto each of ``targets``, with the same calibration, and count what it costs on each.

    ``data``: also its accuracy there, the mean of ``chips`` chips. ``overrides`` change every target, ``options`` are
    those of `compile`. Raises what `compile` and `evaluate` raise, and OptionError for no target.
    """
    if not targets:
        raise OptionError("targets: there is nothing to compare", hint="name one or more targets")
    chosen = [target if isinstance(target, Target) else load_target(target, overrides) for target in targets]
    first: Compiled | None = None
    reports, accuracies = [], []
    for index, target in enumerate(chosen):
        if progress is not None:
            progress(index, len(chosen), target.name)
        if first is None:
            compiled = first = compile_network(model, target, calibration=calibration, **options)
        else:
            compiled = recompile(first, target=target, keep_plan=False)
        reports.append(report_document(compiled, costs=estimate(compiled)))
        accuracies.append(None if data is None else evaluate(compiled, data, chips=chips, metric=metric).mean)
    return Comparison(reports[0]["model"], tuple(reports), tuple(accuracies))


def _target(report: Document) -> Document:
    keys = ("target", "totals", "schedule", "uncounted")
    return {**{key: report[key] for key in keys}, "precision": report["target"]["precision"]}
