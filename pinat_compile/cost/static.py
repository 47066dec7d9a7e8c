"""What does not depend on the network: area, leakage and full power of an array with its share of the chip, and their
roll-up through the hierarchy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pinat_compile.cost.converter import conversion_pj, converter_um2
from pinat_compile.cost.timing import converters_per_array, read_ns
from pinat_compile.hardware.chip import ARRAY_PARTS, CHIP_PARTS, CORE_PARTS, PARTS, TILE_PARTS, PartsSection
from pinat_compile.hardware.schema import Target

UM2_PER_MM2 = 1e6


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of component: ``count`` of them on a chip, power at full activity, area; None where not known."""

    level: str
    name: str
    count: int
    power_w: float | None
    area_mm2: float | None


def parts_per_array(target: Target, part: str) -> float:
    """How many of a component an array has, as a fraction where several arrays share one."""
    chip = target.chip
    assert chip is not None
    if part in ARRAY_PARTS:
        each = {"array": 1, "dac": target.array.rows, "sample_hold": target.array.cols,
                "adc": converters_per_array(target)}  # fmt: skip
        return float(each[part])
    share = chip.arrays_per_core if part in CORE_PARTS else chip.arrays_per_tile
    return 1.0 / (chip.arrays_per_chip if part in CHIP_PARTS else share)


def roll_up(target: Target) -> Iterator[Part]:
    """Every component of one chip with what all of its kind take together."""
    if target.chip is None:
        return
    levels = (("array", ARRAY_PARTS), ("core", CORE_PARTS), ("tile", TILE_PARTS), ("chip", CHIP_PARTS))
    for level, parts in levels:
        for part in parts:
            count = round(parts_per_array(target, part) * target.chip.arrays_per_chip)
            power, area = power_mw(target, part), area_um2(target, part)
            yield Part(
                level, part, count,
                None if power is None else 1e-3 * power * count,
                None if area is None else area * count / UM2_PER_MM2,
            )  # fmt: skip


def area_um2(target: Target, part: str) -> float | None:
    """One component's area; a converter's follows its bits."""
    if part == "adc":
        return converter_um2(target)
    return None if target.area is None else target.area.of(part)


def power_mw(target: Target, part: str) -> float | None:
    """One component's power at full activity; a converter's follows its bits."""
    given = None if target.power is None else target.power.of(part)
    if part != "adc" or given is None or target.converter is None or target.converter.rate_gs_s is None:
        return given
    energy = conversion_pj(target)  # a chip that is busy converts without pause
    return given if energy is None else energy * target.converter.rate_gs_s


def area_per_array_mm2(target: Target) -> float | None:
    """Area of an array with its share of core, tile and chip; None where the target gives no areas."""
    if target.chip is None or (target.area is None and target.converter is None):
        return None
    found = [area * parts_per_array(target, part) for part in PARTS if (area := area_um2(target, part)) is not None]
    return sum(found) / UM2_PER_MM2 if found and target.area is not None else None


def leakage_per_array_w(target: Target) -> float | None:
    """Leakage of an array with its share of core, tile and chip; None where the target gives none."""
    if target.chip is None or target.leakage is None:
        return None
    found = [_share(target, target.leakage, part) for part in PARTS]
    return 1e-3 * sum(value for value in found if value is not None)


def _share(target: Target, section: PartsSection, part: str) -> float | None:
    value = section.of(part)
    return None if value is None else value * parts_per_array(target, part)


def chip_power_w(target: Target) -> float | None:
    """A chip with every component busy."""
    return _sum(part.power_w for part in roll_up(target))


def chip_area_mm2(target: Target) -> float | None:
    return _sum(part.area_mm2 for part in roll_up(target))


def _sum(values: Iterator[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def peak_ops_per_s(target: Target) -> float | None:
    """Operations, two per multiply-accumulate, of all arrays of a chip, each full of weights and without pause.

    Counts the weights that an array holds (not its cells), at the precision of the target.
    """
    if target.chip is None or target.timing is None:
        return None
    outputs = (target.array.cols - target.reference_columns) // target.cells_per_weight
    each = read_ns(target, target.array.rows, outputs * target.slices)
    assert each is not None
    return target.chip.arrays_per_chip * 2 * target.array.rows * outputs / (1e-9 * each)
