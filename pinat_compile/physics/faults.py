"""Weights around cells that are known to be stuck: which side of a pair, which row and which column they take.

A stuck device leaves its pair only a part of the weights: with plus at g_max none below zero, with plus at g_min none
above. What a test after programming finds is enough to choose, array by array and without any data but the power of the
inputs, where weights stand so that they can be what they should be (Liu et al., DAC 2017, and Chen et al.,
DATE 2017, do so for rows). The search exchanges pairs of lines as long as the expected output error falls.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pinat_compile.physics import crossbar, devices
from pinat_compile.physics.placement import AT_G_MAX, AT_G_MIN, HEALTHY, Placement

ROUNDS = 3
"""How often columns and rows take turns, at most."""


@dataclass(frozen=True, slots=True)
class Found:
    """A placement, and the expected squared error of the outputs, in squared steps, that stuck cells cause.

    ``before``: weights where they stood, nothing done; ``after``: as placed.
    """

    placement: Placement
    cells: int
    before: float
    after: float


def stuck_cells(state: crossbar.State, severity: float = 1.0) -> Tensor | None:
    """What a test of all cells of this chip finds, by place: [row_tile, col_tile, slice, rows, cols, device] (int8).

    ``None`` where the device has no such faults. Cells that are stuck between the ends are not found.
    """
    if state.device.stuck is None or state.draws.stuck is None:
        return None
    assert state.tiling is not None
    cells = state.tiling.split(torch.ones(state.tiling.dense_shape, device=state.levels.device))
    low, high = devices.stuck_thresholds(state.device.stuck, severity)
    uniform, known = state.draws.stuck, torch.full(state.levels.shape, HEALTHY, dtype=torch.int8)
    known = known.to(uniform.device).masked_fill(uniform < low, AT_G_MIN).masked_fill(uniform >= high, AT_G_MAX)
    return known * cells[:, :, None, :, :, None].to(known)


def place_around_faults(state: crossbar.State, known: Tensor, power: Tensor) -> Found:
    """Where the weights of ``state``, which has no placement yet, had best stand.

    ``known`` [row_tile, col_tile, slice, rows, cols, device] (int8): what is known of the cells. ``power`` [row_tile,
    rows]: mean square of the inputs. A device other than the stuck ones is taken to hold what is asked for.
    """
    assert state.placement is None and state.tiling is not None
    levels, known, power = state.levels.detach().cpu(), known.cpu(), power.cpu()
    top, shifts = float(state.cells.cell_max), torch.tensor(state.cells.slice_weights, dtype=levels.dtype).square()
    row_tiles, col_tiles, slices, rows, cols, _ = levels.shape
    placed_rows = torch.arange(rows).expand(row_tiles, col_tiles, rows).clone()
    placed_cols = torch.arange(cols).expand(row_tiles, col_tiles, cols).clone()
    swapped = torch.zeros((row_tiles, col_tiles, slices, cols), dtype=torch.bool)
    cut, before, after = state.tiling.cut, 0.0, 0.0
    for r in range(row_tiles):
        height = cut.tile_rows[r % cut.row_tiles]
        for c, width in enumerate(cut.tile_cols):
            part = (r, c, slice(None), slice(height), slice(width))
            tile = _Tile(levels[part], known[part], power[r, :height], shifts, top)
            before += tile.unmended()
            after += tile.search()
            placed_rows[r, c, :height], placed_cols[r, c, :width] = tile.rows, tile.cols
            swapped[r, c, :, :width] = tile.swapped
    placement = Placement(placed_rows, placed_cols, swapped, known)
    return Found(placement, int((known != HEALTHY).sum()), before, after)


class _Tile:
    """One array: ``rows`` and ``cols`` say which line stands at each place; ``swapped`` [slice, cols] goes by line."""

    def __init__(self, levels: Tensor, known: Tensor, power: Tensor, shifts: Tensor, top: float) -> None:
        """``levels`` and ``known`` [slice, rows, cols, device]."""
        self.levels, self.known, self.power, self.shifts = levels, known, power, shifts
        self.top, self.paired = top, levels.shape[-1] == 2
        self.net = levels[..., 0] - levels[..., 1] if self.paired else levels[..., 0]
        low, high = (torch.where(known == stuck, end, other) for stuck, end, other in (
            (AT_G_MAX, top, 0.0), (AT_G_MIN, 0.0, top)))
        self.low, self.high = low[..., 0], high[..., 0]  # what a device can hold: [0, top], or where it is stuck
        if self.paired:
            self.low, self.high = low[..., 0] - high[..., 1], high[..., 0] - low[..., 1]
        self.faults = (known != HEALTHY).any(dim=-1).nonzero(as_tuple=True)  # slice, row, column by place
        slices, rows, cols = self.net.shape
        self.rows, self.cols = torch.arange(rows), torch.arange(cols)
        self.swapped = torch.zeros((slices, cols), dtype=torch.bool)

    def unmended(self) -> float:
        """The error of the weights where they stood, without help from the other device of a pair."""
        held = torch.where(self.known == AT_G_MIN, 0.0, torch.where(self.known == AT_G_MAX, self.top, self.levels))
        net = held[..., 0] - held[..., 1] if self.paired else held[..., 0]
        return float(((net - self.net).square() * self.power[:, None] * self.shifts[:, None, None]).sum())

    def search(self) -> float:
        """Find rows, columns and sides; the error that is left."""
        if not len(self.faults[0]):
            return 0.0
        left = float("inf")
        for _ in range(ROUNDS):
            sides = self._by_column()  # [side, slice, place, column]
            self.cols = _exchanged(sides.amin(dim=0).sum(dim=0), self.cols)
            self.swapped = self._sides(sides)
            errors = self._by_row()  # [place, row]
            self.rows = _exchanged(errors, self.rows)
            now = float(errors.gather(1, self.rows[:, None]).sum())
            if now >= left:
                break
            left = now
        sides = self._by_column()
        self.swapped = self._sides(sides)
        chosen = sides.amin(dim=0).gather(2, self.cols.expand(sides.shape[1], -1)[..., None])
        return float(chosen.sum())

    def _by_column(self) -> Tensor:
        """The error of every column at every place, on either side: [side, slice, place, column]."""
        s, p, q = self.faults
        wanted = self.net[s, self.rows[p]]  # [fault, column]
        weight = (self.shifts[s] * self.power[self.rows[p]])[:, None]
        slices, _, cols = self.net.shape
        found = []
        for sign in (1.0, -1.0) if self.paired else (1.0,):
            error = self._error(sign * wanted, (s, p, q)).square() * weight
            sums = torch.zeros((slices, cols, cols), dtype=error.dtype)
            found.append(sums.index_put_((s, q), error, accumulate=True))
        return torch.stack(found)

    def _by_row(self) -> Tensor:
        """The error of every row at every place: [place, row]."""
        s, p, q = self.faults
        column = self.cols[q]
        sign = 1.0 - 2.0 * self.swapped[s, column].to(self.net.dtype)
        wanted = sign[:, None] * self.net[s, :, column]  # [fault, row]
        error = self._error(wanted, (s, p, q)).square() * self.shifts[s, None] * self.power
        rows = self.net.shape[1]
        return torch.zeros((rows, rows), dtype=error.dtype).index_put_((p,), error, accumulate=True)

    def _error(self, wanted: Tensor, at: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """How far [fault, line] is from what the cells ``at`` can hold."""
        return wanted - torch.minimum(torch.maximum(wanted, self.low[at][:, None]), self.high[at][:, None])

    def _sides(self, sides: Tensor) -> Tensor:
        """Which columns are better the other way round, by column: [slice, column]."""
        found = torch.zeros_like(self.swapped)
        if not self.paired:
            return found
        here = self.cols.expand(sides.shape[1], -1)[..., None]
        plain, turned = (side.gather(2, here).squeeze(-1) for side in sides)  # [slice, place]
        found[:, self.cols] = turned < plain
        return found


def _exchanged(errors: Tensor, lines: Tensor) -> Tensor:
    """``lines`` by place with pairs exchanged until no exchange makes sum(errors[place, line]) smaller."""
    lines = lines.clone()
    for _ in range(4 * len(lines)):
        at = errors[:, lines]  # [place, place whose line]
        own = at.diagonal()
        bad = own.nonzero().flatten()
        if not len(bad):
            break
        gain = own[bad, None] + own[None, :] - at[bad] - at[:, bad].t()
        best = int(gain.argmax())
        one, other = int(bad[best // len(lines)]), best % len(lines)
        if float(gain.flatten()[best]) <= 1e-9 * float(own.sum()):
            break
        lines[[one, other]] = lines[[other, one]]
    return lines
