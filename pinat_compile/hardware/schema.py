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
from pinat_compile.hardware.chip import AreaSection as AreaSection
from pinat_compile.hardware.chip import ChipSection as ChipSection
from pinat_compile.hardware.chip import ConverterSection as ConverterSection
from pinat_compile.hardware.chip import LayoutSection as LayoutSection
from pinat_compile.hardware.chip import LeakageSection as LeakageSection
from pinat_compile.hardware.chip import PowerSection as PowerSection
from pinat_compile.hardware.chip import TimingSection as TimingSection
from pinat_compile.hardware.device import CellSection as CellSection
from pinat_compile.hardware.device import Count, NotNegative, Positive
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
from pinat_compile.hardware.optics import DetectorSection as DetectorSection
from pinat_compile.hardware.optics import HeatersSection as HeatersSection
from pinat_compile.hardware.optics import LaserSection as LaserSection
from pinat_compile.hardware.optics import MeshSection as MeshSection
from pinat_compile.hardware.optics import ModulatorSection as ModulatorSection
from pinat_compile.hardware.optics import RingsSection as RingsSection
from pinat_compile.hardware.optics import TransmissionSection as TransmissionSection
from pinat_compile.hardware.periphery import AdcSection as AdcSection
from pinat_compile.hardware.periphery import AmplifierSection as AmplifierSection
from pinat_compile.hardware.periphery import CircuitNoiseSection as CircuitNoiseSection
from pinat_compile.hardware.periphery import ColumnSection as ColumnSection
from pinat_compile.hardware.periphery import DacSection as DacSection
from pinat_compile.hardware.periphery import WiresSection as WiresSection
from pinat_compile.hardware.technologies import TECHNOLOGIES

Percentile = Annotated[float, Between(0.0, 100.0, above=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArraySection(Section):
    """One physical array: word lines (rows) and device columns.

    ``rows_on``: so many rows are driven at a time, one group after the other, each with its conversions; the others'
    access transistors are off. ``None``: all at once.
    """

    section: ClassVar[str] = "array"
    rows: Count
    cols: Count
    rows_on: Count | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsSection(Section):
    """How signed weights are written: integers of ``bits`` bits by a scheme, cut into slices of ``cell.bits``.

    ``bits = None`` is a target without quantisation, or one of optics, whose weights are quantised where they are set.
    signed: what holds a weight gives it its sign (interferometers, rings). differential: sign and magnitude on pairs of
    devices; of a pair, one device stands at g_min, or where ``two_sided`` both move from the middle of the range in
    opposite directions.
    bias: offset binary on single devices, the bias subtracted digitally; ``flip`` stores complemented columns (ISAAC's
    data encoding). offset: the same, the bias subtracted by a reference column of each slice and array, in currents.
    """

    section: ClassVar[str] = "weights"
    scheme: Literal["differential", "bias", "offset", "signed"]
    bits: Annotated[int, Between(1, 16)] | None = None
    flip: bool = False
    two_sided: bool = False

    def check(self) -> None:
        if self.bits == 1:
            raise self.wrong("bits", "a weight needs a sign and a magnitude", "try weights.bits = 2")
        if self.flip and self.scheme != "bias":
            raise self.wrong("flip", "only the bias scheme has complemented columns", 'set weights.scheme = "bias"')
        if self.two_sided and self.scheme != "differential":
            raise self.wrong("two_sided", "only pairs have two sides", 'set weights.scheme = "differential"')


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
    ``write_pj`` per programmed device. ``dac_per``: drivers that send an input as a train of pulses take ``dac_pj`` for
    every ``bit`` of its magnitude. ``dac_at_bits``: ``dac_pj`` is that of a driver of so many bits, twice as much for
    each more (the table of MNSIM 2.0: 7.8 uW at 2 bits to 124.8 uW at 6); left out, it is the same at any bits. Per
    byte: ``register`` into or out of an array, ``buffer`` read or written in a tile's buffer, ``bus`` between buffer
    and cores, ``hop`` from a tile to the next, ``io`` onto or off a chip.
    A key left out is not counted, and the report says so.
    """

    section: ClassVar[str] = "energy"
    read_voltage_v: Annotated[float, Between(0.0, 10.0, above=True)] | None = None
    read_pulse_ns: Positive | None = None
    dac_pj: NotNegative | None = None
    dac_per: Literal["step", "bit"] = "step"
    dac_at_bits: Annotated[int, Between(1, 32)] | None = None
    adc_pj: NotNegative | None = None
    sample_hold_pj: NotNegative | None = None
    shift_add_pj: NotNegative | None = None
    digital_add_pj: NotNegative | None = None
    digital_mul_pj: NotNegative | None = None
    register_pj_per_byte: NotNegative | None = None
    buffer_pj_per_byte: NotNegative | None = None
    bus_pj_per_byte: NotNegative | None = None
    hop_pj_per_byte: NotNegative | None = None
    io_pj_per_byte: NotNegative | None = None
    write_pj: NotNegative | None = None

    def check(self) -> None:
        for key, other in (("read_voltage_v", "read_pulse_ns"), ("read_pulse_ns", "read_voltage_v")):
            if getattr(self, key) is not None and getattr(self, other) is None:
                raise self.wrong(key, f"the array's energy needs energy.{other} as well", f"set energy.{other}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One chip: data, nothing else. ``sources`` maps ``section.key`` to where the value comes from."""

    name: str
    technology: Literal["crossbar", "mzi_mesh", "microring_bank", "optical_crossbar"]
    title: str
    array: ArraySection
    weights: WeightsSection
    dac: DacSection
    adc: AdcSection
    mapping: MappingSection = field(default_factory=MappingSection)
    cell: CellSection | None = None
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
    amplifier: AmplifierSection | None = None
    circuit_noise: CircuitNoiseSection | None = None
    wires: WiresSection | None = None
    chip: ChipSection | None = None
    timing: TimingSection | None = None
    converter: ConverterSection | None = None
    laser: LaserSection | None = None
    modulator: ModulatorSection | None = None
    mesh: MeshSection | None = None
    heaters: HeatersSection | None = None
    rings: RingsSection | None = None
    transmission: TransmissionSection | None = None
    detector: DetectorSection | None = None
    energy: EnergySection | None = None
    leakage: LeakageSection | None = None
    area: AreaSection | None = None
    power: PowerSection | None = None
    layout: LayoutSection = field(default_factory=LayoutSection)
    sources: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", self.name) or ".." in self.name:
            raise TargetError(
                f"name = {self.name!r}: folders are called after it: letters, digits, _ . and - (no ..), 100 at most",
                hint='try name = "my_chip"',
            )
        self._check_technology()
        if self.cell is not None and (self.weights.bits is None) != (self.cell.bits is None):
            raise TargetError(
                f"weights.bits = {self.weights.bits}, cell.bits = {self.cell.bits}: "
                "weights and cells are quantised together",
                hint="give both, or leave both out for a target without quantisation",
            )
        unsigned = self.weights.scheme == "bias" and not self.dac.converted_at_once
        if self.adc.bits == 1 and not unsigned:
            raise TargetError("adc.bits = 1: sums have a sign, one bit leaves no magnitude", hint="try adc.bits = 2")
        if self.adc.bits is not None and self.adc.range == "full" and self.dac.bits is None:
            raise TargetError(
                'adc.range = "full": without dac.bits there is no largest sum to take it from',
                hint='set adc.range = "calibrated", or dac.bits',
            )
        if self.cells_per_weight + self.reference_columns > self.array.cols:
            beside = f" beside {self.reference_columns} reference columns" if self.reference_columns else ""
            raise TargetError(
                f"weights.bits = {self.weights.bits}: one weight needs {self.cells_per_weight} cells side by side"
                f"{beside}, more than array.cols = {self.array.cols}",
                hint="raise cell.bits or array.cols, or lower weights.bits",
            )
        if not self.optical and self.weights.bits is None and (
            self.weights.scheme != "differential" or self.weights.two_sided
        ):
            raise TargetError(
                f'weights.scheme = "{self.weights.scheme}": continuous conductances are written on pairs, one-sided',
                hint="give weights.bits and cell.bits",
            )
        if self.amplifier is not None and self.adc.bits is None:
            raise TargetError(
                "amplifier: its curve is in full scales of an ADC, and there is none", hint="set adc.bits = 8, say"
            )
        if self.circuit_noise is not None and self.dac.bits is None:
            raise TargetError(
                "circuit_noise: needs a largest input, whose voltage is full_scale_v", hint="set dac.bits = 8, say"
            )
        volts = {section.full_scale_v for section in (self.circuit_noise, self.nonlinearity) if section is not None}
        if len(volts) > 1:
            raise TargetError(
                f"circuit_noise.full_scale_v, nonlinearity.full_scale_v = {sorted(volts)}: one input has one voltage",
                hint="give both the same",
            )
        if self.wires is not None and self.weights.scheme == "offset":
            raise TargetError(
                'weights.scheme = "offset": reference columns have no place among resistive wires yet',
                hint='--set wires=none leaves the wires out; or weights.scheme = "bias" or "differential"',
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
        if self.chip is None and (self.layout.place or self.layout.replicate is not None):
            key = "place" if self.layout.place else "replicate"
            raise TargetError(f"layout.{key}: needs to know the board", hint="give a [chip] section, as isaac has")

        if self.nonlinearity is not None and self.wires is not None:
            raise TargetError(
                "nonlinearity: devices behind resistive wires no longer see the inputs' voltages",
                hint="--set wires=none leaves the wires out",
            )

    def _check_technology(self) -> None:
        """That the sections are those of the technology, and that inputs and weights are what it can take."""
        if self.technology not in TECHNOLOGIES:
            known = ", ".join(f'"{name}"' for name in TECHNOLOGIES)
            raise TargetError(f'technology = "{self.technology}": must be one of {known}')
        technology = TECHNOLOGIES[self.technology]
        for section in technology.needs:
            if getattr(self, section) is None:
                raise TargetError(f"section [{section}] is missing", hint=f'technology = "{self.technology}" needs it')
        for other in TECHNOLOGIES.values():
            for section in sorted(other.sections - technology.sections):
                if getattr(self, section) is not None:
                    raise TargetError(
                        f'section [{section}]: technology = "{self.technology}" has no such parts',
                        hint=f"take [{section}] out",
                    )
        if self.weights.scheme not in technology.schemes:
            allowed = " or ".join(f'"{scheme}"' for scheme in technology.schemes)
            raise TargetError(
                f'weights.scheme = "{self.weights.scheme}": technology = "{self.technology}" writes weights otherwise',
                hint=f"set weights.scheme = {allowed}",
            )
        if self.optical:
            self._check_optics(technology.coherent)

    def _check_optics(self, coherent: bool) -> None:
        if self.weights.bits is not None:
            raise TargetError(
                f"weights.bits = {self.weights.bits}: optics quantises what it sets, not weights",
                hint="leave it out; give heaters.bits or transmission.bits",
            )
        assert self.detector is not None
        if coherent != (self.detector.local_oscillator_mw is not None):
            why = "a sign needs reference light" if coherent else "powers are detected without reference light"
            raise TargetError(f"detector.local_oscillator_mw: {why}", hint="give it" if coherent else "leave it out")
        if coherent == (self.dac.encoding == "two_pass") or self.dac.encoding == "bit_serial":
            wanted = "amplitude" if coherent else "two_pass"
            raise TargetError(
                f'dac.encoding = "{self.dac.encoding}": '
                + ("fields have either sign" if coherent else "powers have no sign"),
                hint=f'set dac.encoding = "{wanted}"',
            )
        if self.mapping.clip == "expected_error":
            raise TargetError(
                'mapping.clip = "expected_error": is for the levels of electronic cells',
                hint='set mapping.clip = "none"',
            )
        for key, given in (
            ("column", self.column), ("adc.inl_lsb", self.adc.inl_lsb),
            ("dac.inl_lsb", self.dac.inl_lsb), ("dac.noise_sigma", self.dac.noise_sigma),
        ):  # fmt: skip
            if given is not None:
                raise TargetError(f"{key}: is not modelled behind light", hint=f"leave it out: --set {key}=none")
        if self.array.rows_on is not None:
            raise TargetError("array.rows_on: light drives all rows at once", hint="leave it out")

    @property
    def optical(self) -> bool:
        """Whether light multiplies, and not current."""
        return self.technology != "crossbar"

    @property
    def slices(self) -> int:
        """Slices per weight: ceil(magnitude bits / cell bits); 1 without quantisation."""
        if self.weights.bits is None or self.cell is None or self.cell.bits is None:
            return 1
        magnitude = self.weights.bits - (1 if self.weights.scheme == "differential" else 0)
        return -(-magnitude // self.cell.bits)

    @property
    def cells_per_weight(self) -> int:
        """Devices per weight: slices, times two where the scheme is differential."""
        return self.slices * (2 if self.weights.scheme == "differential" else 1)

    @property
    def reference_columns(self) -> int:
        """Columns of an array that hold no weights: one per slice where the scheme is offset."""
        return self.slices if self.weights.scheme == "offset" else 0

    @property
    def device(self) -> Device:
        """The electronic device of a cell; TargetError where the target has none."""
        if self.cell is None:
            raise TargetError(
                f"target {self.name}: has no electronic cells", hint='only technology = "crossbar" can do this'
            )
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
    def feels_heat(self) -> bool:
        """Whether temperature changes anything: devices have an activation, circuits or detectors thermal noise."""
        warm = self.circuit_noise is not None and self.circuit_noise.thermal
        return self.temperature is not None or warm or self.optical

    @property
    def t0_s(self) -> float:
        """The first time of interest, in seconds since programming; the default of every time."""
        return 1.0 if self.optical else self.device.t0_s
