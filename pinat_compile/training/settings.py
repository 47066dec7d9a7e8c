"""What can be set about fine-tuning, and what it says on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from pinat_compile.errors import OptionError
from pinat_compile.simulator.conditions import LARGEST, check_device

METHODS = ("pinat", "nt")
LOSSES = ("distill", "ce")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one fine-tuning; frozen, checked when made, recorded with the result.

    ``method``: ``pinat``: every batch on ``chips_per_batch`` virtual chips of the target, with the target's own
    programming error, mismatch, stuck cells, column errors and read noise, each at a severity of its own.
    ``nt``: Gaussian noise of ``noise`` times the largest programmable weight *of the same output* on every weight,
    fresh in every batch, and no other noise: noisy training after Joshi et al., Nature Communications 11, 2473 (2020),
    who take the largest weight of the layer; with a scale per output, full scale is each output's own.
    Both train through the same converters, clips and slices.

    ``severity``: severities are uniform in 0 … 2.2 times this, stratified over a batch's chips.
    ``loss``: ``distill`` mixes cross entropy and the softened outputs of the original network, (1 - ``kappa``) CE +
    ``kappa`` ``tau``² KL; ``ce`` is cross entropy alone. Without labels only the softened outputs count.
    ``learn_ranges``: the converters' full scales are trained too, at ``range_rate`` times the learning rate, relative
    to their size. ``validation_chips``: chips on which each epoch is judged, numbered from 100,000.

    Where the target has wires, what they take is solved every ``wires_every`` steps and held fixed in between (see
    `pinat_compile.training.wires`); 1: for every chip of every step, still as a constant to the gradient; ``None``:
    the same with the gradient through the wires, several times slower. ``wires_tolerance``: arrays are solved on the
    fast path where its error is provably at most that (see `physics.ir_drop.effective_conductance`); ``None``: exactly.
    Validation solves the wires of its chips exactly.
    """

    method: Literal["pinat", "nt"] = "pinat"
    epochs: int = 3
    batch_size: int = 64
    learning_rate: float = 3e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    loss: Literal["distill", "ce"] = "distill"
    kappa: float = 0.7
    tau: float = 4.0
    severity: float = 1.0
    chips_per_batch: int = 2
    noise: float = 0.1
    learn_ranges: bool = True
    range_rate: float = 0.1
    clip_gradient: float = 1.0
    validation_chips: int = 8
    wires_every: int | None = 8
    wires_tolerance: float | None = None
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            self._check(field.name, not isinstance(value, float) or abs(value) <= LARGEST, f"at most {LARGEST:g}")
        self._check("seed", self.seed >= 0, "0 or more")
        check_device(self.device)
        self._check("method", self.method in METHODS, f"one of {', '.join(METHODS)}")
        self._check("loss", self.loss in LOSSES, f"one of {', '.join(LOSSES)}")
        for name in ("epochs", "batch_size", "chips_per_batch", "validation_chips"):
            self._check(name, getattr(self, name) >= 1, "at least 1")
        for name in ("learning_rate", "tau"):
            self._check(name, getattr(self, name) > 0, "above 0")
        for name in ("noise", "severity", "weight_decay", "range_rate", "clip_gradient"):
            self._check(name, getattr(self, name) >= 0, "0 or more")
        self._check("wires_every", self.wires_every is None or self.wires_every >= 1, "at least 1")
        self._check("wires_tolerance", self.wires_tolerance is None or self.wires_tolerance >= 0, "0 or more")
        self._check("momentum", 0 <= self.momentum < 1, "from 0 to below 1")
        self._check("kappa", 0 <= self.kappa <= 1, "from 0 to 1")

    def _check(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise OptionError(f"fine-tuning: {name} = {getattr(self, name)!r}", hint=f"expected {expected}")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a fine-tuning stands; ``validation`` is the last epoch's mean accuracy on validation chips."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    validation: float | None


Watcher = Callable[[Progress], None]
