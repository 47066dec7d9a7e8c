"""Refuse optics whose laser cannot feed them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from pinat_compile.errors import TargetError
from pinat_compile.graph import Graph
from pinat_compile.hardware.schema import Target
from pinat_compile.passes.base import Pass
from pinat_compile.physics.optics import link


@dataclass(frozen=True)
class CheckLink(Pass):
    """Let through what leaves enough light at a detector for the effective bits that the target asks for.

        64 x 64 mesh, 0.25 dB each, 20 mW     ==>     TargetError: needs 615 mW; the largest that can is 38 x 38

    1. The power that the wanted bits need is there: nothing changes.
    2. It is not: TargetError with the largest square array that the laser can feed.
    3. The noise of the laser itself takes the bits, whatever its power: TargetError.
    4. A target without light: nothing changes.
    """

    name: ClassVar[str] = "check-link"
    target: Target

    def run(self, graph: Graph) -> Graph:
        if self.target.laser is None:  # 4
            return graph
        found = link.budget(self.target)
        if found.feasible:  # 1
            return graph
        if math.isinf(found.needed_w):  # 3
            raise TargetError(
                f"target {self.target.name}: no laser power gives {self.target.laser.bits:g} bits beside its own noise",
                hint="fewer laser.bits, or a lower detector.rin_db_per_hz",
            )
        size = link.largest_size(self.target)  # 2
        raise TargetError(
            f"target {self.target.name}: {found.rows} x {found.cols} behind {found.loss_db:.1f} dB need "
            f"{found.needed_w * 1e3:.3g} mW of light for {self.target.laser.bits:g} bits, laser.power_mw = "
            f"{self.target.laser.power_mw:g}",
            hint=f"it can feed {size} x {size} at most: --set array.rows={size} --set array.cols={size}"
            if size
            else "less loss, fewer laser.bits, or more laser.power_mw",
        )
