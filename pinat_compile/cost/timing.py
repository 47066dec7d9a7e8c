"""How long a product on arrays and a digital operator take, in nanoseconds."""

from __future__ import annotations

from pinat_compile.cost.operations import OpCount
from pinat_compile.graph.matrix import Matrix
from pinat_compile.hardware.schema import Target


def product_ns(target: Target, matrix: Matrix, reads: int = 1) -> float | None:
    """Time from one product to the next on the same arrays, read ``reads`` times; None where the target says no times.

    That of the fullest array: all work at once.
    """
    cells, cut = matrix.cells, matrix.cut
    assert cells is not None and cut is not None
    return read_ns(target, max(cut.tile_rows), max(cut.tile_cols) * cells.slices, reads, steps_of(target, matrix))


def steps_of(target: Target, matrix: Matrix) -> int:
    """Input steps of a product: one where the plan leaves the second pass out."""
    one_pass = matrix.ranges is not None and matrix.ranges.one_pass
    return 1 if one_pass else target.dac.steps


def read_ns(
    target: Target, rows: int, conversions: int, reads: int = 1, steps: int | None = None
) -> float | None:
    """Time of a product of one array: ``rows`` driven, every input step; ``conversions`` of columns per step.

    Conversions of a step overlap with the next step (the columns are held), so that the slower of the two counts.
    Every group of rows that is driven together, and every one of ``reads``, takes its steps anew. The devices of a
    pair, and so two columns, share a conversion.
    """
    if target.timing is None:
        return None
    groups = -(-rows // (target.array.rows_on or rows))
    steps = target.dac.steps if steps is None else steps
    step = target.timing.step_ns
    rate = None if target.converter is None or target.adc.bits is None else target.converter.rate_gs_s
    convert = 0.0 if rate is None else -(-conversions // converters_per_array(target)) / rate
    once = max(steps * step, convert) if target.dac.converted_at_once else steps * max(step, convert)
    return reads * groups * once


def converters_per_array(target: Target) -> int:
    """ADCs of an array: one per ``converter.columns`` device columns, else one per conversion."""
    devices = 2 if target.weights.scheme == "differential" else 1
    if target.converter is None or target.converter.columns is None:
        return target.array.cols // devices
    return -(-target.array.cols // target.converter.columns)


def digital_ns(target: Target, ops: OpCount, tiles: float = 1.0) -> float:
    """Time of digital operations on the units and buffers of ``tiles`` tiles; what the target does not say takes none.

    Arithmetic and memory overlap: the slower counts.
    """
    timing = target.timing
    if timing is None:
        return 0.0
    compute = 0.0 if timing.digital_gops is None else (ops.adds + ops.muls) / timing.digital_gops
    memory = 0.0 if timing.buffer_gb_s is None else ops.bytes / timing.buffer_gb_s
    return max(compute, memory) / max(tiles, 1.0)
