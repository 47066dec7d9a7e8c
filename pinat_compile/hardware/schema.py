"""What a target file may say: one frozen dataclass per TOML section, each field with its unit and its allowed values.

A target has two levels, ``section.key``. A section that is absent is ``None``: the chip does not have that effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class ArraySection:
    """One physical array: word lines (rows) and device columns."""

    rows: int
    cols: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CellSection:
    """One device: the conductances it is programmed to, 2**bits equidistant levels from g_min to g_max."""

    bits: int
    g_min_us: float
    g_max_us: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsSection:
    """How signed weights are written: integers of ``bits`` bits by a scheme, cut into slices of ``cell.bits``.

    ``bits = None`` is a target without quantisation. differential: sign and magnitude on pairs of devices.
    bias: offset binary on single devices. ``flip`` stores complemented columns (ISAAC's data encoding).
    """

    scheme: Literal["differential", "bias"]
    bits: int | None = None
    flip: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DacSection:
    """Input conversion. amplitude: one step of ``bits`` bits. bit_serial: two's complement, ``step_bits`` per step.

    ``bits = None``: inputs are not quantised.
    """

    bits: int | None = None
    encoding: Literal["amplitude", "bit_serial"] = "amplitude"
    step_bits: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AdcSection:
    """Output conversion, one per weight column (of each slice) and row tile.

    ``bits = None``: none. range ``full``: one step is one integer unit, or as many as the largest sum needs.
    range ``calibrated``: the mapping section's share of what calibration data produces.
    """

    bits: int | None = None
    range: Literal["full", "calibrated"] = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgrammingSection:
    """Programming error: standard deviation in µS as a polynomial in x = g / g_max, at one or more times after programming.

    ``coefficients[k]`` holds c0, c1, … at ``times_s[k]``, for a device of ``reference_g_max_us``; sigma scales with
    g_max. Between the times sigma is interpolated in ln t and held outside them. One standard draw per device serves all
    times: the total deviation from the target grows or shrinks with sigma.
    """

    model: Literal["polynomial"]
    times_s: tuple[float, ...]
    coefficients: tuple[tuple[float, ...], ...]
    reference_g_max_us: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MismatchSection:
    """Device-to-device gain error, fixed for a chip: g * exp(sigma * xi) or g * (1 + sigma * xi)."""

    model: Literal["lognormal", "gaussian"]
    sigma: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckSection:
    """Probability that a device is stuck at its lowest or highest conductance."""

    at_g_min: float = 0.0
    at_g_max: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadNoiseSection:
    """Noise of a device, fresh in every MVM: Gaussian of ``sigma_fraction`` * g_max whatever the state."""

    model: Literal["constant"]
    sigma_fraction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSection:
    """Sensing error of a column, fixed for a chip: relative gain, and offset as a fraction of the ADC's full scale."""

    gain_sigma: float = 0.0
    offset_sigma: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingSection:
    """Range management, the compiler's largest lever on accuracy: measured defaults, to be overridden per run.

    ``clip_rms``: the largest integer weight stands at this many rms of its column (``None``: at the largest weight).
    ``per_column``: one weight scale per output, else one per matrix. ``dac_percentile``: the input's magnitude at
    the DAC's full scale. ``adc_percentile``, ``adc_share``: the ADC's full scale is this share of this percentile of
    the magnitude of a tile's column sums.
    """

    clip_rms: float | None = None
    per_column: bool = True
    dac_percentile: float = 100.0
    adc_percentile: float = 100.0
    adc_share: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergySection:
    """Energy per event. Array energy is V² · G · t of every driven device.

    ``dac_pj`` per row and input step, ``adc_pj`` and ``sample_hold_pj`` per converted column, ``shift_add_pj`` per partial
    sum added, ``digital_add_pj`` / ``digital_mul_pj`` per digital operation of the affine and of digital operators,
    ``buffer_pj_per_byte`` per byte read or written between layers, ``write_pj`` per programmed device.
    A key left out is not counted, and the report says so.
    """

    read_voltage_v: float | None = None
    read_pulse_ns: float | None = None
    dac_pj: float | None = None
    adc_pj: float | None = None
    sample_hold_pj: float | None = None
    shift_add_pj: float | None = None
    digital_add_pj: float | None = None
    digital_mul_pj: float | None = None
    buffer_pj_per_byte: float | None = None
    write_pj: float | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """The device of a target: its cell and every model of what is not ideal in it."""

    cell: CellSection
    programming: ProgrammingSection | None = None
    mismatch: MismatchSection | None = None
    stuck: StuckSection | None = None
    read_noise: ReadNoiseSection | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One chip: data, nothing else. ``sources`` maps ``section.key`` to where the value comes from."""

    name: str
    technology: Literal["crossbar"]
    title: str
    array: ArraySection
    cell: CellSection
    weights: WeightsSection
    dac: DacSection
    adc: AdcSection
    mapping: MappingSection = field(default_factory=MappingSection)
    programming: ProgrammingSection | None = None
    mismatch: MismatchSection | None = None
    stuck: StuckSection | None = None
    read_noise: ReadNoiseSection | None = None
    column: ColumnSection | None = None
    energy: EnergySection | None = None
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def device(self) -> Device:
        return Device(self.cell, self.programming, self.mismatch, self.stuck, self.read_noise)
