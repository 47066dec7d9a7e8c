"""Results that were measured on a compiled network: `evaluate` and `sweep`, as objects or as JSON files of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pinat_compile.errors import OptionError
from pinat_compile.evaluation.result import Evaluation
from pinat_compile.evaluation.sweeping import Sweep
from pinat_compile.reporting.printable import printable
from pinat_compile.reporting.units import duration

Document = Mapping[str, Any]

HINT = "write one with evaluate … --json > FILE, or keep it with --save"
REPORT, SWEEP = "pinat-report/1", "pinat-sweep/1"


@dataclass(frozen=True, slots=True)
class Measured:
    """``evaluations``: the ``accuracy`` part of each evaluation; ``sweeps``: the points of each sweep."""

    evaluations: tuple[Document, ...] = ()
    sweeps: tuple[tuple[Document, ...], ...] = ()

    @property
    def main(self) -> Document | None:
        """The evaluation that a verdict speaks of: the last of those at severity 1 where there is one."""
        plain = [found for found in self.evaluations if found["severity"] == 1.0 and not found.get("dynamic")]
        found = plain or list(self.evaluations)
        return found[-1] if found else None

    @property
    def per_layer(self) -> dict[str, Document]:
        """What each layer alone on arrays costs, by its name, where an evaluation measured that."""
        return {entry["name"]: entry for found in self.evaluations for entry in found["per_layer"] or ()}


def measured(results: Iterable[Any], of: Document) -> Measured:
    """``results`` in the order given; OptionError where one was measured on another network or is none."""
    evaluations: list[Document] = []
    sweeps: list[tuple[Document, ...]] = []
    for result in results:
        if isinstance(result, Evaluation):
            evaluations.append(printable(result.to_dict()))
        elif isinstance(result, Sweep):
            sweeps.append(tuple(printable(point.to_dict()) for point in result))
        elif isinstance(result, str | Path):
            _take(Path(result), of, evaluations, sweeps)
        else:
            raise OptionError(f"report: {type(result).__name__} is no result", hint="evaluate and sweep return some")
    return Measured(tuple(evaluations), tuple(sweeps))


def _take(path: Path, of: Document, evaluations: list[Document], sweeps: list[tuple[Document, ...]]) -> None:
    """Read one JSON file into the list that it belongs to."""
    document = _read(path)
    schema = document.get("schema")
    if schema == REPORT and "accuracy" in document:
        _check(path, document["model"]["name"], document["target"]["name"], of)
        evaluations.append(printable(document["accuracy"]))
    elif schema == SWEEP:
        _check(path, document["model"], document["target"], of)
        sweeps.append(tuple(printable(document["points"])))
    else:
        raise OptionError(f"{path}: not a result of evaluate or sweep", hint=HINT)


def _read(path: Path) -> Document:
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise OptionError(f"{path}: cannot be read: {error.strerror}", hint=HINT) from None
    except (ValueError, RecursionError):
        raise OptionError(f"{path}: not JSON", hint=HINT) from None
    return document if isinstance(document, dict) else {}


def _check(path: Path, model: str, target: str, of: Document) -> None:
    here = of["model"]["name"], of["target"]["name"]
    if (model, target) != here:
        raise OptionError(
            f"{path}: measured on {model} on {target}, the report is of {here[0]} on {here[1]}",
            hint="give results of this folder",
        )


def conditions(found: Document) -> str:
    """What sets an evaluation apart: time, severity, temperature, reads, deployment."""
    said = [duration(found["time_s"])]
    if found["severity"] != 1.0:
        said.append(f"severity {found['severity']:g}")
    if found["temperature_k"] is not None and found["temperature_k"] != 300.0:
        said.append(f"{found['temperature_k']:g} K")
    if found["reads"] > 1:
        said.append(f"{found['reads']} reads")
    if found.get("dynamic"):
        said.append(f"dynamic {found['dynamic']['kind']}")
    if found["deployment"] is not None:
        said.append(f"deployed: {', '.join(found['deployment']['steps'])}")
    return ", ".join(said)
