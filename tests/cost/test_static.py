"""Roll-ups through the hierarchy: ISAAC's Table I, level by level."""

import json
from pathlib import Path

import pytest

from pinat_compile.cost.static import (
    area_per_array_mm2,
    chip_area_mm2,
    chip_power_w,
    leakage_per_array_w,
    peak_ops_per_s,
    roll_up,
)
from pinat_compile.hardware.loader import list_targets, load_target

TABLE = json.loads((Path(__file__).parent / "published" / "isaac_table1.json").read_text("utf-8"))
"""Shafiee et al., ISCA 2016, Table I, component by component, and its roll-up."""


def test_isaac_rolls_up() -> None:
    isaac, derived = load_target("isaac"), TABLE["derived"]
    power, area, peak = chip_power_w(isaac), chip_area_mm2(isaac), peak_ops_per_s(isaac)
    assert power is not None and area is not None and peak is not None
    assert power == pytest.approx(65.81, rel=1e-3) and power == pytest.approx(derived["chip_W"])
    assert area == pytest.approx(85.42, rel=1e-3) and area == pytest.approx(derived["chip_mm2"])
    assert 1e-12 * peak == pytest.approx(derived["peak_TOPS_16b"], rel=1e-4)
    assert 1e-9 * peak / power == pytest.approx(derived["GOPS_per_W"], rel=1e-3)
    assert 1e-9 * peak / area == pytest.approx(derived["GOPS_per_mm2"], rel=1e-3)
    assert 2e12 * power / peak == pytest.approx(derived["pJ_per_MAC_chip"], rel=1e-3)


def test_isaac_levels() -> None:
    """An IMA takes 24.08 mW and 0.01312 mm2, a tile 329.8 mW and 0.3723 mm2, its router shared by four."""
    parts = list(roll_up(load_target("isaac")))
    core = [part for part in parts if part.level in ("array", "core")]
    tile = [part for part in parts if part.level != "chip"]
    for found, units, milliwatts, mm2 in (
        (core, 168 * 12, TABLE["derived"]["IMA_mW"], TABLE["derived"]["IMA_mm2"]),
        (tile, 168, TABLE["derived"]["tile_mW"], TABLE["derived"]["tile_mm2"]),
    ):
        assert 1e3 * sum(part.power_w or 0.0 for part in found) / units == pytest.approx(milliwatts, rel=1e-3)
        assert sum(part.area_mm2 or 0.0 for part in found) / units == pytest.approx(mm2, rel=1e-3)
    counts = {part.name: part.count for part in parts}
    assert counts["dac"] == 1024 * 12 * 168 and counts["adc"] == counts["array"] == 16128 and counts["io"] == 1


WITH_AREAS = [name for name in list_targets() if load_target(name).chip and load_target(name).area]


@pytest.mark.parametrize("name", WITH_AREAS)
def test_area_shares_add_up_to_the_chip(name: str) -> None:
    target = load_target(name)
    share = area_per_array_mm2(target)
    assert share is not None and target.chip is not None
    assert share * target.chip.arrays_per_chip == pytest.approx(chip_area_mm2(target))


def test_what_is_not_known_is_none() -> None:
    ideal = load_target("ideal_128x128")
    assert {"isaac", "reram_128x128"} <= set(WITH_AREAS)
    assert (area_per_array_mm2(ideal), leakage_per_array_w(ideal), peak_ops_per_s(ideal)) == (None, None, None)
    assert chip_power_w(load_target("isaac", ["power=none"])) is None


def test_a_coarser_converter_is_smaller_and_takes_less() -> None:
    isaac, coarse = load_target("isaac"), load_target("isaac", ["adc.bits=6"])
    for quantity in (chip_power_w, chip_area_mm2):
        full, less = quantity(isaac), quantity(coarse)
        assert full is not None and less is not None and less < full
    power = {part.name: part.power_w for part in roll_up(coarse)}
    assert power["adc"] == pytest.approx(16128 * 1.20e-12 * 1.28e9)


def test_leakage_of_an_array() -> None:
    """A converter of its own, an eighth of a core's registers, a 96th of a tile's router and digital units."""
    found = leakage_per_array_w(load_target("isaac"))
    assert found == pytest.approx(1e-3 * (0.2 + 0.374 / 8 + (0.26 + 0.461) / 96))


def test_a_neurram_chip_at_its_operating_point() -> None:
    """Wan et al., Nature 608, 504 (2022): 0.744 TOPS of 48 cores at 4 bits in, 6 out; the step is set to it."""
    peak = peak_ops_per_s(load_target("neurram_256x256"))
    assert peak is not None and 1e-12 * peak == pytest.approx(0.744, rel=1e-3)
