"""What a target file may say of the chip around its arrays: how many there are, how fast they are, what they take.

Arrays form a core, cores a tile, tiles a chip, chips a board. An absent section or key: not known, and then what would
need it (capacity, time, area, leakage) is not computed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pinat_compile.hardware.checks import Between, Section
from pinat_compile.hardware.device import Count, Floats, NotNegative, Positive

Ints = tuple[int, ...]

ARRAY_PARTS = ("array", "dac", "sample_hold", "adc")
CORE_PARTS = ("shift_add", "registers")
TILE_PARTS = ("buffer", "bus", "router", "digital")
CHIP_PARTS = ("io",)
PARTS = (*ARRAY_PARTS, *CORE_PARTS, *TILE_PARTS, *CHIP_PARTS)
"""The components of a chip, by the level that they belong to: the keys of [area], [power] and [leakage], less the unit.

``dac`` is one driver of a row, ``sample_hold`` that of a column, ``adc`` one converter; all others are what one array,
core, tile or chip has of them together (``router``: a tile's share of one).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipSection(Section):
    """The hierarchy. ``chips``: on the board; what does not fit on all of them is written anew in every inference.

    ``node_nm``: of its digital circuits. ``buffer_kib``: of one tile. ``endurance_writes``: of a device.
    """

    section: ClassVar[str] = "chip"
    arrays_per_core: Count
    cores_per_tile: Count
    tiles: Count
    chips: Count = 1
    node_nm: Annotated[float, Between(1.0, 1000.0)] | None = None
    buffer_kib: Positive | None = None
    endurance_writes: Positive | None = None

    @property
    def arrays_per_tile(self) -> int:
        return self.arrays_per_core * self.cores_per_tile

    @property
    def arrays_per_chip(self) -> int:
        return self.arrays_per_tile * self.tiles

    @property
    def capacity(self) -> int:
        """Arrays of the board."""
        return self.arrays_per_chip * self.chips

    @property
    def mesh_width(self) -> int:
        """Tiles in a row of a chip's mesh, which is as square as can be."""
        return math.isqrt(self.tiles - 1) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingSection(Section):
    """How long things take. Rates in GB/s are bytes per nanosecond.

    ``step_ns``: one input step of an array, from the drivers to a settled (held) column. ``latency_ns``: what a product
    takes from operand to result beside its steps and conversions. ``digital_gops``: operations per nanosecond of one
    tile's digital units. ``buffer_gb_s``: one tile's buffer. ``hop_ns``, ``link_gb_s``: one hop between tiles.
    ``io_gb_s``: between chips, and to the host. ``write_row_ns``: programming a row of an array.
    """

    section: ClassVar[str] = "timing"
    step_ns: Positive
    latency_ns: NotNegative = 0.0
    digital_gops: Positive | None = None
    buffer_gb_s: Positive | None = None
    link_gb_s: Positive | None = None
    hop_ns: NotNegative | None = None
    io_gb_s: Positive | None = None
    write_row_ns: Positive | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConverterSection(Section):
    """How fast the ADCs are, how many columns share one, and how energy and area follow their bits.

    ``columns``: one converter serves so many device columns, one after the other; absent, every column has its own.
    ``rate_gs_s``: conversions per nanosecond of one converter.

    model ``table``: ``table_pj`` (and ``table_um2``) at ``table_bits``, geometric between entries and beyond them.
    ``survey``: the fit to published converters of the Accelergy plug-in, at ``node_nm`` and ``rate_gs_s``.
    ``figure_of_merit``: the larger of Walden's (``walden_fj`` per conversion step) and Schreier's (``schreier_db``).
    Where energy.adc_pj (or area.adc_um2) is given, it holds at ``at_bits``, and the model says how other bits differ.
    """

    section: ClassVar[str] = "converter"
    model: Literal["table", "survey", "figure_of_merit"]
    at_bits: Annotated[int, Between(1, 32)] | None = None
    columns: Count | None = None
    rate_gs_s: Positive | None = None
    node_nm: Annotated[float, Between(1.0, 1000.0)] | None = None
    table_bits: Ints | None = None
    table_pj: Annotated[Floats, Between(0.0, above=True)] | None = None
    table_um2: Annotated[Floats, Between(0.0, above=True)] | None = None
    walden_fj: Positive | None = None
    schreier_db: Positive | None = None

    def check(self) -> None:
        if self.model == "table":
            self._check_table()
        elif self.model == "survey" and (self.node_nm is None or self.rate_gs_s is None):
            raise self.wrong("model", "needs converter.node_nm and converter.rate_gs_s")
        elif self.model == "figure_of_merit" and self.walden_fj is None and self.schreier_db is None:
            raise self.wrong("model", "needs converter.walden_fj, converter.schreier_db or both")

    def _check_table(self) -> None:
        bits = self.table_bits
        if bits is None or self.table_pj is None:
            raise self.wrong("model", "needs converter.table_bits and converter.table_pj")
        if len(bits) < 2 or any(a >= b for a, b in pairwise(bits)):
            raise self.wrong("table_bits", "must hold two or more, each larger than the one before")
        for key in ("table_pj", "table_um2"):
            if (column := getattr(self, key)) is not None and len(column) != len(bits):
                raise self.wrong(key, f"must hold a number for each of the {len(bits)} table_bits")


class PartsSection(Section):
    """A section with one quantity of every component; see `PARTS`."""

    __slots__ = ()
    unit: ClassVar[str]

    def of(self, part: str) -> float | None:
        """The component's number in the section's unit."""
        value: float | None = getattr(self, f"{part}_{self.unit}")
        return value

    def missing(self) -> tuple[str, ...]:
        """Keys that are left out."""
        return tuple(f"{self.section}.{item.name}" for item in fields(self) if getattr(self, item.name) is None)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaSection(PartsSection):
    """Square micrometres of each component."""

    section: ClassVar[str] = "area"
    unit: ClassVar[str] = "um2"
    array_um2: NotNegative | None = None
    dac_um2: NotNegative | None = None
    sample_hold_um2: NotNegative | None = None
    adc_um2: NotNegative | None = None
    shift_add_um2: NotNegative | None = None
    registers_um2: NotNegative | None = None
    buffer_um2: NotNegative | None = None
    bus_um2: NotNegative | None = None
    router_um2: NotNegative | None = None
    digital_um2: NotNegative | None = None
    io_um2: NotNegative | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerSection(PartsSection):
    """Milliwatts of each component while all of the chip is busy: the figures of a data sheet, for its roll-up.

    What an inference takes is counted from events instead; see [energy] and [leakage].
    """

    section: ClassVar[str] = "power"
    unit: ClassVar[str] = "mw"
    array_mw: NotNegative | None = None
    dac_mw: NotNegative | None = None
    sample_hold_mw: NotNegative | None = None
    adc_mw: NotNegative | None = None
    shift_add_mw: NotNegative | None = None
    registers_mw: NotNegative | None = None
    buffer_mw: NotNegative | None = None
    bus_mw: NotNegative | None = None
    router_mw: NotNegative | None = None
    digital_mw: NotNegative | None = None
    io_mw: NotNegative | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakageSection(PartsSection):
    """Milliwatts of each component while it is on and does nothing."""

    section: ClassVar[str] = "leakage"
    unit: ClassVar[str] = "mw"
    array_mw: NotNegative | None = None
    dac_mw: NotNegative | None = None
    sample_hold_mw: NotNegative | None = None
    adc_mw: NotNegative | None = None
    shift_add_mw: NotNegative | None = None
    registers_mw: NotNegative | None = None
    buffer_mw: NotNegative | None = None
    bus_mw: NotNegative | None = None
    router_mw: NotNegative | None = None
    digital_mw: NotNegative | None = None
    io_mw: NotNegative | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutSection(Section):
    """What the compiler may do to use the chip better. Everything is off unless it is asked for.

    ``pack``: tiles that do not fill an array share one. ``replicate``: spare arrays hold copies of layers; with
    ``throughput`` the slowest layer becomes as fast as can be, with ``latency`` the sum over layers. ``place``: layers
    that talk to each other stand close. ``pipeline``: what overlaps: ``samples``, each layer working on another;
    ``rows``, a layer starting as soon as it has the rows of its input that it needs; ``off``, one sample at a time.
    ``buffers``: how much of every operand waits in front of its node, and where, is planned and written down.
    """

    section: ClassVar[str] = "layout"
    pack: bool = False
    replicate: Literal["throughput", "latency"] | None = None
    place: bool = False
    pipeline: Literal["samples", "rows", "off"] = "samples"
    buffers: bool = False
