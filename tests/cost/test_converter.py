"""ADC energy and area: against the Accelergy plug-in's own figures, closed forms, and what --set changes."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinat_compile.cost.converter import (
    conversion_pj,
    converter_um2,
    figure_of_merit_pj,
    interpolated,
    survey_pj,
    survey_um2,
)
from pinat_compile.cost.tiles import driver_pj
from pinat_compile.errors import TargetError
from pinat_compile.hardware.loader import load_target

GRID = json.loads((Path(__file__).parent / "published" / "adc_plugin_grid.json").read_text("utf-8"))["rows"]
"""Computed with Accelergy's ADC plug-in: energy and area by node, bits and rate."""


def test_survey_equals_the_plug_in() -> None:
    assert len(GRID) == 160 and min(row["bits"] for row in GRID) == 4
    for row in GRID:
        place = row["bits"], row["tech_nm"], row["rate_Sps"]
        assert survey_pj(*place) == pytest.approx(row["energy_pJ"], rel=1e-4), row
        assert survey_um2(*place) == pytest.approx(row["area_um2"], rel=1e-4), row


def test_survey_does_not_rise_below_its_data() -> None:
    assert survey_pj(1, 32, 1e9) == survey_pj(3, 32, 1e9) == survey_pj(4, 32, 1e9) < survey_pj(5, 32, 1e9)


def test_figures_of_merit() -> None:
    """Walden: FoM 2^B. Schreier: 170 dB and 8 bits are 170 - 49.93 = 120.07 dB between signal and P / (2 f)."""
    assert figure_of_merit_pj(8, 10.0, None) == pytest.approx(2.56)
    assert figure_of_merit_pj(8, None, 170.0) == pytest.approx(0.5e12 / 10 ** ((170 - 6.0206 * 8 - 1.761) / 10))
    assert figure_of_merit_pj(4, 10.0, 170.0) == figure_of_merit_pj(4, 10.0, None)
    assert figure_of_merit_pj(14, 10.0, 170.0) == figure_of_merit_pj(14, None, 170.0)


@given(st.floats(1.0, 16.0), st.floats(0.1, 10.0), st.floats(1.1, 3.0))
def test_a_geometric_table_is_continued(bits: float, first: float, ratio: float) -> None:
    table = [4, 6, 7, 10]
    values = [first * ratio**entry for entry in table]
    assert interpolated(bits, table, values) == pytest.approx(first * ratio**bits, rel=1e-9)


def test_isaac_converters_of_other_bits() -> None:
    """Accelergy library, isaac_adc.csv; 8 bits of Table I."""
    found = {bits: load_target("isaac", [f"adc.bits={bits}"]) for bits in (4, 6, 8, 10)}
    assert [conversion_pj(target) for target in found.values()] == pytest.approx([0.79, 1.20, 1.5625, 2.38])
    assert [converter_um2(target) for target in found.values()] == pytest.approx([361, 627, 1200, 3002])


@pytest.mark.parametrize("name", ["reram_128x128", "cmo_64x64", "pcm_256x256", "sonos_1024x1024", "sram_256x256"])
def test_a_measured_converter_follows_the_survey(name: str) -> None:
    target, coarser = load_target(name), load_target(name, ["adc.bits=6"])
    assert target.energy is not None and target.converter is not None and target.converter.node_nm is not None
    assert conversion_pj(target) == pytest.approx(target.energy.adc_pj)
    rate = 1e9 * (target.converter.rate_gs_s or 0.0)
    ratio = survey_pj(6, target.converter.node_nm, rate) / survey_pj(8, target.converter.node_nm, rate)
    assert conversion_pj(coarser) == pytest.approx((target.energy.adc_pj or 0.0) * ratio)


def test_a_driver_doubles_with_each_bit() -> None:
    """MNSIM 2.0, DAC.py, in uW: 2 bits 7.8, 4 bits 31.2, 6 bits 124.8; for a pulse of 10 ns."""
    for bits, power_uw in ((2, 7.8), (4, 31.2), (6, 124.8)):
        target = load_target("reram_128x128", [f"dac.bits={bits}"])
        assert driver_pj(target) == pytest.approx(1e-3 * power_uw * 10.0)
    fixed = load_target("isaac", ["dac.bits=8"])
    assert fixed.energy is not None and driver_pj(fixed) == fixed.energy.dac_pj


def test_a_constant_alone_holds_for_all_bits() -> None:
    plain = ["converter=none", "adc.bits=6"]
    assert conversion_pj(load_target("isaac", plain)) == 1.5625
    assert conversion_pj(load_target("isaac", ["energy.adc_pj=none", "converter=none"])) is None
    assert conversion_pj(load_target("ideal_128x128")) is None


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["converter.table_bits=none"], "needs converter.table_bits and converter.table_pj"),
        (["converter.table_bits=[4, 4, 5, 6, 7, 8, 9]"], "each larger than the one before"),
        (["converter.table_pj=[1.0]"], "must hold a number for each of the 7 table_bits"),
        (["converter.model=survey"], "needs converter.node_nm"),
        (["converter.model=figure_of_merit"], "needs converter.walden_fj"),
    ],
)
def test_messages(overrides: list[Any], message: str) -> None:
    with pytest.raises(TargetError, match=message):
        load_target("isaac", overrides)
