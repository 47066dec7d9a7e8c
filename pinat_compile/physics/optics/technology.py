"""The photonic technologies behind one interface: parameters of tiles, what a read multiplies by, and its noise.

Tiles are batched, [row_tile, col_tile, …]. Inputs count as shares of full scale, weights as shares of the largest that
a column is given, and so do the results of a read; a detector's current is turned into them by what one share times
one share makes in ampere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from pinat_compile.hardware.optics import (
    DetectorSection,
    HeatersSection,
    LaserSection,
    MeshSection,
    ModulatorSection,
    RingsSection,
    TransmissionSection,
)
from pinat_compile.hardware.schema import Target
from pinat_compile.physics.optics import cell_pairs, detector, microring, ring_bank, svd_mesh
from pinat_compile.physics.optics.chip import OpticalChip

Shape = tuple[int, int]
"""Rows and columns of a tile."""


def decibel(power_db: float) -> float:
    """A ratio of powers."""
    return math.pow(10.0, power_db / 10.0)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a read does, y = x ``weights`` + x² ``bend`` + ``offset``, and its fresh noise, as variances of y.

    ``weights`` and ``bend`` [row_tile, col_tile, rows, cols]; ``offset`` [row_tile, col_tile, cols]. ``square``: per
    squared input, ``linear``: per input, shaped like ``weights``; ``constant`` [row_tile, col_tile, cols]: whatever the
    inputs; ``relative``: per squared y. ``None``, 0: nothing of it.
    """

    weights: Tensor
    bend: Tensor | None = None
    offset: Tensor | None = None
    square: Tensor | None = None
    linear: Tensor | None = None
    constant: Tensor | None = None
    relative: float = 0.0


class Technology(Protocol):
    """What a photonic technology supplies. ``unit``: a change of a parameter that changes weights by about 1."""

    @property
    def unit(self) -> float: ...

    def parameters_from_weights(self, tiles: Tensor) -> Tensor:
        """Weights [row_tile, col_tile, rows, cols] as what is set on the chip: [row_tile, col_tile, count]."""

    def weights_from_parameters(self, parameters: Tensor, shape: Shape) -> Tensor:
        """The inverse, on ideal parts."""

    def read(self, parameters: Tensor, shape: Shape, chip: OpticalChip | None) -> Reading:
        """A read of one chip; ``None``: of ideal parts, set by the target's converters. Differentiable."""


def technology_of(target: Target) -> Technology:
    """The technology that ``target`` is built in."""
    laser, modulator, diode = target.laser, target.modulator, target.detector
    assert laser is not None and modulator is not None and diode is not None
    light = Light(laser, modulator, diode, target.array.rows, target.array.cols)
    if target.mesh is not None:
        return Interferometers(target.mesh, target.heaters or HeatersSection(), light)
    if target.rings is not None:
        return Rings(target.rings, target.heaters or HeatersSection(), light)
    assert target.transmission is not None
    return PhaseChangeCells(target.transmission, light)


@dataclass(frozen=True, slots=True)
class Light:
    """The laser, modulators and detectors of an array of ``rows`` inputs and ``cols`` columns."""

    laser: LaserSection
    modulator: ModulatorSection
    diode: DetectorSection
    rows: int
    cols: int

    @property
    def row_w(self) -> float:
        """Power of a full-scale input behind its modulator: an equal share of the laser's, in W."""
        loss = decibel(-self.modulator.loss_db - self.modulator.coupler_db)
        return self.laser.power_mw * 1e-3 * loss / self.rows

    def uneven(self, weights: Tensor, chip: OpticalChip) -> Tensor:
        """Inputs are not equally bright on a chip: weights [row_tile, col_tile, rows, cols] as they are felt."""
        spread = chip.normal("line", (*weights.shape[:2], self.rows), self.laser.line_sigma)
        return weights if spread is None else weights * (1.0 + spread[:, :, : weights.shape[2], None].to(weights))

    def detected(
        self,
        weights: Tensor,
        ideal: Tensor,
        lit: tuple[Tensor, Tensor],
        full_a: float,
        unit_a: float,
        chip: OpticalChip,
    ) -> Reading:
        """A read of incoherent light: ``lit``, the shares of each row's power that reach the two detectors of a column,
        make ``full_a`` ampere where they are 1; a weight of 1 makes ``unit_a``.

        Shot noise comes from all light, the lasers' intensity noise (independent for every wavelength) from what both
        detectors do not share, and a modulator's zero still lets some light through, whose mean is subtracted.
        """
        felt = self.uneven(weights, chip)
        extinction = self.modulator.extinction_db
        leak = 0.0 if extinction is None else decibel(-extinction)
        severity = chip.severity**2
        shot = detector.shot_per_ampere(self.diode) * full_a / unit_a**2 * severity
        linear = (lit[0] + lit[1]).detach() * shot
        dark = detector.dark_and_thermal_a2(self.diode, chip.temperature_k, diodes=2) / unit_a**2 * severity
        intensity = detector.relative_intensity(self.diode) * severity
        return Reading(
            weights=felt,
            offset=None if leak == 0.0 else leak * (felt - ideal).sum(dim=2),
            square=weights.detach().square() * intensity if intensity > 0.0 else None,
            linear=linear if shot > 0.0 else None,
            constant=dark + leak * linear.sum(dim=2),
        )


@dataclass(frozen=True, slots=True)
class Interferometers:
    """Coherent meshes, W = U S V^H per tile; homodyne detection."""

    section: MeshSection
    heaters: HeatersSection
    light: Light

    @property
    def unit(self) -> float:
        return 1.0

    @property
    def modes(self) -> int:
        return max(self.light.rows, self.light.cols)

    def parameters_from_weights(self, tiles: Tensor) -> Tensor:
        return svd_mesh.parameters_from_weights(tiles, self.modes)

    def weights_from_parameters(self, parameters: Tensor, shape: Shape) -> Tensor:
        return svd_mesh.weights_from_parameters(parameters, self.modes)[..., : shape[0], : shape[1]]

    def read(self, parameters: Tensor, shape: Shape, chip: OpticalChip | None) -> Reading:
        """Reference light makes i = 2 R sqrt(P_LO P) Re(W x): its shot noise is there without inputs, and as inputs and
        reference come from one laser, its intensity noise multiplies the result.

        A modulator of extinction ER writes x + i sqrt((1 - x²) / ER): a detector sees the imaginary part of W too. What
        it sees without inputs is measured and subtracted; -x² / 2 of the root stays.
        """
        field = svd_mesh.effective(parameters, self.section, self.heaters, self.modes, chip)
        field = field[..., : shape[0], : shape[1]]
        if chip is None:
            return Reading(field.real)
        diode, extinction = self.light.diode, self.light.modulator.extinction_db
        assert diode.local_oscillator_mw is not None
        reference_w = diode.local_oscillator_mw * 1e-3
        lossless_a = 2.0 * diode.responsivity_a_per_w * math.sqrt(reference_w * self.light.row_w)
        mean = svd_mesh.mean_field_factor(self.section, self.modes)
        unit_a = lossless_a * mean / parameters[..., -1].detach().abs()  # [row_tile, col_tile]
        variance = detector.shot_per_ampere(diode) * diode.responsivity_a_per_w * reference_w
        variance += detector.dark_and_thermal_a2(diode, chip.temperature_k, diodes=2)
        constant = (chip.severity**2 * variance / unit_a.square()).unsqueeze(-1).expand(*unit_a.shape, shape[1])
        leak = 0.0 if extinction is None else math.sqrt(decibel(-extinction))
        return Reading(
            weights=self.light.uneven(field.real, chip),
            bend=None if leak == 0.0 else 0.5 * leak * field.imag,
            constant=constant,
            relative=chip.severity**2 * detector.relative_intensity(diode),
        )


@dataclass(frozen=True, slots=True)
class Rings:
    """Microring weight banks, a wavelength per row, a bus with two detectors per column."""

    section: RingsSection
    heaters: HeatersSection
    light: Light

    @property
    def unit(self) -> float:
        steepest = microring.steepest(self.section.coupling, self.section.round_trip)
        return ring_bank.largest_weight(self.section) / steepest

    def parameters_from_weights(self, tiles: Tensor) -> Tensor:
        return ring_bank.parameters_from_weights(tiles, self.section)

    def weights_from_parameters(self, parameters: Tensor, shape: Shape) -> Tensor:
        return ring_bank.weights_from_parameters(parameters, self.section, *shape)

    def read(self, parameters: Tensor, shape: Shape, chip: OpticalChip | None) -> Reading:
        dropped, passed = ring_bank.held_powers(parameters, self.section, self.heaters, shape, chip)
        largest = ring_bank.largest_weight(self.section)
        weights = (dropped - passed) / largest
        if chip is None:
            return Reading(weights)
        past = decibel(-self.section.pass_loss_db * (self.light.rows - 1))
        full_a = self.light.diode.responsivity_a_per_w * self.light.row_w * past / self.light.cols
        ideal = ring_bank.weights_from_parameters(parameters.detach(), self.section, *shape)
        return self.light.detected(weights, ideal, (dropped, passed), full_a, full_a * largest, chip)


@dataclass(frozen=True, slots=True)
class PhaseChangeCells:
    """Pairs of phase-change cells, a wavelength per row, a detector per column of cells."""

    section: TransmissionSection
    light: Light

    @property
    def unit(self) -> float:
        return 1.0

    def parameters_from_weights(self, tiles: Tensor) -> Tensor:
        return cell_pairs.parameters_from_weights(tiles)

    def weights_from_parameters(self, parameters: Tensor, shape: Shape) -> Tensor:
        return cell_pairs.weights_from_parameters(parameters, *shape)

    def read(self, parameters: Tensor, shape: Shape, chip: OpticalChip | None) -> Reading:
        held = cell_pairs.held_transmissions(parameters, self.section, shape, chip)
        span = self.section.t_max - self.section.t_min
        weights = (held[..., 0] - held[..., 1]) / span
        if chip is None:
            return Reading(weights)
        past = decibel(-self.section.crossing_loss_db * (self.light.rows - 1))
        full_a = self.light.diode.responsivity_a_per_w * self.light.row_w * past / self.light.cols
        ideal = cell_pairs.weights_from_parameters(parameters.detach(), *shape)
        return self.light.detected(weights, ideal, (held[..., 0], held[..., 1]), full_a, full_a * span, chip)
