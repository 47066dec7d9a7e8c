"""Electronic crossbars as a technology: from weights to cell levels, to conductances, to what a read multiplies by.

Everything is counted in integer units: one weight step times one input step. A level is exact; a device's deviation
from it is (g - g_target) / g_step, so that ideal devices compute exactly in integers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from pinat_compile.graph.graph import Array
from pinat_compile.graph.matrix import Cells, Cut
from pinat_compile.hardware.schema import Device
from pinat_compile.physics import devices, randomness
from pinat_compile.physics.placement import Placement
from pinat_compile.physics.randomness import Key
from pinat_compile.physics.tiling import Tiling, spread_groups
from pinat_compile.physics.wires import Felt


@dataclass(frozen=True, slots=True)
class State:
    """One programmed matrix: the levels asked for and the chip's draws. Frozen; reading never changes it.

    ``levels`` [row_tile, col_tile, slice, rows, cols, device] in steps; ``flipped`` [row_tile, col_tile, slice, cols]
    marks columns stored as complement, or ``None``. ``chip`` is the key of draws that belong to one time. ``wires``:
    those of its arrays, where they have resistance. ``placement``: where ``levels`` and what follows from them do not
    stand as the weights of a tile do; what a read multiplies by, its variance and ``flipped`` are by weight always.
    ``reference``: the reference columns of an offset scheme, one column per tile and slice, shaped like their tile.
    ``sigma_gradient``: gradients also go through what deviations and read noise depend on (the reparameterised
    sigma(g) of every device), not only through the conductances that were asked for.
    """

    cells: Cells
    device: Device
    levels: Tensor
    draws: devices.Draws
    flipped: Tensor | None = None
    tiling: Tiling | None = None
    chip: Key | None = None
    wires: Felt | None = None
    placement: Placement | None = None
    reference: State | None = None
    sigma_gradient: bool = False

    @property
    def ideal(self) -> bool:
        """Whether a read finds exactly what was asked for, always."""
        return self.wires is None and (self.chip is None or self.device.perfect)


def step_us(state: State) -> float:
    """Conductance of one level in µS."""
    cell = state.device.cell
    return (cell.g_max_us - cell.g_min_us) / state.cells.cell_max


def parameters_from_weights(blocks: Tensor, scale: Tensor, cells: Cells) -> Tensor:
    """Weights [blocks, rows, cols] in weight steps (``scale`` broadcasts), clipped to what cells hold, not rounded."""
    low = -cells.middle if cells.middle else -cells.weight_max
    return (blocks / scale).clamp(low, cells.weight_max)


def weights_from_parameters(steps: Tensor, scale: Tensor) -> Tensor:
    """The inverse, up to clipping."""
    return steps * scale


def program(
    steps: Tensor,
    cells: Cells,
    device: Device,
    tiling: Tiling,
    chip: Key | None,
    wires: Felt | None = None,
    placement: Placement | None = None,
) -> State:
    """Program weights in steps [blocks, rows, cols] into one chip; ``chip=None`` draws nothing (ideal devices)."""
    levels = _levels(tiling.split(steps), cells)
    if cells.middle and tiling.padded:  # cells that hold no weight stay at level 0
        levels = levels * tiling.split(torch.ones_like(steps))[:, :, None, :, :, None]
    flipped = None
    if cells.flip:
        levels, flipped = _flip_columns(levels, float(cells.cell_max))
    if placement is not None:
        placement = placement.to(levels.device)
        levels = placement.place(levels, cells)
    reference = _reference(steps, cells, device, tiling, chip, placement) if cells.scheme == "offset" else None
    state = State(cells, device, levels, devices.Draws(), flipped, tiling, chip, wires, placement, reference)
    return state if chip is None else replace(state, draws=_draw(state))


PIECE = 1 << 17
"""Devices that are programmed together by `ideal_pieces`: few enough to stay in a processor's cache."""


def ideal_pieces(
    blocks: Tensor, scale: Tensor, cells: Cells, device: Device, cut: Cut
) -> Iterator[tuple[int, slice, State]]:
    """What `program` without a chip makes of weights [blocks, rows, cols], a few tiles at a time.

    Each piece is (row tile, column tiles, state), row tile first; ``scale`` [blocks, 1, cols]: what a weight step
    stands for. A whole matrix, in all its slices and devices, would take many times the memory of its weights.
    """
    height = max(cut.tile_rows)
    together = max(1, PIECE // (height * max(cut.tile_cols) * cells.cells_per_weight))
    for row_tile in range(cut.blocks * cut.row_tiles):
        block, inner = divmod(row_tile, cut.row_tiles)
        top, bottom = cut.row_cuts[inner : inner + 2]
        for first in range(0, cut.col_tiles, together):
            tiles = slice(first, min(first + together, cut.col_tiles))
            left, right = cut.col_cuts[tiles.start], cut.col_cuts[tiles.stop]
            weights = blocks[block : block + 1, top:bottom, left:right]
            steps = parameters_from_weights(weights, scale[block : block + 1, :, left:right], cells)
            col_cuts = tuple(at - left for at in cut.col_cuts[first : tiles.stop + 1])
            tiling = Tiling(Cut(1, (0, bottom - top), col_cuts), height=height)
            yield row_tile, tiles, program(steps, cells, device, tiling, None)


def _reference(
    steps: Tensor, cells: Cells, device: Device, tiling: Tiling, chip: Key | None, placement: Placement | None
) -> State:
    """The reference columns: one per column tile, the middle of the range in the top slice, level 0 in the others.

    On the word lines of the weights, wherever these stand.
    """
    cut = tiling.cut
    columns = replace(tiling, cut=Cut(cut.blocks, cut.row_cuts, tuple(range(cut.col_tiles + 1))), groups=None)
    zeros = torch.zeros(columns.dense_shape, dtype=steps.dtype, device=steps.device)
    own = None if chip is None else chip.at("reference")
    beside = None if placement is None else placement.of_reference()
    return program(zeros, replace(cells, scheme="bias"), device, columns, own, placement=beside)


def targets_us(state: State) -> Tensor:
    """Target conductances [row_tile, col_tile, slice, rows, cols, device] in µS."""
    return (state.levels * step_us(state)).add_(state.device.cell.g_min_us)


def hold(
    state: State, *, time_s: float | None = None, temperature_k: float = 300.0, severity: float = 1.0
) -> devices.Held:
    """Conductances of this chip at one time (default: its devices' t0), shaped like `targets_us`."""
    draws, when = state.draws, state.device.t0_s if time_s is None else float(time_s)
    if state.chip is not None and devices.has_slow_noise(state.device, when):
        draws = replace(draws, slow=_standard("normal", state, "slow", repr(when)))
    return devices.hold(
        state.device,
        targets_us(state),
        draws,
        time_s=when,
        temperature_k=temperature_k,
        severity=severity,
        sigma_gradient=state.sigma_gradient,
    )


def conductances_us(
    state: State, *, time_s: float | None = None, temperature_k: float = 300.0, severity: float = 1.0
) -> Tensor:
    """Conductances of this chip, without what is fresh in a read, shaped like `targets_us`."""
    return hold(state, time_s=time_s, temperature_k=temperature_k, severity=severity).now


def effective(
    state: State, *, time_s: float | None = None, temperature_k: float = 300.0, severity: float = 1.0
) -> Tensor:
    """What a read multiplies by, in steps of its slice: [row_tile, col_tile, slice, rows, cols]. Differentiable."""
    held = _net(state.levels)
    if not state.ideal:
        actual = conductances_us(state, time_s=time_s, temperature_k=temperature_k, severity=severity)
        if state.wires is not None:
            actual = state.wires.felt(actual)
        held = held + _net(actual - targets_us(state)) / step_us(state)
    held = _by_weight(state, held)
    if state.reference is None:
        return held
    return held - effective(state.reference, time_s=time_s, temperature_k=temperature_k, severity=severity)


def excess(
    state: State, input_v: float, *, time_s: float | None = None, temperature_k: float = 300.0, severity: float = 1.0
) -> tuple[Tensor, Tensor] | None:
    """What the squares and the cubes of the inputs are multiplied by, shaped like `effective`; ``None``: by nothing.

    In steps of the slice, for inputs in input steps of ``input_v`` volts each: where devices do not obey Ohm's law, a
    column carries sum(W x) + sum(W2 x²) + sum(W3 x³), exactly as long as wires take no voltage away.
    """
    if state.ideal or state.device.nonlinearity is None:
        return None
    held = conductances_us(state, time_s=time_s, temperature_k=temperature_k, severity=severity)
    currents = devices.excess_currents(state.device, held)
    assert currents is not None
    square, cube = (_by_weight(state, _net(current)) for current in currents)
    square, cube = square * (input_v / step_us(state)), cube * (input_v**2 / step_us(state))
    if state.reference is None:
        return square, cube
    when = {"time_s": time_s, "temperature_k": temperature_k, "severity": severity}
    common = excess(state.reference, input_v, **when)  # type: ignore[arg-type]
    assert common is not None
    return square - common[0], cube - common[1]


def conducting_us(
    state: State, *, time_s: float | None = None, temperature_k: float = 300.0, severity: float = 1.0
) -> Tensor:
    """The conductance that a row adds to a column, all devices of its weight: [row_tile, col_tile, slice, rows, cols].

    In µS, those of the reference column included; without a gradient. It sets the noise of the circuit.
    """
    when = {"time_s": time_s, "temperature_k": temperature_k, "severity": severity}
    with torch.no_grad():
        total = _by_weight(state, conductances_us(state, **when).sum(dim=-1), signed=False)  # type: ignore[arg-type]
    if state.reference is None:
        return total
    return total + conducting_us(state.reference, **when)  # type: ignore[arg-type]


def read_variance(
    state: State, *, time_s: float | None = None, temperature_k: float = 300.0, severity: float = 1.0
) -> Tensor | float:
    """Variance of one read in squared steps, per weight and slice; a number where it does not depend on the state.

    Of the conductances that the chip holds at that time, without those of reference columns, which are common to all
    columns of a tile: ask for them by ``state.reference``. A gradient goes through it with ``sigma_gradient`` alone.
    """
    unit = step_us(state) ** 2
    variance = devices.read_variance_us2(state.device, targets_us(state).detach(), time_s=time_s, severity=severity)
    if isinstance(variance, float):
        return state.cells.devices * variance / unit
    with torch.set_grad_enabled(state.sigma_gradient and torch.is_grad_enabled()):
        held = hold(state, time_s=time_s, temperature_k=temperature_k, severity=severity)
        variance = devices.read_variance_us2(
            state.device, held.settled, time_s=time_s, severity=severity, programmed_us=held.programmed
        )
    assert isinstance(variance, Tensor)
    return _by_weight(state, variance.sum(dim=-1), signed=False) / unit


LEVEL_DRAWS = 2048
"""Devices that are drawn at each level to find their variance."""


@lru_cache(maxsize=16)
def level_variance(cells: Cells, device: Device) -> tuple[Array, Array]:
    """Weights of 0 … weight_max steps, and the variance, in squared steps, of what a chip holds for each.

    Drawn, not derived, so that it holds for any device model: `LEVEL_DRAWS` devices per level, at the first time at
    which the device is described. A weight of several slices has the sum of its slices' variances.
    """
    points = cells.weight_max + 1 if cells.rounded and cells.weight_max < 64 else 65
    steps = torch.linspace(0, cells.weight_max, points)
    if device.perfect:
        return steps.double().numpy(), torch.zeros(points, dtype=torch.float64).numpy()
    cut = Cut(1, (0, LEVEL_DRAWS), (0, points))
    state = program(steps.expand(1, LEVEL_DRAWS, points), cells, device, Tiling(cut), Key(("level_variance",)))
    error = effective(state) - effective(_without_draws(state))  # [1, 1, slice, draws, points]
    weight = torch.tensor(cells.slice_weights, dtype=torch.float64).square()
    variance = (error[0, 0].double().square().mean(dim=1) * weight[:, None]).sum(dim=0)
    return steps.double().numpy(), variance.numpy()


def _without_draws(state: State) -> State:
    reference = None if state.reference is None else _without_draws(state.reference)
    return replace(state, chip=None, wires=None, reference=reference)


def _net(per_device: Tensor) -> Tensor:
    """Plus minus minus of a pair; the device itself where there is one."""
    if per_device.shape[-1] == 1:
        return per_device.squeeze(-1)
    return per_device[..., 0] - per_device[..., 1]


def _by_weight(state: State, per_cell: Tensor, *, signed: bool = True) -> Tensor:
    """[row_tile, col_tile, slice, rows, cols] as the weights stand in their tile."""
    return per_cell if state.placement is None else state.placement.unplace(per_cell, signed=signed)


def _levels(steps: Tensor, cells: Cells) -> Tensor:
    """[row_tile, col_tile, rows, cols] → levels [row_tile, col_tile, slice, rows, cols, device].

    Rounding is straight-through; the gradient of a weight is shared among its slices so that its sum is 1.
    """
    if cells.middle:
        return _slice(_round(steps) + float(cells.middle), cells).unsqueeze(-1)
    positive = (steps >= 0).to(steps.dtype)  # 1 or 0; products with it are much faster than torch.where
    sign = 2.0 * positive - 1.0
    magnitude = steps * sign  # |steps|, whose gradient at 0 is 1: zeros can learn
    parts = _slice(_round(magnitude) if cells.rounded else magnitude, cells)  # [row_tile, col_tile, slice, rows, cols]
    if cells.two_sided:  # (top + w) / 2 and (top - w) / 2, rounded up and down: their difference is w
        signed, top = parts * sign.unsqueeze(2), float(cells.cell_max)
        plus = _up((top + signed) / 2.0) if cells.rounded else (top + signed) / 2.0
        return torch.stack((plus, plus - signed), dim=-1)
    plus = parts * positive.unsqueeze(2)
    return torch.stack((plus, parts - plus), dim=-1)


def signed_slices(steps: Tensor, cells: Cells) -> list[Tensor]:
    """Weights in steps [*w] as signed levels of every slice, for pairs; the last step of `program` but for devices."""
    if cells.slices == 1:
        return [_round(steps)]
    sign = 2.0 * (steps >= 0).to(steps.dtype) - 1.0
    parts = _slice(_round(steps * sign).reshape(1, 1, len(steps), -1), cells)[0, 0]
    return [part.view(steps.shape) * sign for part in parts]


def _round(x: Tensor) -> Tensor:
    return x + (x.round() - x).detach() if x.requires_grad else x.round()


def _up(x: Tensor) -> Tensor:
    return x + (x.ceil() - x).detach() if x.requires_grad else x.ceil()


def _slice(whole: Tensor, cells: Cells) -> Tensor:
    """Cut non-negative integers into slices: a new axis 2, least significant first."""
    if cells.slices == 1:
        return whole.unsqueeze(2)
    integer = whole.detach().to(torch.int32).contiguous()  # all slices are laid out like this once
    levels = torch.empty((*whole.shape[:2], cells.slices, *whole.shape[2:]), dtype=whole.dtype, device=whole.device)
    for part, bits in zip(levels.unbind(dim=2), cells.slice_bits, strict=True):
        part.copy_(integer & ((1 << bits) - 1))
        integer = integer >> bits
    if not whole.requires_grad:
        return levels
    weights = torch.tensor(cells.slice_weights, dtype=whole.dtype, device=whole.device).view(-1, 1, 1)
    return levels + (whole - whole.detach()).unsqueeze(2) * (weights / weights.square().sum())


def _flip_columns(levels: Tensor, top: float) -> tuple[Tensor, Tensor]:
    """Store the complement of columns whose cells sum to more than half of what they could (ISAAC's data encoding)."""
    rows = levels.shape[3]
    flipped = levels.detach().sum(dim=(3, 5)) > 0.5 * top * rows  # [row_tile, col_tile, slice, cols]
    share = flipped[:, :, :, None, :, None].to(levels.dtype)  # 1 or 0
    return torch.addcmul(top * share, levels, 1.0 - 2.0 * share), flipped


def _draw(state: State) -> devices.Draws:
    """A chip's standard draws for every cell that serve all times."""
    return devices.Draws(**{
        role: _standard(distribution, state, role) for role, distribution in devices.draw_roles(state.device)
    })


def _standard(distribution: devices.Distribution, state: State, *role: str) -> Tensor:
    """Draws for every cell [row_tile, col_tile, slice, rows, cols, device], keyed by place in the matrix."""
    assert state.chip is not None and state.tiling is not None
    planes = []
    for s in range(state.cells.slices):
        keys = [state.chip.at(*role, s, d) for d in range(state.cells.devices)]
        planes.append(torch.stack([_plane(distribution, state.tiling, key) for key in keys], dim=-1))
    return torch.stack([state.tiling.split(plane) for plane in planes], dim=2).to(state.levels.device)


def _plane(distribution: devices.Distribution, tiling: Tiling, key: Key) -> Tensor:
    """Draws for [blocks, rows, cols]. A weight's draw depends on its group and its place there, however groups share
    arrays; the cells between groups, which hold no weight, have draws of their own.
    """
    make = randomness.normal if distribution == "normal" else randomness.uniform
    blocks, rows, cols = tiling.dense_shape
    groups = tiling.groups or blocks
    inner = groups // blocks
    own = make(key, (groups, rows // inner, cols // inner))
    return own if inner == 1 else spread_groups(own, make(key.at("between"), (blocks, rows, cols)))
