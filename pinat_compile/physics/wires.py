"""Tiles on arrays with wires: where their devices stand, and what conductances the columns then feel.

A tile begins in the corner where word lines are driven and bit lines sensed: its row 0 next to the sense amplifiers,
its column 0 next to the drivers. The devices of one weight stand side by side, the least significant slice first and in
each slice plus before minus, so that the two devices of a pair see nearly the same wires. Cells that hold no weight
stand at g_min, their word lines at 0 V, their bit lines grounded like the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from pinat_compile.hardware.schema import Target
from pinat_compile.physics import wire_ladders
from pinat_compile.physics.ir_drop import effective_conductance

SIEMENS = 1e-6
"""One µS."""
SMALL = 0.01
"""Devices below this share of an array's largest one are small."""


class Felt(Protocol):
    """What wires make of the conductances [row_tile, col_tile, slice, rows, cols, device] of a matrix, in µS."""

    def felt(self, conductance_us: Tensor) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class Wires:
    """The wires of arrays of ``rows`` x ``cols`` devices, in ohms per segment.

    ``tolerance``: that of `effective_conductance`; ``None`` is exact.
    """

    row_ohm: float
    col_ohm: float
    rows: int
    cols: int
    g_min_us: float
    tolerance: float | None = None

    @classmethod
    def of(cls, target: Target) -> Wires | None:
        """A target's wires; ``None`` where they have no resistance."""
        if target.wires is None or target.wires.row_ohm == target.wires.col_ohm == 0.0:
            return None
        array, cell = target.array, target.device.cell
        return cls(target.wires.row_ohm, target.wires.col_ohm, array.rows, array.cols, cell.g_min_us)

    def felt(self, conductance_us: Tensor) -> Tensor:
        """The effective conductance of every device, its wires and its neighbours' currents included, in µS.

        [row_tile, col_tile, slice, rows, cols, device], each row and column tile on an array of its own. Solved in
        float64, returned in the dtype given. Differentiable.
        """
        return self._on_arrays(conductance_us, self._effective)

    def attenuation(self, conductance_us: Tensor) -> Tensor:
        """The share of its conductance that `felt` leaves each device, shaped like it; no gradient goes through it.

        Of devices too small for that share to say anything, which detours through other lines would swamp, the share
        that the two wires alone leave.
        """
        return self._on_arrays(conductance_us.detach(), self._share)

    def _effective(self, siemens: Tensor) -> Tensor:
        return effective_conductance(siemens, self.row_ohm, self.col_ohm, tolerance=self.tolerance) / SIEMENS

    @torch.no_grad()
    def _share(self, siemens: Tensor) -> Tensor:
        tiles = siemens.reshape(-1, *siemens.shape[-2:])
        alone = wire_ladders.attenuation(tiles, self.row_ohm, self.col_ohm).reshape(siemens.shape)
        limit = SMALL * siemens.amax(dim=(-2, -1), keepdim=True)
        found = self._effective(siemens) * SIEMENS / siemens.clamp(min=1e-30)
        return torch.where(siemens > limit, found, alone)

    def _on_arrays(self, conductance_us: Tensor, solve: Callable[[Tensor], Tensor]) -> Tensor:
        """``solve`` in siemens on whole arrays [row_tile, col_tile, rows, cols], sensed after their last row."""
        slices, rows, cols, devices = conductance_us.shape[2:]
        arrays = conductance_us.permute(0, 1, 3, 4, 2, 5).flatten(3).double()  # [row_tile, col_tile, rows, columns]
        if self.g_min_us > 0.0:  # else the unused cells are open, and nothing flows in what lies beyond the tile
            unused = self.cols - arrays.shape[-1], self.rows - rows
            arrays = F.pad(arrays, (0, unused[0], 0, unused[1]), value=self.g_min_us)
        found = solve((arrays * SIEMENS).flip(-2)).flip(-2)
        used = found[:, :, :rows, : cols * slices * devices].reshape(*found.shape[:2], rows, cols, slices, devices)
        return used.permute(0, 1, 4, 2, 3, 5).to(conductance_us.dtype)
