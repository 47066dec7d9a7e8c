"""Redundancy where it pays: layers that hurt most stand on arrays several times, within a stated energy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from pinat_compile.compiler.build import recompile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.costs import estimate
from pinat_compile.data import Dataset, as_dataset, split_validation
from pinat_compile.errors import OptionError
from pinat_compile.evaluation.accuracy import run_on
from pinat_compile.evaluation.batches import Watcher
from pinat_compile.simulator.conditions import VALIDATION_CHIPS


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatedLayer:
    """A layer: what it costs in accuracy alone on arrays, what its copies add in energy, and how often it stands."""

    name: str
    drop: float
    added_j: float
    copies: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Redundancy:
    """The network with layers repeated; accuracy and energy of a sample before and after; every layer, worst first."""

    compiled: Compiled
    accuracy: tuple[float, float]
    energy_j: tuple[float, float]
    layers: tuple[RepeatedLayer, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"accuracy": list(self.accuracy), "energy_j": list(self.energy_j),
                "layers": [asdict(layer) for layer in self.layers]}


def add_redundancy(
    compiled: Compiled,
    data: Any,
    *,
    energy: float = 1.25,
    copies: int = 2,
    severity: float = 1.0,
    chips: int = 8,
    samples: int = 1000,
    device: str = "cpu",
    progress: Watcher | None = None,
) -> Redundancy:
    """Put layers of ``compiled`` onto arrays ``copies`` times, while it takes at most ``energy`` times its energy.

    Each layer runs alone on arrays first; those whose noise costs most accuracy for the energy that their copies add
    come first, those that cost none stay as they are. ``data``: training data, of which every tenth sample, at most
    ``samples`` of them, is looked at, on ``chips`` validation chips at ``severity``. Values stay; the plan is made
    anew. Raises OptionError and DataError.
    """
    if energy < 1.0 or copies < 2:
        raise OptionError(f"redundancy: energy = {energy:g}, copies = {copies}", hint="expected at least 1, and 2")
    if compiled.options.repeat:
        raise OptionError(f"{compiled.name}: has repeated layers already", hint="compile it without --repeat")
    dataset = as_dataset(data, inputs=compiled.source.inputs, preprocess=compiled.options.preprocess, split="train")
    search = _Search(compiled, split_validation(dataset)[1].spread(samples), severity, chips, device, progress)
    return search.result(energy, copies)


@dataclass
class _Search:
    compiled: Compiled
    data: Dataset
    severity: float
    chips: int
    device: str
    progress: Watcher | None

    def result(self, most: float, copies: int) -> Redundancy:
        before, drops = self._judged(self.compiled, per_layer=True)
        start = _energy(self.compiled)
        added = {name: _energy(self._with({name: copies})) - start for name in drops}
        order = sorted(drops, key=lambda name: drops[name] / added[name], reverse=True)
        chosen: dict[str, int] = {}
        for name in order:
            if drops[name] > 0.0 and start + added[name] + sum(added[n] for n in chosen) <= most * start:
                chosen[name] = copies
        network = self._with(chosen) if chosen else self.compiled
        after = self._judged(network)[0] if chosen else before
        return Redundancy(
            compiled=network,
            accuracy=(before, after),
            energy_j=(start, _energy(network)),
            layers=tuple(
                RepeatedLayer(name=name, drop=drops[name], added_j=added[name], copies=chosen.get(name, 1))
                for name in order
            ),
        )

    def _with(self, repeat: Mapping[str, int]) -> Compiled:
        options = replace(self.compiled.options, repeat=dict(repeat))
        return recompile(self.compiled, options=options, keep_plan=False)

    def _judged(self, network: Compiled, *, per_layer: bool = False) -> tuple[float, dict[str, float]]:
        """Mean accuracy on the chips, and what each layer costs alone."""
        ideal = network.simulator(noise=False, severity=self.severity, device=self.device)
        numbers = range(VALIDATION_CHIPS, VALIDATION_CHIPS + self.chips)
        run = run_on(
            network, self.data, numbers, ideal, per_layer=per_layer, with_ideal=False, progress=self.progress
        )
        drops = {layer.name: layer.drop for layer in run.scores.scored.per_layer() or ()}
        return sum(run.scores.per_chip) / self.chips, drops


def _energy(network: Compiled) -> float:
    """Of a sample, in joules."""
    found = estimate(network).total.energy_total
    if found is None:
        raise OptionError(
            f"{network.name}: its energy on {network.target.name} is not known", hint="--bind NAME=SIZE fixes sizes"
        )
    return found
