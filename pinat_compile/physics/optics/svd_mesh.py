"""A block of weights on interferometers: W = U S V^H, two meshes and a line of attenuators between them.

Coherent: inputs are fields of either sign, a detector beats each output with reference light and so reads the real
part. Parameters of a tile are its phases in rad, in the order in which light passes them, and its digital gain:
[x, phi] of V's interferometers, [x, phi] of the attenuators, [x, phi] of U's, the output phases, the gain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from pinat_compile.hardware.optics import HeatersSection, MeshSection
from pinat_compile.physics.optics import clements, mesh, shifters
from pinat_compile.physics.optics.chip import OpticalChip


@dataclass(frozen=True, slots=True)
class Parts:
    """The parameters of tiles [..., count], told apart."""

    v: tuple[Tensor, Tensor]
    s: tuple[Tensor, Tensor]
    u: tuple[Tensor, Tensor]
    out: Tensor
    gain: Tensor


def split(parameters: Tensor, modes: int) -> Parts:
    """`Parts` of parameters [..., 2 N² + N + 1]."""
    pairs = mesh.interferometers(modes)
    sizes = [pairs, pairs, modes, modes, pairs, pairs, modes, 1]
    v_x, v_phi, s_x, s_phi, u_x, u_phi, out, gain = torch.split(parameters, sizes, dim=-1)
    return Parts((v_x, v_phi), (s_x, s_phi), (u_x, u_phi), out, gain.squeeze(-1))


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
    return torch.cat((first.x, first.phi, x, phi, second.x, second.phi, second.out, gain), dim=-1)


def matrix(parts: Parts, imbalance: Tensor | None = None, gain: Tensor | None = None, passing: float = 1.0) -> Tensor:
    """The transfer matrix [..., output, input], complex, without the digital gain.

    ``imbalance`` [2, ..., N²] of the couplers, ``gain`` [..., N²] the field factors of the interferometers' losses:
    those of V, of the attenuators, and of U. ``passing``: of waveguides that pass a layer by.
    """
    modes, pairs = parts.out.shape[-1], parts.u[0].shape[-1]
    sizes = [pairs, modes, pairs]
    couplers = [None] * 3 if imbalance is None else [(e[0], e[1]) for e in torch.split(imbalance, sizes, dim=-1)]
    losses = [None] * 3 if gain is None else list(torch.split(gain, sizes, dim=-1))
    cells = [mesh.cell(*phases, e) for phases, e in zip((parts.v, parts.s, parts.u), couplers, strict=True)]
    first = mesh.transfer(cells[0], modes, losses[0], passing)
    second = mesh.transfer(cells[2], modes, losses[2], passing)
    attenuated = cells[1][0] if losses[1] is None else cells[1][0] * losses[1]  # from bar to bar
    out = torch.polar(torch.ones_like(parts.out), parts.out)
    return (out.unsqueeze(-1) * second * attenuated.unsqueeze(-2)) @ first


def weights_from_parameters(parameters: Tensor, modes: int) -> Tensor:
    """The weights [..., input, output] of an ideal mesh: the inverse of `parameters_from_weights`."""
    parts = split(parameters, modes)
    return parts.gain[..., None, None] * matrix(parts).real.transpose(-1, -2)


def heated_rad(parameters: Tensor, modes: int) -> Tensor:
    """What heaters make for the phases of parameters [..., count], in rad, all of it positive: [..., shifters]."""
    return shifters.wrapped(parameters[..., :-1], _internal(modes)).abs()


def held_phases(phases: Tensor, heaters: HeatersSection, modes: int, chip: OpticalChip | None) -> Tensor:
    """What the shifters [row_tile, col_tile, shifters] really do when asked for ``phases``.

    In this order: settings that make up for crosstalk, converter, efficiency of each heater, crosstalk, error of each
    phase. Without a chip only the converter is left.
    """
    internal = _internal(modes)
    phases = shifters.wrapped(phases, internal)
    if chip is None or chip.severity == 0.0:
        return shifters.quantised(phases, heaters)
    coupled = _crosstalk(modes, heaters.pitch_um, heaters.arm_um) if heaters.pitch_um is not None else None
    if coupled is not None and heaters.compensated:
        phases = shifters.compensated(phases, coupled, internal)
    held = shifters.quantised(phases, heaters)
    efficiency = chip.normal("efficiency", tuple(phases.shape), heaters.efficiency_sigma)
    if efficiency is not None:
        held = held * (1.0 + efficiency.to(held))
    if coupled is not None:
        warmed = shifters.heated(held, coupled)
        held = warmed if heaters.compensated else held + chip.severity * (warmed - held)
    error = chip.normal("phase", tuple(phases.shape), heaters.phase_sigma_rad)
    return held if error is None else held + error.to(held)


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _internal(modes: int) -> Tensor:
    """Which of a tile's phases are internal, and so have heaters on both arms: [shifters]."""
    pairs = mesh.interferometers(modes)
    sizes = torch.tensor([pairs, pairs, modes, modes, pairs, pairs, modes])
    return torch.tensor([True, False, True, False, True, False, False]).repeat_interleave(sizes)


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _crosstalk(modes: int, pitch_um: float, arm_um: float | None) -> Tensor:
    """`shifters.crosstalk` of all phases of a tile, in the order of its parameters.

    Heaters stand in columns, one per layer for the external and one for the internal phase; rows are modes.
    """
    columns: list[Tensor] = []
    start = 0
    for size in (modes, 0, modes):
        pairs = mesh.interferometers(modes) if size else modes
        layers = mesh.layers(modes) if size else (mesh.Layer(0, modes, 0),)
        for layer in layers:
            stride = 2 if size else 1
            for offset in (pairs, 0):  # phi first, then x
                column = torch.full((modes,), -1)
                numbers = start + offset + layer.start + torch.arange(layer.count)
                column[layer.first : layer.first + stride * layer.count : stride] = numbers
                columns.append(column)
        start += 2 * pairs
    columns.append(start + torch.arange(modes))
    return shifters.crosstalk(torch.stack(columns), pitch_um, arm_um)


def effective(
    parameters: Tensor, section: MeshSection, heaters: HeatersSection, modes: int, chip: OpticalChip | None
) -> Tensor:
    """What a tile multiplies its inputs by, complex: [row_tile, col_tile, input, output]; detectors see the real part.

    On a chip: phases as the heaters hold them, imbalance of every coupler, loss of every interferometer. The digital
    gain makes up for the loss of the mean path.
    """
    phases = held_phases(parameters[..., :-1], heaters, modes, chip)
    parts = split(torch.cat((phases, parameters[..., -1:]), dim=-1), modes)
    tiles, count = parameters.shape[:-1], modes * modes
    if chip is None or chip.severity == 0.0:
        return parts.gain[..., None, None] * matrix(parts).transpose(-1, -2)
    imbalance = chip.normal("coupler", (2, *tiles, count), section.splitter_sigma_rad)
    loss_db = torch.full((*tiles, count), section.loss_db)
    spread = chip.normal("loss", (*tiles, count), section.loss_sigma_db)
    loss_db = loss_db if spread is None else (loss_db + spread).clamp(min=0.0)
    lossless = section.loss_db == 0.0 and spread is None
    found = matrix(
        parts,
        None if imbalance is None else imbalance.to(parameters),
        None if lossless else (10.0 ** (-loss_db / 20.0)).to(parameters),
        field_factor(section.loss_db) if section.matched_edges else 1.0,
    )
    gain = parts.gain / mean_field_factor(section, modes)
    return gain[..., None, None] * found.transpose(-1, -2)


def field_factor(loss_db: float) -> float:
    """10^(-loss / 20)."""
    return math.pow(10.0, -loss_db / 20.0)


def mean_field_factor(section: MeshSection, modes: int) -> float:
    """The loss of the mean path: two meshes and an attenuator; of every path where edges are matched.

    A path crosses all layers of a mesh where edges are matched, else N - 1 interferometers in the mean.
    """
    crossed = len(mesh.layers(modes)) if section.matched_edges else modes - 1
    return field_factor(section.loss_db * (2 * crossed + 1))
