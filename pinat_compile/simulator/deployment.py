"""What was found for one chip after it was programmed, and is applied to it since: compensation that real chips use."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from pinat_compile.errors import OptionError
from pinat_compile.graph import Graph, dump
from pinat_compile.hardware.schema import Target
from pinat_compile.hardware.writer import dump_target
from pinat_compile.physics.placement import Placement


def fingerprint(graph: Graph, target: Target) -> str:
    """SHA-256 of a mapped network: its plan, its values and its target."""
    digest = hashlib.sha256(dump(graph).encode())
    digest.update(dump_target(target).encode())
    for name, value in sorted(graph.tensors.items()):
        digest.update(repr((name, value.shape, str(value.dtype))).encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a deployment: what it looked at, and what it found, in figures.

    ``samples``: so many samples of the network's input, from ``data``. ``probes``: so many known vectors per matrix.
    ``None`` where it needed none.
    """

    name: str
    samples: int | None = None
    data: str | None = None
    probes: int | None = None
    figures: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        known = {name: getattr(self, name) for name in ("name", "samples", "data", "probes")}
        return {**known, "figures": dict(self.figures)}


def mean_steps(chips: Sequence[Sequence[Step]]) -> tuple[Step, ...]:
    """The same steps on several chips as one: the means of their figures."""
    means = []
    for same in zip(*chips, strict=True):
        names = same[0].figures
        means.append(replace(same[0], figures={n: sum(step.figures[n] for step in same) / len(same) for n in names}))
    return tuple(means)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Deployment:
    """What makes up for the deviations of one chip. It belongs to chip and network and never changes the plan.

    ``network``: the `fingerprint` of the network it was made for; ``time_s``, ``temperature_k``, ``severity``: when
    and under which conditions it was made; ``seed``: of the read noise then. By matrix: ``placements``, and
    ``drift_gains`` [row_tile, col_tile, slice], which multiply the sums of the tiles. By node: ``scales`` and
    ``offsets`` [outputs] of its output, and ``mix_reads`` [outputs, rank], ``mix_writes`` [rank, outputs], a digital
    map among its channels: y + (y read) write, once y is scaled and moved. What is missing was not asked for.
    """

    network: str
    chip: int
    steps: tuple[Step, ...]
    time_s: float
    temperature_k: float
    severity: float
    seed: int
    placements: Mapping[str, Placement] = field(default_factory=dict)
    drift_gains: Mapping[str, Tensor] = field(default_factory=dict)
    scales: Mapping[str, Tensor] = field(default_factory=dict)
    offsets: Mapping[str, Tensor] = field(default_factory=dict)
    mix_reads: Mapping[str, Tensor] = field(default_factory=dict)
    mix_writes: Mapping[str, Tensor] = field(default_factory=dict)

    def for_chip(self, chip: int | None) -> Deployment:
        """Itself; OptionError where ``chip`` is another one."""
        if chip != self.chip:
            other = "ideal devices" if chip is None else f"chip {chip}"
            raise OptionError(
                f"deployment: made for chip {self.chip}, not for {other}", hint=f"make one with deploy(…, chip={chip})"
            )
        return self

    def for_network(self, network: str, name: str) -> Deployment:
        """Itself; OptionError where it was made for another network than the one with this `fingerprint`."""
        if network != self.network:
            raise OptionError(
                f"deployment of chip {self.chip}: made for another network, target or plan than {name} has now",
                hint="make it again with deploy(…)",
            )
        return self

    def of_matrix(self, name: str) -> tuple[Placement | None, Tensor | None]:
        """Placement and drift gains of a matrix."""
        return self.placements.get(name), self.drift_gains.get(name)

    def corrected(self, node: str, y: Tensor) -> Tensor:
        """The output [..., outputs] of ``node`` after its scale, its offset and its map among channels."""
        scale, offset = self.scales.get(node), self.offsets.get(node)
        y = y if scale is None else y * scale.to(y)
        y = y if offset is None else y + offset.to(y)
        read, write = self.mix_reads.get(node), self.mix_writes.get(node)
        return y if read is None or write is None else y + (y @ read.to(y)) @ write.to(y)

    def to_dict(self) -> dict[str, Any]:
        """All but the tensors, as plain JSON values."""
        return {
            "network": self.network,
            "chip": self.chip,
            "steps": [step.to_dict() for step in self.steps],
            "time_s": self.time_s,
            "temperature_k": self.temperature_k,
            "severity": self.severity,
            "seed": self.seed,
        }
