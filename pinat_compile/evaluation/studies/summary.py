"""The summary of a study: every figure from its raw results, nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pinat_compile.evaluation.studies.file import Contestant, Mode, On, Study
from pinat_compile.evaluation.studies.inference import Difference, Floats, area, corrected, difference
from pinat_compile.evaluation.studies.rows import Row, Rows

TAIL = 2.0
"""The severity at which the worst chips are looked at, where it is among those judged."""


def trained_at(name: str, severity: float) -> str:
    """What a method is called where it is trained for one severity alone."""
    return f"{name} for {severity:g}"


@dataclass(frozen=True)
class _Judged:
    """What one method scored in one mode on one target: tables [seeds, chips] in points, by condition and severity."""

    tables: Mapping[tuple[str, float], Floats]
    reference: float
    ideal: float
    severities: Sequence[float]

    @classmethod
    def of(cls, rows: Sequence[Row], seeds: int, chips: range, severities: Sequence[float]) -> _Judged | None:
        """``None`` where a seed, a chip or a severity is missing."""
        found: dict[tuple[str, float], Floats] = {}
        alone: dict[str, list[float]] = {"reference": [], "ideal": []}
        for row in sorted(rows, key=lambda row: int(row["seed"])):  # whatever the order in which they came
            if row["condition"] in alone:
                alone[row["condition"]].append(100.0 * float(row["top1"]))
                continue
            key = (row["condition"], float(row["severity"]))
            table = found.setdefault(key, np.full((seeds, len(chips)), np.nan))
            table[int(row["seed"]), chips.index(int(row["chip"]))] = 100.0 * float(row["top1"])
        whole = {key: table for key, table in found.items() if not np.isnan(table).any()}
        if any(("static", m) not in whole for m in severities):
            return None
        return cls(whole, float(np.mean(alone["reference"])), float(np.mean(alone["ideal"])), severities)

    @property
    def auc(self) -> Floats:
        """[seeds, chips]"""
        return area(self.severities, np.stack([self.tables["static", m] for m in self.severities]))

    def tail(self, table: Floats) -> Floats:
        """The 5th percentile over chips of each seed [seeds, 1]."""
        found: Floats = np.percentile(table, 5.0, axis=1, keepdims=True)
        return found

    @property
    def metrics(self) -> dict[str, Floats]:
        """What methods are compared by, each [seeds, chips or 1]."""
        found = {"auc": self.auc, "p5_auc": self.tail(self.auc)}
        if ("static", TAIL) in self.tables:
            found["p5_at_2"] = self.tail(self.tables["static", TAIL])
        found.update({kind: table for (kind, _), table in self.tables.items() if kind != "static"})
        return found

    def to_dict(self) -> dict[str, Any]:
        static = {f"{m:g}": float(self.tables["static", m].mean()) for m in self.severities}
        return {
            "reference": self.reference,
            "ideal": self.ideal,
            "auc": float(self.auc.mean()),
            "auc_per_seed": [float(x) for x in self.auc.mean(axis=1)],
            "p5_auc": float(self.metrics["p5_auc"].mean()),
            "worst_auc": float(self.auc.min()),
            "p5": {f"{m:g}": float(self.tail(self.tables["static", m]).mean()) for m in self.severities},
            "accuracy": static,
            "retention": {m: value / self.reference for m, value in static.items()},
            "dynamic": {kind: float(table.mean()) for (kind, _), table in self.tables.items() if kind != "static"},
        }


def summary(study: Study, results: Rows, networks: Rows) -> dict[str, Any]:
    """Per target and mode: each method's figures, and the proposal's differences to all others, in points."""
    protocol = study.protocol
    return {
        "schema": "pinat-study/1",
        "name": study.name,
        "proposal": protocol.proposal,
        "protocol": {"chips": protocol.chips, "severities": list(protocol.severities), "trials": protocol.trials,
                     "dynamic": list(protocol.dynamic)},
        "comparisons": [
            _comparison(study, target, mode, results, networks) for target in study.targets for mode in study.modes
        ],
    }


def _comparison(study: Study, target: On, mode: Mode, results: Rows, networks: Rows) -> dict[str, Any]:
    seeds, protocol = study.seeds(target), study.protocol
    found: dict[str, _Judged] = {}
    methods: list[dict[str, Any]] = []
    for method in (m for m in study.methods if study.takes_part(m, mode)):
        rows = results.where(target=target.title, mode=mode.name, method=method.title)
        judged = _Judged.of(rows, seeds, protocol.test_chips, protocol.severities)
        if judged is not None:
            found[method.title] = judged
            methods.append({
                "name": method.title, "method": method.method, "ablation": method.ablation, **judged.to_dict(),
                **_training(networks, {row["key"] for row in rows}),
            })
    best = _trained_for_each(study, target, mode, results)
    for entry in methods:
        entry["rauc"] = None if best is None else entry["auc"] / best
    return {
        "target": target.title,
        "mode": mode.name,
        "seeds": seeds,
        "deploy": list(mode.deploy),
        "methods": methods,
        "differences": _differences(study, [m for m in study.methods if m.title in found], found),
    }


def _trained_for_each(study: Study, target: On, mode: Mode, results: Rows) -> float | None:
    """AUC of the reference method where it is trained for each severity alone; ``None`` where that was not done."""
    if study.reference is None:
        return None
    means = []
    for m in study.protocol.severities:
        title = trained_at(study.reference.title, m)
        rows = results.where(target=target.title, mode=mode.name, method=title, condition="static")
        if len(rows) < study.seeds(target) * study.protocol.chips:
            return None
        means.append(100.0 * float(np.mean([float(row["top1"]) for row in rows])))
    return float(area(study.protocol.severities, np.array(means)))


def _training(networks: Rows, keys: set[str]) -> dict[str, Any]:
    """What training took, and what the networks cost: means over seeds."""
    rows = sorted((row for row in networks.rows if row["key"] in keys), key=lambda row: row["settings"])

    def mean(name: str) -> float | None:
        values = [float(row[name]) for row in rows if row[name]]
        return sum(values) / len(values) if values else None

    return {"settings": rows[0]["settings"] if rows else None, "plan": rows[0]["plan"] if rows else None,
            "steps": mean("steps"), "seconds": mean("seconds"), "energy_j": mean("energy_j")}


def _differences(study: Study, methods: Sequence[Contestant], found: Mapping[str, _Judged]) -> list[dict[str, Any]]:
    """The proposal minus each other method, by metric; Holm over the baselines, and over the ablations apart."""
    ours = found.get(study.protocol.proposal)
    if ours is None:
        return []
    rows: list[dict[str, Any]] = []
    for ablation in (False, True):
        others = [m for m in methods if m.ablation == ablation and m.title != study.protocol.proposal]
        for metric, table in ours.metrics.items():
            known = [m for m in others if metric in found[m.title].metrics]
            differences: list[Difference] = [difference(table, found[m.title].metrics[metric]) for m in known]
            rows += [
                {"metric": metric, "other": m.title, "ablation": ablation, **made.to_dict()}
                for m, made in zip(known, corrected(differences), strict=True)
            ]
    return rows
