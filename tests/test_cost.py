"""Costs: totals are sums of their parts, array energy is the sum over its devices, counts follow from the plan."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pinat_compile.cost import Cost, Programmed, estimate_network
from pinat_compile.cost.estimate import bytes_per_value, uncounted_keys
from pinat_compile.cost.operations import OpCount, digital_ops
from pinat_compile.cost.tiles import TILE_COMPONENTS, TileCosts, mean_square_drive, tile_costs
from pinat_compile.cost.value import COMPONENTS
from pinat_compile.errors import OptionError
from pinat_compile.graph.graph import Graph, Node, Placement
from pinat_compile.graph.matrix import Cells, Cut, Matrix
from pinat_compile.graph.ops import OPS
from pinat_compile.graph.ops.activation import Relu
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.graph.ops.base import Op
from pinat_compile.graph.ops.elementwise import Mean
from pinat_compile.graph.ops.linear import Conv, ConvTranspose, Gemm, MatMul
from pinat_compile.graph.ops.pooling import AveragePool, MaxPool
from pinat_compile.graph.ops.product import Einsum
from pinat_compile.graph.ops.reduction import ReduceMean
from pinat_compile.graph.ops.shape import Reshape, Transpose
from pinat_compile.hardware.loader import load_target
from pinat_compile.hardware.schema import DacSection
from pinat_compile.physics.tiling import Tiling

RERAM, ISAAC = load_target("reram_128x128"), load_target("isaac")
PAIR = Cells(scheme="differential", weight_max=15, cell_max=15, slice_bits=(4,))
EIGHT = Cells(scheme="bias", weight_max=32767, cell_max=3, slice_bits=(2,) * 8, flip=True)


# --- the value ---


def test_costs_add_and_scale() -> None:
    total = Cost(array=1.0, adc=2.0) + Cost(adc=3.0, digital=4.0)
    assert total == Cost(array=1.0, adc=5.0, digital=4.0)
    assert total * 2 == 2 * total == Cost(array=2.0, adc=10.0, digital=8.0)
    assert sum([Cost(dac=1.0), Cost(dac=2.0)], Cost()) == Cost(dac=3.0)
    without_start: Cost | int = sum([Cost(dac=1.0), Cost(dac=2.0)])
    assert without_start == Cost(dac=3.0)


def test_what_is_not_counted_stays_none() -> None:
    nothing = Cost() + Cost()
    assert nothing == Cost() and nothing.energy_total is None and (3 * nothing).array is None
    assert nothing.energy_j == {"total": None, **dict.fromkeys(COMPONENTS)}


@given(st.lists(st.fixed_dictionaries({name: st.none() | st.floats(0, 1) for name in COMPONENTS}), max_size=5))
def test_total_is_the_sum_over_components(parts: list[dict[str, float | None]]) -> None:
    total = sum((Cost(**part) for part in parts), Cost())
    numbers = [value for part in parts for value in part.values() if value is not None]
    if numbers:
        assert total.energy_total == pytest.approx(math.fsum(numbers))
    else:
        assert total.energy_total is None


def test_writing_is_not_part_of_an_inference() -> None:
    assert Cost(write=1.0).energy_total is None


# --- tiles ---


def cuts(size: int, tile: int) -> tuple[int, ...]:
    return (*range(0, size, tile), size)


def matrix_of(cells: Cells, blocks: int, rows: int, cols: int, tile_rows: int, tile_cols: int) -> Matrix:
    cut = Cut(blocks=blocks, row_cuts=cuts(rows, tile_rows), col_cuts=cuts(cols, tile_cols))
    return Matrix(
        name="m", weight="w", view="out_in", rows=rows, cols=cols, groups=blocks, cells=cells, cut=cut
    )


def tiles_of(dense: Tensor, matrix: Matrix) -> Tensor:
    """[blocks, rows, cols, slice, device] as tiles, with conductance in the padding that must not count."""
    assert matrix.cut is not None
    tiling = Tiling(matrix.cut)
    tiles, inside = tiling.split(dense), tiling.split(torch.ones_like(dense))
    return torch.where(inside > 0, tiles, 1e6).permute(0, 1, 4, 2, 3, 5)


@settings(max_examples=40, deadline=None)
@given(
    cells=st.sampled_from([PAIR, EIGHT]),
    blocks=st.integers(1, 3),
    rows=st.integers(1, 9),
    cols=st.integers(1, 7),
    tile_rows=st.integers(1, 5),
    tile_cols=st.integers(1, 4),
    mvms=st.integers(1, 5),
    seed=st.integers(0, 1000),
)
def test_tiles_against_brute_force(
    cells: Cells, blocks: int, rows: int, cols: int, tile_rows: int, tile_cols: int, mvms: int, seed: int
) -> None:
    target = RERAM if cells is PAIR else ISAAC
    energy = target.energy
    assert energy is not None and energy.read_voltage_v and energy.read_pulse_ns
    matrix = matrix_of(cells, blocks, rows, cols, tile_rows, tile_cols)
    assert matrix.cut is not None
    generator = torch.Generator().manual_seed(seed)
    dense = torch.rand(blocks, rows, cols, cells.slices, cells.devices, generator=generator) * 40
    drive = torch.rand(blocks, rows, generator=generator)
    tiles = tile_costs(target, matrix, mvms=mvms, conductance_us=tiles_of(dense, matrix), drive=drive)

    array = 0.0
    for index in np.ndindex(*dense.shape):
        joules = energy.read_voltage_v**2 * float(dense[index]) * 1e-6 * energy.read_pulse_ns * 1e-9
        array += mvms * float(drive[index[:2]]) * joules
    steps, bits = target.dac.steps, target.dac.bits
    assert bits is not None and energy.register_pj_per_byte is not None
    row_tiles, col_tiles = matrix.cut.row_tiles, matrix.cut.col_tiles
    conversions = mvms * blocks * cols * row_tiles * cells.slices * steps
    counts = {
        "dac": mvms * blocks * rows * col_tiles * steps,
        "adc": conversions,
        "sample_hold": conversions,
        "shift_add": conversions - mvms * blocks * cols,
        "registers": mvms * blocks * (rows * col_tiles * bits / 8 + 2 * cols * row_tiles * steps),
        "write": blocks * rows * cols * cells.cells_per_weight,
    }
    total = tiles.total
    assert total.array == pytest.approx(array, rel=1e-5)
    for name, count in counts.items():
        constant = energy.register_pj_per_byte if name == "registers" else getattr(energy, f"{name}_pj")
        assert getattr(total, name) == pytest.approx(count * constant * 1e-12, rel=1e-9), name
    assert tiles.energy_j is not None and tiles.energy_j.shape == (blocks * row_tiles, col_tiles, cells.slices)
    assert tiles.energy_j.sum() == pytest.approx(total.energy_total)
    assert {name for name in TILE_COMPONENTS if getattr(tiles, name) is None} == {"laser", "modulator", "detector"}
    for name in set(TILE_COMPONENTS) - {"laser", "modulator", "detector"}:
        assert getattr(tiles, name).shape == tiles.energy_j.shape and (getattr(tiles, name) >= 0).all()


def example() -> tuple[Matrix, Tensor, Tensor]:
    matrix = matrix_of(PAIR, 2, 10, 6, 4, 4)
    generator = torch.Generator().manual_seed(3)
    return matrix, torch.rand(2, 10, 6, 1, 2, generator=generator) * 40, torch.rand(2, 10, generator=generator)


def test_array_energy_belongs_to_its_tile() -> None:
    matrix, dense, drive = example()
    dense[1, 4:8, 4:6] = 0.0  # block 1, row tile 1, column tile 1
    tiles = tile_costs(RERAM, matrix, mvms=1, conductance_us=tiles_of(dense, matrix), drive=drive)
    assert tiles.array is not None
    zero = tiles.array[:, :, 0] == 0
    assert zero[4, 1] and zero.sum() == 1


def test_energy_falls_when_conductances_or_inputs_fall() -> None:
    matrix, dense, drive = example()

    def array(scale: float, volume: float) -> float:
        tiles = tile_costs(RERAM, matrix, mvms=1, conductance_us=tiles_of(scale * dense, matrix), drive=volume * drive)
        assert tiles.total.array is not None
        return tiles.total.array

    assert array(0.5, 1.0) == pytest.approx(0.5 * array(1.0, 1.0))
    assert array(1.0, 0.25) == pytest.approx(0.25 * array(1.0, 1.0))
    assert array(1.0, 0.0) == 0.0


def test_a_constant_left_out_is_not_counted() -> None:
    left_out = {"energy.adc_pj", "energy.read_voltage_v", "energy.read_pulse_ns"}
    target = load_target("reram_128x128", dict.fromkeys({*left_out, "converter"}))
    matrix, dense, drive = example()
    total = tile_costs(target, matrix, mvms=1, conductance_us=tiles_of(dense, matrix), drive=drive).total
    assert total.adc is None and total.array is None and total.dac is not None
    assert set(uncounted_keys(target)) == left_out
    ideal = load_target("ideal_128x128")
    tiles = tile_costs(ideal, matrix, mvms=1, conductance_us=tiles_of(dense, matrix), drive=drive)
    assert tiles.total == Cost() and tiles.energy_j is None


def test_a_full_isaac_array() -> None:
    """Shafiee et al., ISCA 2016, Table I: the ADC alone takes 1.56 pJ per MAC; 8 b at 1.28 GS/s, 16 steps, 8 slices."""
    matrix = matrix_of(EIGHT, 1, 128, 16, 128, 16)
    mid = torch.full((1, 128, 16, 8, 1), 400.0)
    half = torch.full((1, 128), 8.0)  # half of the 16 bits are ones
    total = tile_costs(ISAAC, matrix, mvms=1, conductance_us=tiles_of(mid, matrix), drive=half).total
    assert total.adc is not None and total.array is not None and total.energy_total is not None
    assert total.adc / (128 * 16) == pytest.approx(1.5625e-12)
    assert total.array == pytest.approx(16 * 30e-12, rel=2e-3)
    assert total.energy_total / (128 * 16) == pytest.approx(2.3516e-12, rel=2e-3)  # an IMA's share of Table I


def test_conductances_that_do_not_fit_the_cut() -> None:
    matrix, dense, drive = example()
    with pytest.raises(OptionError, match="do not fit the cut"):
        tile_costs(RERAM, matrix, mvms=1, conductance_us=tiles_of(dense, matrix)[1:], drive=drive)
    with pytest.raises(OptionError, match="has no plan yet"):
        unplanned = replace(matrix, cut=None)
        tile_costs(RERAM, unplanned, mvms=1, conductance_us=tiles_of(dense, matrix), drive=drive)


# --- inputs ---


def test_drive_of_amplitudes() -> None:
    codes = torch.tensor([[127.0, 0.0], [-127.0, 64.0]])
    assert mean_square_drive(codes, DacSection(bits=8)).tolist() == pytest.approx([1.0, 0.5 * (64 / 127) ** 2])
    assert mean_square_drive(torch.tensor([[0.5]]), DacSection()).tolist() == [0.25]


@given(st.integers(1, 4), st.integers(2, 12), st.data())
def test_drive_of_bit_serial_inputs(step_bits: int, bits: int, data: st.DataObject) -> None:
    """The bits below the sign in groups of ``step_bits``, then the sign alone, each against the largest digit."""
    step_bits = min(step_bits, bits - 1)
    codes = data.draw(st.lists(st.integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1), min_size=1, max_size=6))
    top, expected = (1 << step_bits) - 1, 0.0
    for code in codes:
        rest = code % (1 << (bits - 1))
        expected += (1 / top) ** 2 if code < 0 else 0.0
        while rest:
            expected += ((rest & top) / top) ** 2
            rest >>= step_bits
    dac = DacSection(bits=bits, encoding="bit_serial", step_bits=step_bits)
    drive = mean_square_drive(torch.tensor(codes, dtype=torch.float32)[:, None], dac)
    assert drive.item() == pytest.approx(expected / len(codes))


def test_drive_of_pulse_widths_is_the_share_of_the_time() -> None:
    codes = torch.tensor([[127.0, 0.0], [-127.0, 64.0]])
    drive = mean_square_drive(codes, DacSection(bits=8, encoding="pulse_width"))
    assert drive.tolist() == pytest.approx([1.0, 0.5 * 64 / 127])


# --- digital operators ---


@pytest.mark.parametrize(
    ("op", "inputs", "outputs", "adds", "muls"),
    [
        (Relu(), [(1, 4, 5)], [(1, 4, 5)], 20, 0),
        (Mean(), [(6,), (6,), (6,)], [(6,)], 12, 6),
        (MatMul(), [(2, 3, 4), (4, 5)], [(2, 3, 5)], 120, 120),
        (Gemm(), [(1, 4), (4, 5), (5,)], [(1, 5)], 25, 20),
        (Gemm(trans_a=1), [(4, 2), (4, 5)], [(2, 5)], 40, 40),
        (Conv(), [(1, 6, 8, 8), (4, 3, 3, 3), (4,)], [(1, 4, 6, 6)], 144 * 27 + 144, 144 * 27),
        (ConvTranspose(), [(1, 2, 3, 3), (2, 4, 2, 2)], [(1, 4, 6, 6)], 18 * 16, 18 * 16),
        (MaxPool(kernel_shape=(2, 2)), [(1, 3, 4, 4)], [(1, 3, 2, 2)], 48, 0),
        (AveragePool(kernel_shape=(2, 2)), [(1, 3, 4, 4)], [(1, 3, 2, 2)], 48, 12),
        (ReduceMean(), [(1, 3, 4, 4), (2,)], [(1, 3, 1, 1)], 48, 3),
        (Einsum(equation="bij,bjk->bik"), [(2, 3, 4), (2, 4, 5)], [(2, 3, 5)], 120, 120),
        (Einsum(equation="...ij,jk->...ik"), [(2, 7, 3, 4), (4, 5)], [(2, 7, 3, 5)], 840, 840),
        (Transpose(), [(3, 4)], [(4, 3)], 0, 0),
    ],
)
def test_operation_counts(
    op: Op, inputs: list[tuple[int, ...]], outputs: list[tuple[int, ...]], adds: int, muls: int
) -> None:
    values = sum(math.prod(shape) for shape in inputs + outputs)
    assert digital_ops(op, inputs, outputs, bytes_per_value=2) == OpCount(adds, muls, 2 * values)


def test_reshape_costs_nothing() -> None:
    assert digital_ops(Reshape(), [(3, 4), (1,)], [(12,)], bytes_per_value=1) == OpCount()


def test_tables_name_real_operators() -> None:
    from pinat_compile.cost import operations

    for table in (operations.FREE, operations.PER_OUTPUT, operations.PER_INPUT, operations._SPECIAL):
        assert set(table) <= set(OPS)


# --- a network ---


def network() -> tuple[Graph, dict[str, tuple[int, ...]], dict[str, Programmed]]:
    """conv -> relu -> reshape -> two products with one matrix -> an operator whose shape nobody knows."""
    analog, digital = Placement("analog", "constant weights"), Placement("digital", "no weights")
    convolution = ArrayMvm(matrix="conv", kernel_shape=(3, 3), strides=(1, 1), pads=(0, 0, 0, 0), dilations=(1, 1))
    graph = Graph(
        "net",
        ["x"],
        ["z"],
        nodes=[
            Node("conv", convolution, ("x", "", ""), ("a",), analog),
            Node("relu", Relu(), ("a",), ("b",), digital),
            Node("flat", Reshape(), ("b", "shape"), ("c",), digital),
            Node("fc1", ArrayMvm(matrix="fc"), ("c", "", ""), ("d",), analog),
            Node("fc2", ArrayMvm(matrix="fc"), ("d", "", ""), ("e",), analog),
            Node("odd", Transpose(), ("e",), ("z",), digital),
        ],
    )
    shapes: dict[str, tuple[int, ...]] = {
        "x": (1, 1, 4, 4), "a": (1, 2, 2, 2), "b": (1, 2, 2, 2), "c": (1, 8), "d": (1, 8), "e": (1, 8), "shape": (2,)
    }  # fmt: skip
    generator = torch.Generator().manual_seed(5)
    programmed = {}
    for name, rows, cols in (("conv", 9, 2), ("fc", 8, 8)):
        matrix = replace(matrix_of(PAIR, 1, rows, cols, 4, 4), name=name)
        graph.matrices[name] = matrix
        dense = torch.rand(1, rows, cols, 1, 2, generator=generator) * 40
        programmed[name] = Programmed(tiles_of(dense, matrix), torch.rand(1, rows, generator=generator))
    return graph, shapes, programmed


def test_network_total_is_the_sum_over_layers_tiles_and_components() -> None:
    graph, shapes, programmed = network()
    costs = estimate_network(graph, RERAM, shapes.get, programmed)
    assert [layer.name for layer in costs.layers] == ["conv", "relu", "flat", "fc1", "fc2", "odd"]
    parts = [
        value
        for layer in costs.layers
        for name in COMPONENTS
        if (value := getattr(layer.cost, name)) is not None
    ]
    assert costs.total.energy_total == pytest.approx(math.fsum(parts))
    tiles = [layer.tiles for layer in costs.layers if isinstance(layer.tiles, TileCosts)]
    on_tiles = math.fsum(float(t.energy_j.sum()) for t in tiles if t.energy_j is not None)
    beside = math.fsum(
        value
        for layer in costs.layers
        for name in COMPONENTS
        if name not in TILE_COMPONENTS and (value := getattr(layer.cost, name)) is not None
    )
    assert costs.total.energy_total == pytest.approx(on_tiles + beside)
    assert costs.uncounted == ()


def test_layers_of_a_network() -> None:
    graph, shapes, programmed = network()
    conv, relu, flat, fc1, fc2, odd = estimate_network(graph, RERAM, shapes.get, programmed).layers
    assert (conv.mvms, conv.macs, conv.where, conv.matrix) == (4, 4 * 18, "analog", "conv")
    assert conv.why == "constant weights"
    assert (fc1.mvms, fc1.macs) == (1, 64)
    assert conv.ops == OpCount(adds=4 * 2, muls=4 * 2, bytes=4 * 9 + 8)  # every window is read whole
    assert relu.cost.digital == pytest.approx(8 * 0.265e-12)
    assert (relu.macs, relu.mvms, relu.tiles) == (None, None, None)
    assert flat.cost.energy_total == 0.0
    assert not odd.counted and odd.cost == Cost()
    assert fc1.cost.write is not None and fc2.cost.write is None
    assert fc2.cost.energy_total == pytest.approx(fc1.cost.energy_total)


def test_total_macs_and_bytes() -> None:
    graph, shapes, programmed = network()
    assert estimate_network(graph, RERAM, shapes.get, programmed).macs == 72 + 128
    assert (bytes_per_value(RERAM), bytes_per_value(ISAAC), bytes_per_value(load_target("ideal_128x128"))) == (1, 2, 4)


def test_a_matrix_without_conductances_is_named() -> None:
    graph, shapes, programmed = network()
    with pytest.raises(OptionError, match="node 'fc1'.*matrix 'fc'"):
        estimate_network(graph, RERAM, shapes.get, {"conv": programmed["conv"]})


def test_write_verify_pays_for_every_pulse() -> None:
    """Energy of writing: pulses expected at each device's target, of used cells only."""
    verify = ["programming.times_s=[1.0]", "programming.coefficients=[[1.0]]", "write_verify.tolerance_us=1.0",
              "write_verify.max_pulses=1000", "write_verify.pulse_pj=2.0"]  # fmt: skip
    target = load_target("reram_128x128", verify)
    graph, shapes, programmed = network()
    conv, *_ = estimate_network(graph, target, shapes.get, programmed).layers
    pulses = 1.0 / math.erf(1.0 / math.sqrt(2.0))
    assert conv.cost.write == pytest.approx(9 * 2 * 2 * pulses * 2e-12, rel=1e-5)


def test_cost_has_a_field_for_every_component() -> None:
    assert set(COMPONENTS) < {item.name for item in fields(Cost)}
