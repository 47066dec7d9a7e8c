"""Wires while a network is trained: what they pass on is solved now and then, and held fixed in between.

A device of conductance g behind wires acts as one of a g, its attenuation a. The attenuation hangs on what all devices
of the array draw together, which neither a step of training nor another chip changes much. So a step multiplies each
chip's own conductances by attenuations that were solved on a recent chip, and its gradient takes them as constant:

* a weight's own loss in the wires is there, to first order, in the forward and in the backward pass;
* that a weight which grows takes voltage from its neighbours reaches the next refresh, but not the gradient;
* small differences between chips, and the detours of currents through other lines, are those of the recent chip.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from torch import Tensor

from pinat_compile.hardware.schema import Target
from pinat_compile.physics.wires import Felt, Wires
from pinat_compile.simulator.module import Simulator
from pinat_compile.training.settings import Settings


@dataclass
class TrainingWires:
    """The wires of a target for the chips of a training; ``known`` attenuations by the name of the matrix."""

    wires: Wires
    every: int | None
    known: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, target: Target, settings: Settings) -> TrainingWires | None:
        """``None`` where the target has no wires."""
        wires = Wires.of(target)
        if wires is None:
            return None
        return cls(replace(wires, tolerance=settings.wires_tolerance), settings.wires_every)

    def prepare(self, chip: Simulator, step: int, index: int) -> None:
        """Give the wires to virtual chip ``index`` of batch number ``step``; forget what is due for a refresh."""
        if self.every == 1 or (self.every is not None and index == 0 and step % self.every == 0):
            self.known.clear()
        chip.wires = self._of

    def _of(self, matrix: str) -> Felt:
        return self.wires if self.every is None else _Recent(self, matrix)


@dataclass(frozen=True)
class _Recent:
    """The wires of one matrix: solved by the first chip after a refresh, reused by all others."""

    shared: TrainingWires
    matrix: str

    def felt(self, conductance_us: Tensor) -> Tensor:
        known = self.shared.known
        if self.matrix not in known:
            known[self.matrix] = self.shared.wires.attenuation(conductance_us)
        return conductance_us * known[self.matrix]
