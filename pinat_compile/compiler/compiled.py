"""A compiled network: the imported graph, the mapped graph with its plan, the target, and what led there."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pinat_compile.data import Preprocess
from pinat_compile.errors import OptionError
from pinat_compile.frontend import Reference
from pinat_compile.frontend.calibration import Calibration
from pinat_compile.graph import Array, Graph, dump
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.hardware.schema import Target
from pinat_compile.passes import PassRecord
from pinat_compile.passes.restore_trained import SUFFIX
from pinat_compile.tables import html

if TYPE_CHECKING:
    import torch

    from pinat_compile.simulator.deployment import Deployment
    from pinat_compile.simulator.module import Simulator


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The compile call, as far as it can be repeated from a folder."""

    model: str
    model_sha256: str | None = None
    digital: tuple[str, ...] = ()
    analog: tuple[str, ...] = ()
    share_weights: bool = True
    repeat: Mapping[str, int] = field(default_factory=dict)
    bind: Mapping[str, int] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    preprocess: Preprocess = field(default_factory=Preprocess)
    training: Mapping[str, object] | None = None
    """What fine-tuning did, where this network was fine-tuned."""


@dataclass(frozen=True, repr=False)
class Compiled:
    """What `compile` returns and `load` reads. Frozen: fine-tuning makes another one.

    ``source`` is the network as imported, with its original weights; ``graph`` the mapped one, with the plan and, after
    fine-tuning, the trained values.
    """

    source: Graph
    graph: Graph
    target: Target
    options: Options
    calibration: Calibration
    passes: tuple[PassRecord, ...]

    def __repr__(self) -> str:
        arrays = sum(matrix.arrays for matrix in self.graph.matrices.values())
        return f"<Compiled {self.name} on {self.target.name}: {len(self.graph)} nodes, {arrays} arrays>"

    def __getstate__(self) -> dict[str, object]:
        """What goes to another process: all but the session of onnxruntime, which is made again there."""
        return {name: value for name, value in self.__dict__.items() if name != "reference"}

    def _repr_html_(self) -> str:
        arrays = {node.name: self.graph.matrices[node.op.matrix] for _, node in self.graph.walk()
                  if isinstance(node.op, ArrayMvm)}  # fmt: skip
        records = [
            {"layer": name, "matrix": f"{matrix.inputs} × {matrix.outputs}", "arrays": matrix.arrays}
            for name, matrix in arrays.items()
        ]
        trained = "" if self.options.training is None else f", fine-tuned with {self.options.training['method']}"
        note = f"{len(self.graph)} nodes, {len(records)} layers on arrays{trained}"
        return html(f"{self.name} on {self.target.name}", records, note)

    @property
    def name(self) -> str:
        return self.options.model

    @property
    def default_time_s(self) -> float:
        """The first time at which the target's devices are described, in seconds since programming."""
        return self.target.t0_s

    @property
    def trained(self) -> dict[str, Array]:
        """The tensors that fine-tuning changed, by their names in ``graph``."""
        return {name: value for name, value in self.graph.tensors.items() if name.endswith(SUFFIX)}

    @cached_property
    def reference(self) -> Reference:
        """The original network in onnxruntime."""
        return Reference(self.source)

    @cached_property
    def content(self) -> str:
        """SHA-256 of all that results depend on: `fingerprint`, the original network, and what calibration kept."""
        digest = hashlib.sha256((self.fingerprint + dump(self.source) + repr(self.options)).encode())
        vectors = {name: inputs.vectors for name, inputs in self.calibration.matrices.items()}
        for name, value in (*sorted(self.source.tensors.items()), *sorted(vectors.items())):
            digest.update(repr((name, value.shape, str(value.dtype))).encode())
            digest.update(value.tobytes())
        return digest.hexdigest()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of plan, values and target: what a deployment belongs to."""
        from pinat_compile.simulator.deployment import fingerprint

        return fingerprint(self.graph, self.target)

    def simulator(
        self,
        chip: int = 0,
        seed: int = 0,
        device: str | torch.device = "cpu",
        *,
        noise: bool = True,
        time: str | float | None = None,
        temperature: float = 300.0,
        severity: float = 1.0,
        reads: int = 1,
        analog: Collection[str] | None = None,
        deployment: Deployment | None = None,
    ) -> Simulator:
        """Chip number ``chip`` as a torch module in evaluation mode.

        ``noise=False`` is the ideal execution of the mapped graph: quantised, but with perfect devices. ``time`` is
        seconds or text such as ``"1h"`` (default: `default_time_s`), ``temperature`` in kelvin. ``reads``: how often
        each product on arrays is read to be averaged. ``analog`` limits which nodes run there.
        ``deployment``: what `deploy` found for this chip; OptionError where it belongs to another chip or network.
        """
        from pinat_compile.simulator.conditions import Conditions, seconds
        from pinat_compile.simulator.module import Simulator

        known = {node.name for node in self.graph.nodes}
        unknown = [name for name in analog or () if name not in known]
        if unknown:
            raise OptionError(f"analog = {unknown[0]!r}: the network has no node of that name", hint="see inspect DIR")
        conditions = Conditions(
            chip=chip if noise else None,
            time_s=self.default_time_s if time is None else seconds(time),
            temperature_k=temperature,
            severity=severity,
            reads=reads,
        )
        if deployment is not None:
            deployment.for_network(self.fingerprint, self.name)
        made = Simulator(
            self.graph, self.target, conditions, seed=seed, device=device, analog=analog, deployment=deployment
        )
        made.eval()
        return made

    def save(self, folder: str | Path) -> Path:
        """Write the compiled folder; see `pinat_compile.compiler.folder`."""
        from pinat_compile.compiler.folder import save

        return save(self, Path(folder))
