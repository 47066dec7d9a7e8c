"""Thermo-optic phase shifters: what a converter can set, and what heaters do to their neighbours."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor

from pinat_compile.hardware.optics import HeatersSection

TURN = 2.0 * math.pi
REACH_UM = 60.0
"""Heat is followed so far; the model leaves 1e-4 of a phase there."""


class _Instead(torch.autograd.Function):
    """Another value; the gradient is that of the first."""

    @staticmethod
    def forward(ctx: Any, wanted: Tensor, made: Tensor) -> Tensor:
        return made

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None


def instead(wanted: Tensor, made: Tensor) -> Tensor:
    """``made`` in the place of ``wanted``, straight through: the gradient passes unchanged."""
    return cast(Tensor, _Instead.apply(wanted, made.detach()))  # type: ignore[no-untyped-call]


def wrapped(phase: Tensor, both_arms: Tensor | bool = False) -> Tensor:
    """``phase`` (rad) as a heater can make it: from 0 to a turn.

    Where ``both_arms`` have a heater: up to a turn either way, in periods of two turns (half the phase on each arm).
    """
    if both_arms is False:
        return phase.remainder(TURN)
    two_ways = (phase + TURN).remainder(2 * TURN).sub_(TURN)
    return two_ways if both_arms is True else torch.where(torch.as_tensor(both_arms), two_ways, phase.remainder(TURN))


def quantised(setting: Tensor, heaters: HeatersSection) -> Tensor:
    """``setting`` (rad) as its converter makes it.

    Uniform in phase: 2**bits steps to a turn (so that 0 and pi are among them), with room for a second turn. Or uniform
    in the voltage V = sqrt(|phase| / gamma), gamma = pi / V_pi², V_max / (2**bits - 1) per step up to V_max: there a
    step of voltage makes a phase of 2 sqrt(gamma |phase|) V_max / (2**bits - 1).
    """
    if heaters.bits is None:
        return setting
    levels = 1 << heaters.bits
    if heaters.converter == "phase":
        return (setting * (levels / TURN)).round_().clamp_(-2 * levels, 2 * levels).mul_(TURN / levels)
    assert heaters.v_pi_v is not None and heaters.full_scale_v is not None
    top, gamma, full = levels - 1, math.pi / heaters.v_pi_v**2, heaters.full_scale_v
    codes = setting.abs().mul_((top / full) ** 2 / gamma).sqrt_().round_().clamp_(max=top)
    return codes.square_().mul_(gamma * (full / top) ** 2).copysign_(setting)


def spread_of_heat(distance_um: Tensor) -> Tensor:
    """The share of a heater's phase that a waveguide so far from it picks up: a fit over distance in µm.

    A quintic below 23 µm and 0.2167 exp(-0.1275 d) beyond, as in the layout-aware crosstalk model of torchonn and
    SimPhony; clamped to [0, 1].
    """
    d = distance_um
    near = 1.0 + d * (-0.1760 + d * (9.896e-3 + d * (-8.30e-6 + d * (-1.558e-5 + d * 3.551e-7))))
    return torch.where(d < 23.0, near, 0.2167 * torch.exp(-0.1275 * d)).clamp(0.0, 1.0)


def crosstalk(grid: Tensor, pitch_um: float, arm_um: float | None = None) -> Tensor:
    """What each shifter's phase makes of all heaters' phases: a sparse matrix [shifters, shifters], float64.

    ``grid`` [columns, rows] (int64): the number of the shifter whose heater stands there, -1 where there is none;
    neighbours are ``pitch_um`` apart. A shifter's second arm lies ``arm_um`` below its heater: a neighbour's heat then
    counts by the difference that it makes between the arms (``None``: there is no second arm). A shifter's own heat is
    what calibration takes as its phase.
    """
    rows, cols, values = [], [], []
    right, below = (min(int(REACH_UM / pitch_um), size - 1) for size in grid.shape)
    for across in range(-right, right + 1):
        for down in range(-below, below + 1):
            share = _coupling(across * pitch_um, down * pitch_um, arm_um)
            felt, warm = _pairs(grid, across, down)
            rows.append(felt)
            cols.append(warm)
            values.append(torch.full(felt.shape, share, dtype=torch.float64))
    count = int(grid.max()) + 1
    index = torch.stack((torch.cat(rows), torch.cat(cols)))
    size = (count, count)
    return torch.sparse_coo_tensor(index, torch.cat(values), size, check_invariants=True).coalesce()


def _coupling(across_um: float, down_um: float, arm_um: float | None) -> float:
    """The share of a heater's phase at a shifter that stands so far to the right of it and below it."""
    if across_um == 0.0 and down_um == 0.0:
        return 1.0
    distances = [math.hypot(across_um, down_um)]
    if arm_um is not None:
        distances.append(math.hypot(across_um, down_um + arm_um))
    shares = spread_of_heat(torch.tensor(distances, dtype=torch.float64)).tolist()
    return float(shares[0] - shares[1]) if arm_um is not None else float(shares[0])


def _pairs(grid: Tensor, across: int, down: int) -> tuple[Tensor, Tensor]:
    """Numbers of the shifters, and of those whose heater stands ``across`` columns to the left and ``down`` above."""
    columns, rows = grid.shape
    felt = grid[max(across, 0) : columns + min(across, 0), max(down, 0) : rows + min(down, 0)]
    warm = grid[max(-across, 0) : columns + min(-across, 0), max(-down, 0) : rows + min(-down, 0)]
    both = (felt >= 0) & (warm >= 0)
    return felt[both], warm[both]


def heated(setting: Tensor, coupled: Tensor) -> Tensor:
    """The phases [..., shifters] of heaters at ``setting`` that warm each other: x_i + sum_{j != i} C_ij |x_j|."""
    flat = setting.reshape(-1, setting.shape[-1])
    heat = flat.abs()
    warmth: Tensor = torch.sparse.mm(coupled.to(setting), heat.T)
    return (flat + warmth.T - heat).reshape(setting.shape)


COMPENSATION_STEPS = 200
"""Corrections at most; each leaves a share of the error that is the heat of all neighbours together."""


def compensated(phase: Tensor, coupled: Tensor, both_arms: Tensor | bool = False) -> Tensor:
    """Settings of heaters that make ``phase`` (`wrapped`), mod 2 pi, in spite of their neighbours.

    The solution of a linear system, by Jacobi's steps. Heaters only heat: where the setting of a shifter that does not
    have one on ``both_arms`` falls below zero its phase is asked for a turn higher, for good, so that settings may
    exceed a turn a little.
    """
    wanted = setting = phase
    one_way = ~torch.as_tensor(both_arms)
    for _ in range(COMPENSATION_STEPS):
        missed = wanted - heated(setting, coupled)
        setting = setting + missed
        below = (setting < 0.0) & one_way
        wanted, setting = torch.where(below, wanted + TURN, wanted), torch.where(below, setting + TURN, setting)
        if not bool(below.any()) and float(missed.abs().max()) < 1e-6:
            break
    return setting
