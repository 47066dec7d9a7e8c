"""What a target file may say: one frozen dataclass per TOML section, each field with its unit and its allowed values.

A target has two levels, ``section.key``. A section that is absent is ``None``: the chip does not have that effect.
A key that may be left out is ``None`` when it is. Sections check themselves when they are made (TargetError).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from pinat_compile.errors import TargetError
from pinat_compile.hardware.checks import Between, Section
from pinat_compile.hardware.device import CellSection as CellSection
from pinat_compile.hardware.device import Count, NotNegative, Positive, Share
from pinat_compile.hardware.device import Device as Device
from pinat_compile.hardware.device import DriftSection as DriftSection
from pinat_compile.hardware.device import MismatchSection as MismatchSection
from pinat_compile.hardware.device import NonlinearitySection as NonlinearitySection
from pinat_compile.hardware.device import ProgrammingSection as ProgrammingSection
from pinat_compile.hardware.device import ReadNoiseSection as ReadNoiseSection
from pinat_compile.hardware.device import RelaxationSection as RelaxationSection
from pinat_compile.hardware.device import StuckSection as StuckSection
from pinat_compile.hardware.device import TelegraphSection as TelegraphSection
from pinat_compile.hardware.device import TemperatureSection as TemperatureSection
from pinat_compile.hardware.device import WriteVerifySection as WriteVerifySection

Percentile = Annotated[float, Between(0.0, 100.0, above=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArraySection(Section):
    """One physical array: word lines (rows) and device columns."""

    section: ClassVar[str] = "array"
    rows: Count
    cols: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsSection(Section):
    """How signed weights are written: integers of ``bits`` bits by a scheme, cut into slices of ``cell.bits``.

    ``bits = None`` is a target without quantisation. differential: sign and magnitude on pairs of devices.
    bias: offset binary on single devices. ``flip`` stores complemented columns (ISAAC's data encoding).
    """

    section: ClassVar[str] = "weights"
    scheme: Literal["differential", "bias"]
    bits: Annotated[int, Between(1, 16)] | None = None
    flip: bool = False

    def check(self) -> None:
        if self.bits == 1:
            raise self.wrong("bits", "a weight needs a sign and a magnitude", "try weights.bits = 2")
        if self.flip and self.scheme != "bias":
            raise self.wrong("flip", "only the bias scheme has complemented columns", 'set weights.scheme = "bias"')


@dataclass(frozen=True, slots=True, kw_only=True)
class DacSection(Section):
    """Input conversion. amplitude: one step of ``bits`` bits. bit_serial: two's complement, ``step_bits`` per step.

    ``bits = None``: inputs are not quantised.
    """

    section: ClassVar[str] = "dac"
    bits: Annotated[int, Between(1, 16)] | None = None
    encoding: Literal["amplitude", "bit_serial"] = "amplitude"
    step_bits: Annotated[int, Between(1, 16)] = 1

    def check(self) -> None:
        if self.bits == 1:
            raise self.wrong("bits", "inputs have a sign, which leaves one bit no magnitude", "try dac.bits = 2")
        if self.encoding == "bit_serial":
            if self.bits is None:
                raise self.wrong("encoding", "bit-serial inputs need dac.bits", "set dac.bits = 8, say")
            if self.step_bits > self.bits:
                raise self.wrong("step_bits", f"must not exceed dac.bits = {self.bits}")

    @property
    def steps(self) -> int:
        """Input steps per matrix-vector product."""
        if self.encoding == "amplitude" or self.bits is None:
            return 1
        return -(-self.bits // self.step_bits)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdcSection(Section):
    """Output conversion, one per weight column (of each slice) and row tile.

    ``bits = None``: none. range ``full``: one step is one integer unit, or as many as the largest sum needs.
    range ``calibrated``: the mapping section's share of what calibration data produces.
    """

    section: ClassVar[str] = "adc"
    bits: Annotated[int, Between(1, 32)] | None = None
    range: Literal["full", "calibrated"] = "full"

    def check(self) -> None:
        if self.bits is None and self.range == "calibrated":
            raise self.wrong("range", "there is no converter to calibrate without adc.bits", "set adc.bits = 8, say")


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSection(Section):
    """Sensing error of a column, fixed for a chip: relative gain, and offset as a fraction of the ADC's full scale."""

    section: ClassVar[str] = "column"
    gain_sigma: Share = 0.0
    offset_sigma: Share = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WiresSection(Section):
    """Resistance of one segment of a word line and of a bit line: between neighbouring cells, driver and ground.

    Read noise is that of devices at the full voltage; non-linear devices are refused.
    """

    section: ClassVar[str] = "wires"
    row_ohm: NotNegative
    col_ohm: NotNegative


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingSection(Section):
    """Range management, the compiler's largest lever on accuracy: measured defaults, to be overridden per run.

    ``clip``: where the largest integer weight stands. ``none``: at the largest weight. ``rms``: at ``clip_rms`` times
    the rms of the weights. ``expected_error``: where rounding, clipping and the devices' noise together add least to
    the output, for the measured inputs. ``per_column``: one weight scale per output, else one per matrix.
    ``dac_percentile``: the input's magnitude at the DAC's full scale. ``adc_percentile``, ``adc_share``: the ADC's full
    scale is this share of this percentile of the magnitude of a tile's column sums.
    """

    section: ClassVar[str] = "mapping"
    clip: Literal["none", "rms", "expected_error"] = "none"
    clip_rms: Annotated[float, Between(0.0, 100.0, above=True)] | None = None
    per_column: bool = True
    dac_percentile: Percentile = 100.0
    adc_percentile: Percentile = 100.0
    adc_share: Annotated[float, Between(0.0, 10.0, above=True)] = 1.0

    def check(self) -> None:
        if self.clip == "rms" and self.clip_rms is None:
            raise self.wrong("clip_rms", 'is needed with mapping.clip = "rms"', "try mapping.clip_rms = 3")
        if self.clip != "rms" and self.clip_rms is not None:
            raise self.wrong("clip_rms", f'has no effect with mapping.clip = "{self.clip}"', 'set mapping.clip = "rms"')


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergySection(Section):
    """Energy per event. Array energy is V² · G · t of every driven device.

    ``dac_pj`` per row and input step, ``adc_pj`` and ``sample_hold_pj`` per conversion, ``shift_add_pj`` per partial
    sum added, ``digital_add_pj`` / ``digital_mul_pj`` per digital operation of the affine and of digital operators,
    ``buffer_pj_per_byte`` per byte read or written between layers, ``write_pj`` per programmed device.
    A key left out is not counted, and the report says so.
    """

    section: ClassVar[str] = "energy"
    read_voltage_v: Annotated[float, Between(0.0, 10.0, above=True)] | None = None
    read_pulse_ns: Positive | None = None
    dac_pj: NotNegative | None = None
    adc_pj: NotNegative | None = None
    sample_hold_pj: NotNegative | None = None
    shift_add_pj: NotNegative | None = None
    digital_add_pj: NotNegative | None = None
    digital_mul_pj: NotNegative | None = None
    buffer_pj_per_byte: NotNegative | None = None
    write_pj: NotNegative | None = None

    def check(self) -> None:
        for key, other in (("read_voltage_v", "read_pulse_ns"), ("read_pulse_ns", "read_voltage_v")):
            if getattr(self, key) is not None and getattr(self, other) is None:
                raise self.wrong(key, f"the array's energy needs energy.{other} as well", f"set energy.{other}")


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
    write_verify: WriteVerifySection | None = None
    drift: DriftSection | None = None
    relaxation: RelaxationSection | None = None
    temperature: TemperatureSection | None = None
    mismatch: MismatchSection | None = None
    stuck: StuckSection | None = None
    read_noise: ReadNoiseSection | None = None
    telegraph: TelegraphSection | None = None
    nonlinearity: NonlinearitySection | None = None
    column: ColumnSection | None = None
    wires: WiresSection | None = None
    energy: EnergySection | None = None
    sources: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", self.name) or ".." in self.name:
            raise TargetError(
                f"name = {self.name!r}: folders are called after it: letters, digits, _ . and - (no ..), 100 at most",
                hint='try name = "my_chip"',
            )
        if self.technology != "crossbar":
            raise TargetError(f'technology = "{self.technology}": must be "crossbar"')
        if (self.weights.bits is None) != (self.cell.bits is None):
            raise TargetError(
                f"weights.bits = {self.weights.bits}, cell.bits = {self.cell.bits}: "
                "weights and cells are quantised together",
                hint="give both, or leave both out for a target without quantisation",
            )
        if self.dac.encoding == "bit_serial" and self.dac.step_bits != 1:
            raise TargetError(
                f"dac.step_bits = {self.dac.step_bits}: only steps of one bit are simulated", hint="leave it out"
            )
        if self.adc.bits == 1 and not (self.weights.scheme == "bias" and self.dac.encoding == "bit_serial"):
            raise TargetError("adc.bits = 1: sums have a sign, one bit leaves no magnitude", hint="try adc.bits = 2")
        if self.adc.bits is not None and self.adc.range == "full" and self.dac.bits is None:
            raise TargetError(
                'adc.range = "full": without dac.bits there is no largest sum to take it from',
                hint='set adc.range = "calibrated", or dac.bits',
            )
        if self.cells_per_weight > self.array.cols:
            raise TargetError(
                f"weights.bits = {self.weights.bits}: one weight needs {self.cells_per_weight} cells side by side, "
                f"more than array.cols = {self.array.cols}",
                hint="raise cell.bits or array.cols, or lower weights.bits",
            )

        if self.write_verify is not None and (self.programming is None or len(self.programming.times_s) > 1):
            raise TargetError(
                "write_verify: needs the error of a single attempt: a programming section at one time",
                hint="--set write_verify=none leaves it out",
            )

        if self.nonlinearity is not None and self.dac.bits is None:
            raise TargetError(
                "nonlinearity: needs a largest input, whose voltage is full_scale_v", hint="set dac.bits = 8, say"
            )
        if self.nonlinearity is not None and self.wires is not None:
            raise TargetError(
                "nonlinearity: devices behind resistive wires no longer see the inputs' voltages",
                hint="--set wires=none leaves the wires out",
            )

    @property
    def slices(self) -> int:
        """Slices per weight: ceil(magnitude bits / cell bits); 1 without quantisation."""
        if self.weights.bits is None or self.cell.bits is None:
            return 1
        magnitude = self.weights.bits - (1 if self.weights.scheme == "differential" else 0)
        return -(-magnitude // self.cell.bits)

    @property
    def cells_per_weight(self) -> int:
        """Devices per weight: slices, times two where the scheme is differential."""
        return self.slices * (2 if self.weights.scheme == "differential" else 1)

    @property
    def device(self) -> Device:
        return Device(
            cell=self.cell,
            programming=self.programming,
            mismatch=self.mismatch,
            stuck=self.stuck,
            read_noise=self.read_noise,
            write_verify=self.write_verify,
            drift=self.drift,
            relaxation=self.relaxation,
            temperature=self.temperature,
            telegraph=self.telegraph,
            nonlinearity=self.nonlinearity,
        )

    @property
    def t0_s(self) -> float:
        """The first time of interest, in seconds since programming; the default of every time."""
        return self.device.t0_s
