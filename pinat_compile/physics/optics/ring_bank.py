"""A block of weights on microrings: a bank of rings per column, a wavelength per row, balanced detection.

Incoherent: inputs are powers, 0 or more; each ring splits its wavelength between the two detectors of its column, so
that weights have either sign. Parameters of a tile are its detunings in rad, [rows * cols].
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from pinat_compile.hardware.optics import HeatersSection, RingsSection
from pinat_compile.physics.converters import round_clip
from pinat_compile.physics.optics import microring, shifters
from pinat_compile.physics.optics.chip import OpticalChip

CORRECTIONS = 50
"""Steps in which detunings are corrected for the tails of neighbouring wavelengths."""


@lru_cache(maxsize=64)
def largest_weight(section: RingsSection) -> float:
    """The largest weight of either sign that a ring reaches: a weight of 1 stands there.

    Whatever its neighbours are set to: all of them on resonance, or all of them as far off as heaters go.
    """
    low, high = microring.weight_range(section.coupling, section.round_trip)
    alone = min(-low, high)
    if section.channel_rad is None:
        return alone
    around = torch.tensor([0.0, section.span_rad], dtype=torch.float64)
    bank = around.repeat(2 * section.neighbours + 1, 2)  # [rings, neighbours on and off, twice]
    bank[section.neighbours] = torch.tensor([0.0, 0.0, section.span_rad, section.span_rad])
    reached = _balanced(bank, section)[section.neighbours]
    return float(torch.minimum(reached[:2].min(), -reached[2:].max()))


def parameters_from_weights(tiles: Tensor, section: RingsSection) -> Tensor:
    """Weights in [-1, 1] [..., rows, cols] as detunings [..., rows * cols] in [0, span_rad].

    Where neighbouring wavelengths reach a ring, detunings are corrected until the weights come out, as far as they can.
    """
    wanted = tiles.detach().double() * largest_weight(section)
    asked = wanted.clone()
    for _ in range(CORRECTIONS if section.channel_rad is not None else 1):
        detuning = _detuning(asked, section)
        missed = wanted - _balanced(detuning, section)
        if float(missed.abs().max()) < 1e-9:
            break
        asked = asked + 0.7 * missed
    return detuning.flatten(-2)


def _detuning(wanted: Tensor, section: RingsSection) -> Tensor:
    return microring.detuning(wanted, section.coupling, section.round_trip).clamp(0.0, section.span_rad)


def weights_from_parameters(parameters: Tensor, section: RingsSection, rows: int, cols: int) -> Tensor:
    """The weights [..., rows, cols] of ideal rings at these detunings: the inverse of `parameters_from_weights`."""
    return _balanced(parameters.reshape(*parameters.shape[:-1], rows, cols), section) / largest_weight(section)


def powers(detuning: Tensor, section: RingsSection) -> tuple[Tensor, Tensor]:
    """What a column's two detectors get of each row's wavelength, [..., rows, cols] each: dropped, passed.

    Wavelength i meets the rings of its column one after the other; ring k is detuned from it by its own detuning plus
    ``channel_rad`` (k - i). Rings further away than ``neighbours`` are taken to let it pass.
    """
    r, a = section.coupling, section.round_trip
    if section.channel_rad is None:
        return microring.drop(detuning, r, a), microring.through(detuning, r, a)
    passed: Tensor = torch.ones_like(detuning)
    dropped: Tensor = torch.zeros_like(detuning)
    for away in range(-section.neighbours, section.neighbours + 1):
        met = _shifted(detuning, away) + away * section.channel_rad
        there = _shifted(torch.ones_like(detuning), away)
        dropped = dropped + passed * microring.drop(met, r, a) * there
        passed = passed * torch.where(there > 0, microring.through(met, r, a), 1.0)
    return dropped, passed


def _shifted(x: Tensor, away: int) -> Tensor:
    """Row i holds row i + away of ``x`` [..., rows, cols]; 0 beyond the ends."""
    rows = x.shape[-2]
    inside = x[..., max(away, 0) : rows + min(away, 0), :]
    return torch.nn.functional.pad(inside, (0, 0, max(-away, 0), max(away, 0)))


def _balanced(detuning: Tensor, section: RingsSection) -> Tensor:
    dropped, passed = powers(detuning, section)
    return dropped - passed


def held_powers(
    parameters: Tensor, section: RingsSection, heaters: HeatersSection, shape: tuple[int, int], chip: OpticalChip | None
) -> tuple[Tensor, Tensor]:
    """`powers` of rings [row_tile, col_tile, rows, cols] as their heaters hold them.

    In this order: settings that make up for crosstalk, converter (2**bits levels over the span), crosstalk, error of
    each detuning, drift of the resonances with temperature.
    """
    setting, tiles = parameters.clamp(0.0, section.span_rad), (*parameters.shape[:-1], *shape)
    if chip is None:
        return powers(_converted(setting, section, heaters).reshape(tiles), section)
    coupled = None
    if heaters.pitch_um is not None:
        grid = torch.arange(shape[0] * shape[1]).reshape(shape)
        coupled = shifters.crosstalk(grid, heaters.pitch_um, heaters.arm_um)
        if heaters.compensated:
            made_up = shifters.compensated(setting.detach(), coupled, both_arms=True)
            setting = shifters.instead(setting, made_up)
    held = _converted(setting, section, heaters)
    if coupled is not None:
        warmed = shifters.heated(held, coupled)
        held = warmed if heaters.compensated else held + chip.severity * (warmed - held)
    error = chip.normal("detuning", tuple(held.shape), heaters.phase_sigma_rad)
    held = held if error is None else held + error.to(held)
    return powers((held + drift_rad(section, chip.temperature_k)).reshape(tiles), section)


def _converted(setting: Tensor, section: RingsSection, heaters: HeatersSection) -> Tensor:
    if heaters.bits is None:
        return setting
    top = (1 << heaters.bits) - 1
    return round_clip(setting * (top / section.span_rad), -top, 2 * top) * (section.span_rad / top)


def drift_rad(section: RingsSection, temperature_k: float) -> float:
    """What is left of the resonances' shift away from 300 K, in rad of the round trip."""
    if section.shift_nm_per_k is None:
        return 0.0
    shift_nm = section.shift_nm_per_k * (1.0 - section.locked) * (temperature_k - 300.0)
    return microring.shift_rad(shift_nm, section.wavelength_nm, section.group_index, section.radius_um)
