"""A block of weights on interferometers: W = U S V^H, two meshes and a line of attenuators between them.

Coherent: inputs are fields of either sign, a detector beats each output with reference light and so reads the real
part. A tile has N² interferometers: those of V's mesh, then N attenuators, then those of U's. Its parameters are the
internal phases of all of them, their external phases, the output phases, all in rad, and its digital gain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from pinat_compile.hardware.optics import HeatersSection, MeshSection
from pinat_compile.physics.optics import clements, mesh, passage, shifters
from pinat_compile.physics.optics.chip import OpticalChip


@dataclass(frozen=True, slots=True)
class Parts:
    """The parameters of tiles, told apart: ``x`` and ``phi`` [..., N²], ``out`` [..., N], ``gain`` [...]."""

    x: Tensor
    phi: Tensor
    out: Tensor
    gain: Tensor


def split(parameters: Tensor, modes: int) -> Parts:
    """`Parts` of parameters [..., 2 N² + N + 1]."""
    x, phi, out, gain = torch.split(parameters, [modes**2, modes**2, modes, 1], dim=-1)
    return Parts(x, phi, out, gain.squeeze(-1))


def parameters_from_weights(tiles: Tensor, modes: int) -> Tensor:
    """Weights [..., rows, cols] (y = x W), zero-padded to N = ``modes``, as parameters [..., 2 N² + N + 1], float64.

    Singular values are relative to the largest, which is the digital gain; tiles of zeros have gain 1.
    """
    missing = (0, modes - tiles.shape[-1], 0, modes - tiles.shape[-2])
    wide = torch.nn.functional.pad(tiles.detach().double(), missing).transpose(-1, -2)  # [..., output, input]
    u, s, vh = torch.linalg.svd(wide)
    gain = torch.where(s[..., :1] > 0, s[..., :1], 1.0)
    first, second = clements.decompose(vh), clements.decompose(u)
    x = math.pi - 2.0 * torch.acos((s / gain).clamp(0.0, 1.0))
    phi = (first.out + math.pi).remainder(2 * math.pi)  # the output phases of V stand in the attenuators
    return torch.cat((first.x, x, second.x, first.phi, phi, second.phi, second.out, gain), dim=-1)


def matrix(
    parts: Parts, imbalance: tuple[Tensor, Tensor] | None = None, gain: Tensor | None = None, passing: float = 1.0
) -> Tensor:
    """What tiles multiply fields by, digital gain included: [..., output, input], complex.

    Of each interferometer [..., N²]: ``imbalance`` of its two couplers, ``gain``, the field factor of its loss;
    ``passing``: of waveguides that pass a layer by.
    """
    modes = parts.out.shape[-1]
    behind = parts.gain.unsqueeze(-1) * mesh.turn(parts.out)
    return passage.matrix(path(modes), parts.x, parts.phi, behind, imbalance, gain, passing)


@lru_cache(maxsize=64)
def path(modes: int) -> tuple[mesh.Layer, ...]:
    """All that light passes: the layers of V, the attenuators, the layers of U."""
    pairs = mesh.interferometers(modes)
    attenuators = mesh.Layer(0, modes, pairs, single=True)
    return *mesh.layers(modes), attenuators, *mesh.layers(modes, pairs + modes)


def weights_from_parameters(parameters: Tensor, modes: int) -> Tensor:
    """The weights [..., input, output] of an ideal mesh: the inverse of `parameters_from_weights`."""
    parts = split(parameters, modes)
    return matrix(parts).real.transpose(-1, -2)


def heated_rad(parameters: Tensor, modes: int) -> Tensor:
    """What heaters make for the phases of parameters [..., count], in rad, all of it positive: [..., shifters]."""
    return _wrapped(parameters[..., :-1], modes).abs()


def held_phases(phases: Tensor, heaters: HeatersSection, modes: int, chip: OpticalChip | None) -> Tensor:
    """What the shifters [row_tile, col_tile, shifters] really do when asked for ``phases``.

    In this order: settings that make up for crosstalk, converter, efficiency of each heater, crosstalk, error of each
    phase. Without a chip only the converter is left. The gradient passes wraps, settings and converters unchanged.
    """
    real = chip is not None and chip.severity > 0.0
    coupled = _crosstalk(modes, heaters.pitch_um, heaters.arm_um) if real and heaters.pitch_um is not None else None
    held = shifters.instead(phases, _set(phases.detach(), heaters, modes, coupled))
    if chip is None or not real:
        return held
    efficiency = _deviations(chip, "efficiency", held, heaters.efficiency_sigma)
    if efficiency is not None:
        held = held * (1.0 + efficiency)
    if coupled is not None:
        warmed = shifters.heated(held, coupled)
        held = warmed if heaters.compensated else held + chip.severity * (warmed - held)
    error = _deviations(chip, "phase", held, heaters.phase_sigma_rad)
    return held if error is None else held + error


def _set(phases: Tensor, heaters: HeatersSection, modes: int, coupled: Tensor | None) -> Tensor:
    """What heaters are set to."""
    setting = _wrapped(phases, modes)
    if coupled is not None and heaters.compensated:
        setting = shifters.compensated(setting, coupled, _internal(modes))
    return shifters.quantised(setting, heaters)


def _wrapped(phases: Tensor, modes: int) -> Tensor:
    """Phases [..., shifters] as heaters can make them; tiles stay last in memory."""
    made = phases.detach().clone()
    made[..., : modes**2].copy_(shifters.wrapped(phases[..., : modes**2], both_arms=True))
    made[..., modes**2 :].copy_(shifters.wrapped(phases[..., modes**2 :]))
    return made


def _deviations(chip: OpticalChip, role: str, like: Tensor, sigma: float | None) -> Tensor | None:
    """Normal deviations shaped like ``like`` [..., count], tiles last in memory."""
    drawn = chip.normal(role, (like.shape[-1], *like.shape[:-1]), sigma)
    return None if drawn is None else drawn.to(like).movedim(0, -1)


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _internal(modes: int) -> Tensor:
    """Which of a tile's phases are internal, and so have heaters on both arms: [shifters]."""
    return torch.arange(2 * modes**2 + modes) < modes**2


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _crosstalk(modes: int, pitch_um: float, arm_um: float | None) -> Tensor:
    """`shifters.crosstalk` of all phases of a tile, in the order of its parameters.

    Heaters stand in columns, one per layer for the external and one for the internal phase; rows are modes.
    """
    columns: list[Tensor] = []
    for layer in path(modes):
        for first in (modes**2, 0):  # phi, then x
            column = torch.full((modes,), -1)
            stride = 1 if layer.single else 2
            numbers = first + layer.start + torch.arange(layer.count)
            column[layer.first : layer.first + stride * layer.count : stride] = numbers
            columns.append(column)
    columns.append(2 * modes**2 + torch.arange(modes))
    return shifters.crosstalk(torch.stack(columns), pitch_um, arm_um)


def effective(
    parameters: Tensor, section: MeshSection, heaters: HeatersSection, modes: int, chip: OpticalChip | None
) -> Tensor:
    """What a tile multiplies its inputs by, complex: [row_tile, col_tile, input, output]; detectors see the real part.

    On a chip: phases as the heaters hold them, imbalance of every coupler, loss of every interferometer. The digital
    gain makes up for the loss of the mean path.
    """
    parameters = parameters.movedim(-1, 0).contiguous().movedim(0, -1)  # tiles last in memory, from here to the matrix
    phases, gain = torch.split(parameters, [parameters.shape[-1] - 1, 1], dim=-1)
    x, phi, out = torch.split(held_phases(phases, heaters, modes, chip), [modes**2, modes**2, modes], dim=-1)
    if chip is None or chip.severity == 0.0:
        return matrix(Parts(x, phi, out, gain.squeeze(-1))).transpose(-1, -2)
    first, second = (_deviations(chip, role, x, section.splitter_sigma_rad) for role in ("coupler 1", "coupler 2"))
    spread = _deviations(chip, "loss", x, section.loss_sigma_db)
    loss_db = torch.full_like(x, section.loss_db) if spread is None else (section.loss_db + spread).clamp(min=0.0)
    return matrix(
        Parts(x, phi, out, gain.squeeze(-1) / mean_field_factor(section, modes)),
        None if first is None or second is None else (first, second),
        torch.exp(loss_db.detach() * (-math.log(10.0) / 20.0)),
        field_factor(section.loss_db) if section.matched_edges else 1.0,
    ).transpose(-1, -2)


def field_factor(loss_db: float) -> float:
    """10^(-loss / 20)."""
    return math.pow(10.0, -loss_db / 20.0)


def mean_field_factor(section: MeshSection, modes: int) -> float:
    """The loss of the mean path: two meshes and an attenuator; of every path where edges are matched.

    A path crosses all layers of a mesh where edges are matched, else N - 1 interferometers in the mean.
    """
    crossed = len(mesh.layers(modes)) if section.matched_edges else modes - 1
    return field_factor(section.loss_db * (2 * crossed + 1))
