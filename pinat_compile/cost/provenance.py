"""Where a figure comes from: how it is computed, and from which numbers of the target, each with its source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pinat_compile.cost.baseline import CONSTANTS
from pinat_compile.cost.value import COMPONENTS
from pinat_compile.errors import OptionError
from pinat_compile.hardware.checks import kinds
from pinat_compile.hardware.loader import is_verified
from pinat_compile.hardware.names import plain, sections
from pinat_compile.hardware.schema import Target

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """How a figure is made, in words, and the keys of the target that it is made from (``section`` stands for all)."""

    how: str
    keys: tuple[str, ...]


CONVERTER = ("adc.bits", "energy.adc_pj", "converter")
TIMES = ("timing", "converter.columns", "converter.rate_gs_s", "dac.bits", "dac.encoding", "dac.step_bits",
         "array.rows_on", "layout.pipeline")  # fmt: skip

ENERGY: dict[str, Rule] = {
    "array": Rule("voltage² x conductance x pulse, summed over all devices that inputs of the calibration drive",
                  ("energy.read_voltage_v", "energy.read_pulse_ns", "cell.g_min_us", "cell.g_max_us")),
    "laser": Rule("wall-plug power of an array's light x the time of its products",
                  ("laser.power_mw", "laser.wall_plug_efficiency", "detector.local_oscillator_mw", "timing.step_ns")),
    "modulator": Rule("inputs written, and bias x the time of products",
                      ("modulator.fj_per_symbol", "modulator.static_mw", "timing.step_ns")),
    "detector": Rule("power of all amplifiers of an array x the time of its products",
                     ("detector.amplifier_mw", "timing.step_ns")),
    "dac": Rule("rows driven x input steps (or pulses) x products",
                ("energy.dac_pj", "energy.dac_per", "energy.dac_at_bits", "dac.bits")),
    "adc": Rule("columns x slices x input steps x products, each a conversion at adc.bits", CONVERTER),
    "sample_hold": Rule("one per conversion", ("energy.sample_hold_pj",)),
    "shift_add": Rule("one per conversion but the first of an output", ("energy.shift_add_pj",)),
    "registers": Rule("bytes of input codes into arrays, and two bytes per sum out of them",
                      ("energy.register_pj_per_byte", "dac.bits")),
    "digital": Rule("additions and multiplications of the affine behind arrays and of the digital operators",
                    ("energy.digital_add_pj", "energy.digital_mul_pj")),
    "buffer": Rule("bytes read and written: every window whole, every result once",
                   ("energy.buffer_pj_per_byte", "dac.bits")),
    "bus": Rule("bytes between a tile's buffer and its cores", ("energy.bus_pj_per_byte", "dac.bits")),
    "link": Rule("bytes x hops between tiles: operands, and partial sums", ("energy.hop_pj_per_byte", "chip")),
    "io": Rule("bytes onto and off the chips", ("energy.io_pj_per_byte", "chip")),
    "reload": Rule("devices written anew in every inference", ("energy.write_pj", "write_verify", "chip")),
    "heaters": Rule("power that holds all phases x the interval between samples",
                    ("heaters.p_pi_mw", "rings.tuning_mw", *TIMES)),
    "leakage": Rule("leakage of the arrays' share of the chip x the interval between samples",
                    ("leakage", "chip", *TIMES)),
}  # fmt: skip
"""By component of the energy."""

FIGURES: dict[str, Rule] = {
    "write_energy_j": Rule("devices programmed once", ("energy.write_pj", "write_verify")),
    "latency_s": Rule("when the last node of the schedule is done with a sample, reloading included", ("chip", *TIMES)),
    "interval_s": Rule("how long the busiest resource works on a sample", ("chip", *TIMES)),
    "area_mm2": Rule("arrays x the area of one with its share of core, tile and chip", ("area", "chip", "converter")),
    "arrays": Rule("tiles of all matrices", ("array", "cell.bits", "weights", "layout")),
    "ops": Rule("two per multiply-accumulate of the matrix products, at the output's size", ()),
    "digital_energy_j": Rule("the same network on a digital systolic array of the same node and precision",
                             ("chip.node_nm", "dac.bits", "weights.bits")),
}  # fmt: skip
"""By key of the totals."""

RATIOS = ("tops_per_watt", "tops_per_watt_1b", "macs_per_joule")


@dataclass(frozen=True, slots=True)
class Constant:
    """One number that a figure is made from. ``verified``: its source can be looked up."""

    key: str
    value: Any
    source: str
    verified: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """``value`` in the unit of its key; ``parts`` are what it is the sum of, ``layers`` the largest that contribute."""

    key: str
    value: Any
    how: str
    constants: tuple[Constant, ...]
    parts: tuple[tuple[str, float], ...] = ()
    layers: tuple[tuple[str, float], ...] = ()

    @property
    def doubtful(self) -> tuple[Constant, ...]:
        """The numbers that are assumptions, or whose source was not looked up."""
        return tuple(constant for constant in self.constants if not constant.verified)


def explain(document: Document, target: Target, key: str) -> Explanation:
    """How the figure ``key`` of a report's totals (``energy_j.adc``, ``latency_s``, …) came about on ``target``.

    Raises OptionError for a key that the totals do not have, or that nothing is said about.
    """
    path = key.removeprefix("totals.")
    head, _, component = path.partition(".")
    totals = document["totals"]
    if head == "energy_j" and component in ("", "total", *COMPONENTS):
        return _energy(document, target, component or "total")
    if path in RATIOS:
        inner = _energy(document, target, "total")
        how = "operations of a sample by its energy"
        if path == "tops_per_watt_1b":
            how += ", times the bits of an input and of a weight"
        return Explanation(path, totals[path], how, inner.constants, inner.parts)
    if path not in FIGURES:
        known = [*FIGURES, *RATIOS, "energy_j.total", *(f"energy_j.{name}" for name in COMPONENTS)]
        raise OptionError(f"--explain {key}: no such figure", hint=f"one of {', '.join(known)}")
    found = _constants(target, FIGURES[path].keys)
    if path == "digital_energy_j":
        found += [Constant(c.name, c.value, c.source, is_verified(c.source)) for c in CONSTANTS]
    return Explanation(path, totals[path], FIGURES[path].how, tuple(found), layers=_largest(document, path))


def _energy(document: Document, target: Target, component: str) -> Explanation:
    energy = document["totals"]["energy_j"]
    if component != "total":
        rule = ENERGY[component]
        layers = _largest(document, "energy_j", component)
        return Explanation(
            f"energy_j.{component}", energy[component], rule.how, tuple(_constants(target, rule.keys)), layers=layers
        )
    counted = [name for name in COMPONENTS if energy[name]]
    keys = dict.fromkeys(key for name in counted for key in ENERGY[name].keys)
    parts = tuple(sorted(((name, energy[name]) for name in counted), key=lambda part: -part[1]))
    layers = _largest(document, "energy_j", "total")
    how = "the sum of its components; what the target does not give is not in it"
    return Explanation("energy_j.total", energy["total"], how, tuple(_constants(target, tuple(keys))), parts, layers)


MAIN = ("energy_j.total", "latency_s", "interval_s", "area_mm2")
"""The figures whose assumptions every report counts."""


def assumptions(document: Document, target: Target) -> dict[str, dict[str, Any]]:
    """Of each of the `MAIN` figures that was computed: how many numbers it is made from, and which are not verified."""
    found = {}
    for key in MAIN:
        explanation = explain(document, target, key)
        if explanation.value is not None:
            names = [constant.key for constant in explanation.doubtful]
            found[key] = {"numbers": len(explanation.constants), "not_verified": names}
    return found


SHOWN = 5
"""Layers that an explanation names."""


def _largest(document: Document, *path: str) -> tuple[tuple[str, float], ...]:
    found = []
    for layer in document["layers"]:
        value: Any = layer
        for step in path:
            value = value.get(step) if isinstance(value, Mapping) else None
        if isinstance(value, int | float) and value:
            found.append((str(layer["name"]), float(value)))
    return tuple(sorted(found, key=lambda entry: -entry[1])[:SHOWN])


def _constants(target: Target, keys: Sequence[str]) -> list[Constant]:
    """The target's values of ``keys`` that it gives, each once; a section's name stands for all of its keys."""
    names = dict.fromkeys(full for key in keys for full in _expanded(target, key))
    found = []
    for name in names:
        section, _, key = name.partition(".")
        value = getattr(getattr(target, section), key)
        source = target.sources.get(name, "default")
        found.append(Constant(name, value, source, source == "default" or is_verified(source)))
    return found


def _expanded(target: Target, key: str) -> list[str]:
    name, _, rest = key.partition(".")
    section = getattr(target, name)
    if section is None:
        return []
    fields = [rest] if rest else list(kinds(plain(sections()[name])))
    return [f"{name}.{field}" for field in fields if getattr(section, field) is not None]
