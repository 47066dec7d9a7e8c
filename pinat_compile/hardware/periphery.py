"""What a target file may say of the circuits around its cells: drivers, wires, amplifiers, converters.

"Steps" of a converter (``lsb``) are its own codes; "full scale" is its largest. An absent section: no such effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pinat_compile.hardware.checks import Between, Section
from pinat_compile.hardware.device import NotNegative, Positive, Share

Lsb = Annotated[float, Between(0.0, 1000.0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class DacSection(Section):
    """Input conversion. ``bits = None``: inputs are not quantised.

    amplitude: one voltage of either sign, of ``bits`` bits. pulse_width: the same codes as durations of one voltage.
    two_pass: values without a sign, first the positive part of the inputs, then the negative one, each converted.
    bit_serial: two's complement; ``step_bits`` bits per input step, and a step of one bit for the sign. Its steps are
    weighted and added ``digital``, after a conversion of each, or ``analog``, on the columns before a single one.

    ``noise_sigma``: standard deviation of an input as a share of full scale, fresh for every row, input step and MVM.
    ``inl_lsb``: integral non-linearity of the ladder of reference voltages that a matrix's drivers share, fixed for a
    chip: a bow and an S over the magnitude, each with a peak of this standard deviation among chips. Inputs of one bit
    have none.
    """

    section: ClassVar[str] = "dac"
    bits: Annotated[int, Between(1, 16)] | None = None
    encoding: Literal["amplitude", "pulse_width", "two_pass", "bit_serial"] = "amplitude"
    step_bits: Annotated[int, Between(1, 16)] = 1
    accumulation: Literal["digital", "analog"] = "digital"
    noise_sigma: Share | None = None
    inl_lsb: Lsb | None = None

    def check(self) -> None:
        if self.bits == 1:
            raise self.wrong("bits", "inputs have a sign, which leaves one bit no magnitude", "try dac.bits = 2")
        if self.bits is None:
            for key in ("noise_sigma", "inl_lsb"):
                if getattr(self, key) is not None:
                    raise self.wrong(key, "without dac.bits there is no full scale", "set dac.bits = 8, say")
        if self.encoding == "bit_serial":
            if self.bits is None:
                raise self.wrong("encoding", "bit-serial inputs need dac.bits", "set dac.bits = 8, say")
            if self.step_bits >= self.bits:
                raise self.wrong("step_bits", f"must lie below dac.bits = {self.bits}: the sign has a step of its own")
            return
        for key, default in (("step_bits", 1), ("accumulation", "digital")):
            if getattr(self, key) != default:
                raise self.wrong(key, "only bit-serial inputs have steps", 'set dac.encoding = "bit_serial"')

    @property
    def steps(self) -> int:
        """Input steps per matrix-vector product."""
        if self.encoding == "two_pass":
            return 2
        if self.encoding != "bit_serial" or self.bits is None:
            return 1
        return 1 - (1 - self.bits) // self.step_bits  # the sign, and the others in steps of step_bits

    @property
    def largest_input(self) -> int:
        """The largest magnitude of one input step, in codes; 1 where inputs are not quantised."""
        if self.bits is None:
            return 1
        return (1 << (self.step_bits if self.encoding == "bit_serial" else self.bits - 1)) - 1

    @property
    def converted_at_once(self) -> bool:
        """Whether a column is converted once per product, and not once per input step."""
        if self.encoding == "two_pass":
            return False
        return self.encoding != "bit_serial" or self.accumulation == "analog"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdcSection(Section):
    """Output conversion, one per weight column (of each slice) and read of a tile. ``bits = None``: none.

    range ``full``: one step is one integer unit, or as many as the largest sum needs. range ``calibrated``: the mapping
    section's share of what calibration data produces, of its own for every ``range_per``: a tile, a slice of it, or a
    column of a slice. Fine-tuning may learn them.

    ``rounding``: to the nearest code, or ``stochastic``: up as often as the fraction says. ``noise_lsb``: standard
    deviation of what each conversion adds at its input. ``inl_lsb``: integral non-linearity of a column's converter,
    fixed for a chip: a bow and an S from end to end, each with a peak of this standard deviation.
    """

    section: ClassVar[str] = "adc"
    bits: Annotated[int, Between(1, 32)] | None = None
    range: Literal["full", "calibrated"] = "full"
    range_per: Literal["tile", "slice", "column"] = "slice"
    rounding: Literal["nearest", "stochastic"] = "nearest"
    noise_lsb: Lsb | None = None
    inl_lsb: Lsb | None = None

    def check(self) -> None:
        if self.bits is not None:
            return
        if self.range == "calibrated":
            raise self.wrong("range", "there is no converter to calibrate without adc.bits", "set adc.bits = 8, say")
        for key, off in (("noise_lsb", None), ("inl_lsb", None), ("rounding", "nearest")):
            if getattr(self, key) != off:
                raise self.wrong(key, "there is no converter without adc.bits", "set adc.bits = 8, say")


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSection(Section):
    """Sensing error of a column, fixed for a chip: relative gain, and offset as a fraction of the ADC's full scale."""

    section: ClassVar[str] = "column"
    gain_sigma: Share = 0.0
    offset_sigma: Share = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AmplifierSection(Section):
    """The analog activation between a column and its ADC, where it is not a straight line.

    With v in full scales of the ADC: saturation * tanh(v / saturation), then times 1 + asymmetry / 2 for positive v and
    1 - asymmetry / 2 for negative. The same in every column and chip; severity does not scale it.
    """

    section: ClassVar[str] = "amplifier"
    saturation: Annotated[float, Between(0.1, 1000.0)] | None = None
    asymmetry: Annotated[float, Between(-1.0, 1.0)] = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitNoiseSection(Section):
    """Noise that physics gives every column, fresh in every read: thermal 4 k T G, shot 2 q |I|, per hertz (A²/Hz).

    G and I are those of all devices of a column, T is the chip's temperature. ``full_scale_v``: the voltage of the
    largest input of one step.
    """

    section: ClassVar[str] = "circuit_noise"
    bandwidth_hz: Positive
    full_scale_v: Annotated[float, Between(0.0, 10.0, above=True)]
    thermal: bool = True
    shot: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class WiresSection(Section):
    """Resistance of one segment of a word line and of a bit line: between neighbouring cells, driver and ground.

    Read noise is that of devices at the full voltage; non-linear devices are refused.
    """

    section: ClassVar[str] = "wires"
    row_ohm: NotNegative
    col_ohm: NotNegative
