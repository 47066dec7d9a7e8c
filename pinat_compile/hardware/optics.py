"""What a target file may say of light: laser, modulators, detectors, and the parts that hold weights.

Powers are optical and on chip unless they say otherwise. An absent section: the chip does not have that part; an absent
key: it does not have that effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pinat_compile.hardware.checks import NOT_NEGATIVE, POSITIVE, Between, Section

Positive = Annotated[float, POSITIVE]
NotNegative = Annotated[float, NOT_NEGATIVE]
Decibel = Annotated[float, Between(0.0, 200.0)]
Amplitude = Annotated[float, Between(0.0, 1.0, above=True)]
Bits = Annotated[int, Between(1, 16)]
Volts = Annotated[float, Between(0.0, 1000.0, above=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaserSection(Section):
    """The light of one array.

    ``power_mw``: optical power of all its lines together, before coupler and modulators. ``bits``: effective bits that
    full scale must have at a detector; an array that the power cannot give them is refused. ``line_sigma``: spread of
    the power among the inputs, as a share, fixed for a chip.
    """

    section: ClassVar[str] = "laser"
    power_mw: Positive
    wall_plug_efficiency: Annotated[float, Between(0.0, 1.0, above=True)]
    bits: Annotated[float, Between(0.0, 16.0)]
    line_sigma: NotNegative | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModulatorSection(Section):
    """What writes inputs onto light, one per row. ``extinction_db``: full power over what a zero still lets through.

    ``fj_per_symbol``: energy of writing one input; ``static_mw``: bias or tuning of each.
    """

    section: ClassVar[str] = "modulator"
    loss_db: Decibel
    coupler_db: Decibel = 0.0
    extinction_db: Annotated[float, Between(0.0, 200.0, above=True)] | None = None
    fj_per_symbol: NotNegative | None = None
    static_mw: NotNegative | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorSection(Section):
    """A photodiode (or a balanced pair) and its amplifier, one per column.

    ``load_ohm`` and ``noise_factor`` set the thermal noise 4 k T df F / R, ``rin_db_per_hz`` the relative intensity
    noise of the light that it sees, in a bandwidth of ``bandwidth_hz``. ``local_oscillator_mw``: coherent
    detection only, reference light at each detector.
    """

    section: ClassVar[str] = "detector"
    responsivity_a_per_w: Annotated[float, Between(0.0, 10.0, above=True)]
    bandwidth_hz: Positive
    load_ohm: Positive
    dark_current_na: NotNegative = 0.0
    noise_factor: Annotated[float, Between(1.0, 1000.0)] = 1.0
    rin_db_per_hz: Annotated[float, Between(-300.0, 0.0)] | None = None
    local_oscillator_mw: Positive | None = None
    amplifier_mw: NotNegative | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshSection(Section):
    """Meshes of Mach-Zehnder interferometers that hold W = U S V^H; a mesh and its phases are as wide as the array.

    ``loss_db`` of an interferometer and ``loss_sigma_db``, its spread; ``splitter_sigma_rad``: imbalance of each
    coupler; both fixed for a chip. ``matched_edges``: waveguides that pass a layer by lose as much as an
    interferometer, so that loss is one number.
    """

    section: ClassVar[str] = "mesh"
    loss_db: Decibel
    loss_sigma_db: NotNegative | None = None
    splitter_sigma_rad: NotNegative | None = None
    matched_edges: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatersSection(Section):
    """Thermo-optic phase shifters.

    ``bits`` of a converter that is uniform in ``phase`` over a turn, or in ``voltage`` up to ``full_scale_v``, where
    ``v_pi_v`` turns by pi. ``phase_sigma_rad``: error of each phase, ``efficiency_sigma``: of each heater's rad per
    watt, both fixed for a chip. ``pitch_um``: distance of neighbouring heaters, which then warm each other, ``arm_um``
    from a heated arm to the other one; ``compensated``: the settings make up for it. ``p_pi_mw``: power for a phase of
    pi; ``settle_us``: time to settle after a change.
    """

    section: ClassVar[str] = "heaters"
    bits: Bits | None = None
    converter: Literal["phase", "voltage"] = "phase"
    v_pi_v: Volts | None = None
    full_scale_v: Volts | None = None
    phase_sigma_rad: NotNegative | None = None
    efficiency_sigma: NotNegative | None = None
    pitch_um: Positive | None = None
    arm_um: Positive | None = None
    compensated: bool = False
    p_pi_mw: NotNegative | None = None
    settle_us: NotNegative | None = None

    def check(self) -> None:
        if self.arm_um is not None and self.pitch_um is None:
            raise self.wrong("arm_um", "heaters warm each other at a distance", "set heaters.pitch_um")
        if self.compensated and self.pitch_um is None:
            raise self.wrong("compensated", "there is no crosstalk to make up for", "set heaters.pitch_um")
        if self.converter == "phase":
            return
        if self.v_pi_v is None or self.full_scale_v is None:
            raise self.wrong("converter", "needs heaters.v_pi_v and heaters.full_scale_v", "give both")
        if self.full_scale_v**2 < 2.0 * self.v_pi_v**2:
            turn = 2.0**0.5 * self.v_pi_v
            raise self.wrong("full_scale_v", f"a whole turn needs {turn:.4g} V at v_pi_v = {self.v_pi_v:g}", "raise it")


@dataclass(frozen=True, slots=True, kw_only=True)
class RingsSection(Section):
    """Add-drop microrings, one per weight; every column is a bank on a bus of its own, a wavelength per row.

    ``coupling``: self-coupling of both couplers; ``round_trip``: amplitude left after a round trip. Detunings are in
    rad of the round trip; heaters span ``span_rad`` of them. ``channel_rad``: spacing of neighbouring wavelengths,
    whose tails then reach each other's rings, ``neighbours`` on each side. ``shift_nm_per_k``: resonance shift away
    from 300 K, of which ``locked`` (a share) is tracked away. ``drop_loss_db``, ``pass_loss_db``: for the link budget.
    ``tuning_mw``: power of a ring's heater, in the mean.
    """

    section: ClassVar[str] = "rings"
    coupling: Amplitude
    round_trip: Amplitude
    span_rad: Annotated[float, Between(0.0, 3.141592653589793, above=True)]
    channel_rad: Positive | None = None
    neighbours: Annotated[int, Between(1, 16)] = 2
    wavelength_nm: Positive = 1550.0
    group_index: Positive = 4.2
    radius_um: Positive = 5.0
    shift_nm_per_k: NotNegative | None = None
    locked: Annotated[float, Between(0.0, 1.0)] = 0.0
    drop_loss_db: Decibel = 0.0
    pass_loss_db: Decibel = 0.0
    tuning_mw: NotNegative | None = None

    def check(self) -> None:
        if self.coupling == 1.0:
            raise self.wrong("coupling", "a ring without coupling passes everything by", "try rings.coupling = 0.98")
        if self.channel_rad is not None and self.span_rad > self.channel_rad / 2:
            half = self.channel_rad / 2
            raise self.wrong("span_rad", f"reaches the next wavelength: at most {half:.4g}, half of rings.channel_rad")


@dataclass(frozen=True, slots=True, kw_only=True)
class TransmissionSection(Section):
    """Phase-change cells that let a share of the light through; a weight is the difference of two.

    ``bits``: 2**bits equidistant transmissions from ``t_min`` to ``t_max``. ``sigma``: error of a written
    transmission, as a share of the span, fixed for a chip. ``write_pj``: energy of writing one cell.
    """

    section: ClassVar[str] = "transmission"
    t_min: Annotated[float, Between(0.0, 1.0)]
    t_max: Amplitude
    bits: Bits | None = None
    sigma: NotNegative | None = None
    crossing_loss_db: Decibel = 0.0
    write_pj: NotNegative | None = None

    def check(self) -> None:
        if self.t_min >= self.t_max:
            raise self.wrong("t_min", f"must lie below transmission.t_max = {self.t_max}")
