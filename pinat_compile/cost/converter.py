"""Energy and area of one ADC, by its bits.

Survey: the fit to published converters that Accelergy's ADC plug-in uses (best case: the 80th percentile of energy, the
best tenth of area), after Murmann's survey. With f the rate in Hz, L the node in nm, B the bits, E in pJ, A in um2:

    FoM  = min(213.78 - 2.8719 ln f,  128.31 + 3.2205 ceil B) dB
    SNDR = 6.0206 B + 10 log10 1.5 dB
    E    = exp(26.0496 + 1.8800 ln L - 2.8291 ln B - 1.4702) / (2 10^((FoM - SNDR) / 10))
    A    = exp(1.3462 + 0.9933 ln L + 0.1807 ln f + 0.2991 ln E)

The fit has no data below 4 bits and would rise there: fewer bits cost what 4 cost.
Figures of merit: Walden E = F 2^B; Schreier E = 1 / (2 10^((F - SNDR) / 10)) with SNDR = 6.0206 B + 1.761 dB.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from pinat_compile.hardware.chip import ConverterSection
from pinat_compile.hardware.schema import Target

FEWEST_SURVEYED = 4
"""Bits below which the survey's fit has no data."""


def survey_pj(bits: float, node_nm: float, rate_hz: float) -> float:
    """Energy of a conversion in pJ after the survey's fit."""
    bits = max(bits, FEWEST_SURVEYED)
    by_rate = 213.7806687348 - 2.8719030400 * math.log(rate_hz)
    by_bits = 128.3068287 + 3.22051151 * math.ceil(bits)
    sndr = 6.0206 * bits + 10.0 * math.log10(1.5)
    size = 26.0496215686 + 1.8800369207 * math.log(node_nm) - 2.8291256051 * math.log(bits) - 1.4702022134
    return float(math.exp(size) / (2.0 * 10.0 ** ((min(by_rate, by_bits) - sndr) / 10.0)))


def survey_um2(bits: float, node_nm: float, rate_hz: float) -> float:
    """Area of a converter in um2 after the survey's fit."""
    energy = survey_pj(bits, node_nm, rate_hz)
    return math.exp(
        1.3461916440 + 0.9932794745 * math.log(node_nm) + 0.1807153842 * math.log(rate_hz)
        + 0.2991242619 * math.log(energy)
    )  # fmt: skip


def figure_of_merit_pj(bits: float, walden_fj: float | None, schreier_db: float | None) -> float:
    """The larger of Walden's and Schreier's energy, of those that are given."""
    found = []
    if walden_fj is not None:
        found.append(1e-3 * walden_fj * 2.0**bits)
    if schreier_db is not None:
        found.append(1e12 / (2.0 * 10.0 ** ((schreier_db - 6.0206 * bits - 1.761) / 10.0)))
    return float(max(found))


def interpolated(bits: float, table_bits: Sequence[int], values: Sequence[float]) -> float:
    """Geometric between the entries, and beyond the first and last by the ratio of the two next to them."""
    upper = next((index for index, entry in enumerate(table_bits) if entry >= bits and index), len(table_bits) - 1)
    low, high = table_bits[upper - 1], table_bits[upper]
    share = (bits - low) / (high - low)
    return float(values[upper - 1] * (values[upper] / values[upper - 1]) ** share)


def model_pj(converter: ConverterSection, bits: float) -> float:
    """What the converter's model gives at ``bits``, in pJ per conversion."""
    if converter.model == "table":
        assert converter.table_bits is not None and converter.table_pj is not None
        return interpolated(bits, converter.table_bits, converter.table_pj)
    if converter.model == "survey":
        assert converter.node_nm is not None and converter.rate_gs_s is not None
        return survey_pj(bits, converter.node_nm, 1e9 * converter.rate_gs_s)
    return figure_of_merit_pj(bits, converter.walden_fj, converter.schreier_db)


def model_um2(converter: ConverterSection, bits: float) -> float | None:
    """What the converter's model gives at ``bits``, in um2; None where it says nothing of area."""
    if converter.model == "table" and converter.table_um2 is not None:
        assert converter.table_bits is not None
        return interpolated(bits, converter.table_bits, converter.table_um2)
    if converter.model == "survey":
        assert converter.node_nm is not None and converter.rate_gs_s is not None
        return survey_um2(bits, converter.node_nm, 1e9 * converter.rate_gs_s)
    return None


def conversion_pj(target: Target) -> float | None:
    """Energy of one conversion at the target's ``adc.bits``; None without a converter or a constant."""
    given = None if target.energy is None else target.energy.adc_pj
    return _at(target, given, model_pj)


def converter_um2(target: Target) -> float | None:
    """Area of one converter at the target's ``adc.bits``; None without a converter or a constant."""
    given = None if target.area is None else target.area.adc_um2
    return _at(target, given, model_um2)


def _at(
    target: Target, given: float | None, model: Callable[[ConverterSection, float], float | None]
) -> float | None:
    """``given`` carried from the bits at which it holds to the target's; else what the model says."""
    converter, bits = target.converter, target.adc.bits
    if bits is None:
        return None
    here = None if converter is None else model(converter, bits)
    if given is None or converter is None or here is None:
        return here if given is None else given
    there = model(converter, bits if converter.at_bits is None else converter.at_bits)
    return given if not there else given * here / there
