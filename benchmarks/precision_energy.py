"""Precision against energy at equal accuracy, from a study of one network at several precisions.

    pinat-compile study examples/studies/quick_precision.toml -o runs/precision
    python -m benchmarks.precision_energy examples/studies/quick_precision.toml runs/precision \
        > benchmarks/results/precision_energy.csv

For each method, severity and share of the reference's accuracy: the precision with the least energy at which the mean
over seeds and chips still keeps that share. Columns: bits of weights and of converters there, mean accuracy, energy of
a sample, multiply-accumulates per joule, and the energy of the same network on digital arrays of that node at the
larger of both precisions (`pinat_compile.cost.baseline`). Empty: no precision of the study keeps it.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pinat_compile.compiler.build import compile
from pinat_compile.compiler.costs import estimate
from pinat_compile.evaluation.studies.file import On, Study, read_study
from pinat_compile.evaluation.studies.run import write_summary

RETENTIONS = (0.98, 0.95, 0.9)
COLUMNS = ("mode", "method", "severity", "retention", "precision", "weight_bits", "converter_bits", "accuracy",
           "energy_j", "macs_per_joule", "digital_energy_j", "digital_over_analog")

Row = dict[str, Any]


def rows(study: Study, summary: Mapping[str, Any]) -> Iterator[Row]:
    """One for each mode, method, severity and share that is to be kept."""
    facts = {target.title: facts_of(study, target) for target in study.targets}
    for mode in study.modes:
        comparisons = [found for found in summary["comparisons"] if found["mode"] == mode.name]
        names = dict.fromkeys(entry["name"] for found in comparisons for entry in found["methods"])
        for name in names:
            points = [
                {**facts[found["target"]], "precision": found["target"], **entry}
                for found in comparisons for entry in found["methods"] if entry["name"] == name
            ]
            for severity in points[0]["accuracy"]:
                for share in RETENTIONS:
                    yield {"mode": mode.name, "method": name, "severity": severity, "retention": share,
                           **cheapest(points, severity, share)}


def cheapest(points: Sequence[Mapping[str, Any]], severity: str, share: float) -> Row:
    """Of the points that keep ``share`` of the reference, the one with the least energy; nothing where none does."""
    kept = [point for point in points if point["retention"][severity] >= share]
    if not kept:
        return {}
    best = min(kept, key=lambda point: float(point["energy_j"]))
    return {
        **{name: best[name] for name in ("precision", "weight_bits", "converter_bits", "digital_energy_j")},
        "accuracy": f"{best['accuracy'][severity] / 100:.4f}",
        "energy_j": f"{best['energy_j']:.4g}",
        "macs_per_joule": f"{best['macs'] / best['energy_j']:.4g}",
        "digital_energy_j": f"{best['digital_energy_j']:.4g}",
        "digital_over_analog": f"{best['digital_energy_j'] / best['energy_j']:.3g}",
    }


def facts_of(study: Study, target: On) -> Row:
    """Of the network on this target, whatever it is trained by."""
    compiled = compile(
        study.path(study.network.model), study.path(target.name), calibration=study.path(study.network.train),
        overrides=target.set,
    )
    costs = estimate(compiled)
    return {"weight_bits": compiled.target.weights.bits, "converter_bits": compiled.target.adc.bits,
            "macs": costs.macs, "digital_energy_j": costs.baseline_j}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", help="the study's file")
    parser.add_argument("folder", help="the folder with its results")
    options = parser.parse_args()
    study = read_study(options.study)
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows(study, write_summary(study, options.folder)))


if __name__ == "__main__":
    main()
