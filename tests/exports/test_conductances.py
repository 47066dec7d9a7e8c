"""Exported conductances: read back they are the integers that an ideal chip multiplies by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pinat_compile.compiler.build import compile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.summary import tiles
from pinat_compile.errors import OptionError
from pinat_compile.exports import write_conductances
from pinat_compile.exports.arrays import physical_arrays
from pinat_compile.hardware.loader import load_target
from pinat_compile.physics import crossbar
from pinat_compile.physics.tiling import tensor_of
from pinat_compile.simulator.arrays import ArrayMatrix
from pinat_compile.simulator.conditions import Conditions
from tests.zoo import Builder

Array = npt.NDArray[Any]

SMALL = ["array.rows=16", "array.cols=20", "dac.bits=6"]
PLANS = {
    "pairs": [*SMALL, "weights.bits=5", "cell.bits=4"],
    "slices of pairs": [*SMALL, "weights.bits=8", "cell.bits=3", "cell.g_min_us=2.0"],
    "bias": [*SMALL, "weights.bits=6", "weights.scheme=bias", "cell.bits=2", "cell.g_min_us=1.0"],
    "flipped": [*SMALL, "weights.bits=6", "weights.scheme=bias", "weights.flip=true", "cell.bits=2"],
    "offset": [*SMALL, "weights.bits=5", "weights.scheme=offset", "cell.bits=2", "cell.g_min_us=1.0"],
    "two-sided": [*SMALL, "weights.bits=5", "weights.two_sided=true", "cell.bits=4"],
    "continuous": [*SMALL],
}


@pytest.fixture(scope="module", params=PLANS)
def compiled(request: pytest.FixtureRequest) -> Compiled:
    """A Gemm of 37 inputs and 11 outputs, whose last tiles are smaller in both directions."""
    b = Builder("gemm")
    model = b.model(b.linear(b.input("x", ["batch", 37]), "fc", 37, 11))
    x = np.random.default_rng(0).uniform(-1.0, 1.0, (64, 37)).astype(np.float32)
    return compile(model, load_target("ideal_128x128", PLANS[request.param]), calibration={"x": x})


def read_back(folder: Path) -> Array:
    """Weights in steps [inputs, outputs] from the files alone, as the index describes them."""
    index = json.loads((folder / "index.json").read_text())
    (name, matrix), = index["matrices"].items()
    step = (index["g_max_us"] - index["g_min_us"]) / matrix["cell_max"]
    weights = np.zeros((matrix["rows"], matrix["cols"]))
    for entry in index["arrays"]:
        levels = (np.load(folder / entry["npy"]).astype(np.float64) - index["g_min_us"]) / step
        for tile in entry["tiles"]:
            assert tile["matrix"] == name
            (top, bottom), (left, right) = tile["row_range"], tile["col_range"]
            rows = slice(tile["first_row"], tile["first_row"] + bottom - top)
            for c in range(right - left):
                first = tile["first_col"] + c * tile["col_step"]
                column = levels[rows, first]
                if len(matrix["devices"]) == 2:
                    column = column - levels[rows, first + 1]
                if tile["reference_col"] is not None:
                    column = column - levels[rows, tile["reference_col"]]
                if tile["flipped"] is not None and c in tile["flipped"]:
                    column = matrix["cell_max"] - column
                weights[top:bottom, left + c] += matrix["slice_weights"][tile["slice"]] * column
    return weights - (matrix["weight_max"] + 1 if matrix["scheme"] == "bias" else 0)


def test_read_back_they_multiply_as_the_ideal_chip_does(compiled: Compiled, tmp_path: Path) -> None:
    weights = read_back(write_conductances(compiled, tmp_path / "g"))
    matrix = compiled.graph.matrices["fc"]
    assert matrix.cells is not None and matrix.ranges is not None and matrix.arrays > 3
    if matrix.cells.rounded:
        assert np.abs(weights - weights.round()).max() < 1e-4
        weights = weights.round()
        assert len(np.unique(weights)) > 10
    step = float(compiled.graph.tensors[str(matrix.ranges.dac_range)]) / 31
    codes = np.random.default_rng(1).integers(-31, 32, (5, 37))
    found = compiled.simulator(noise=False)(torch.from_numpy((codes * step).astype(np.float32)))
    scale = compiled.graph.tensors[matrix.ranges.weight_scale].astype(np.float64)
    bias = compiled.source.tensors["fc.bias"].astype(np.float64)
    sums = (found.numpy() - bias) / (scale * step)
    assert np.allclose(sums, codes @ weights, atol=2e-3)  # of sums of hundreds
    assert np.abs(codes @ weights).max() > 5


def test_they_are_the_targets_that_are_programmed(compiled: Compiled) -> None:
    """Device by device: those of one weight side by side, least significant slice first, plus before minus."""
    matrix = compiled.graph.matrices["fc"]
    cut, cells = matrix.cut, matrix.cells
    assert cut is not None and cells is not None
    held = ArrayMatrix(matrix, compiled.target)
    state = held.state(lambda name: tensor_of(compiled.graph.tensors[name]), Conditions(chip=None, time_s=1.0))
    wanted = crossbar.targets_us(state).numpy()
    arrays = {array.number: array for array in physical_arrays(compiled)}
    assert len(arrays) == matrix.arrays
    for row in range(cut.row_tiles):
        for col in range(cut.col_tiles):
            array = arrays[row * cut.col_tiles + col]
            rows, cols = cut.tile_rows[row], cut.tile_cols[col]
            expected = np.full(array.g_us.shape, np.float32(compiled.target.device.cell.g_min_us))
            for r in range(rows):
                devices = [wanted[row, col, s, r, c, d]
                           for c in range(cols) for s in range(cells.slices) for d in range(cells.devices)]
                if state.reference is not None:
                    reference = crossbar.targets_us(state.reference)
                    devices += reference[row, col, :, r, 0, 0].tolist()
                expected[r, : len(devices)] = devices
            assert np.array_equal(array.g_us, expected)
            used = cols * cells.cells_per_weight + cells.reference_columns
            assert array.used[:rows, :used].all() and int(array.used.sum()) == rows * used


def test_csv_lists_the_devices_that_hold_weights(compiled: Compiled, tmp_path: Path) -> None:
    folder = write_conductances(compiled, tmp_path / "g")
    for array in physical_arrays(compiled):
        stem = folder / f"array_{array.number:04d}"
        table = np.loadtxt(stem.with_suffix(".csv"), delimiter=",", skiprows=1)
        assert stem.with_suffix(".csv").read_text().startswith("array,row,col,g_us\n")
        assert (table[:, 0] == array.number).all() and len(table) == int(array.used.sum())
        rows, cols = table[:, 1:3].astype(int).T
        assert np.array_equal(np.load(stem.with_suffix(".npy"))[rows, cols], table[:, 3].astype(np.float32))


def test_tiles_are_those_of_the_report(compiled: Compiled, tmp_path: Path) -> None:
    text = (write_conductances(compiled, tmp_path / "g") / "index.json").read_text()
    index = json.loads(text)
    found = {(entry["array"], t["id"], t["slice"], *t["row_range"], *t["col_range"])
             for entry in index["arrays"] for t in entry["tiles"]}
    wanted = {(t["array"], t["id"], t["slice"], *t["row_range"], *t["col_range"]) for t in tiles(compiled)}
    assert found == wanted
    assert str(tmp_path) not in text and str(Path.cwd()) not in text
    flipped = [t["flipped"] for entry in index["arrays"] for t in entry["tiles"]]
    assert any(flipped) == compiled.target.weights.flip


def test_groups_stand_block_diagonally() -> None:
    """Two groups on one array: the cells between them hold level 0 and count as part of the tile."""
    b = Builder("grouped")
    model = b.model(b.conv(b.input("x", ["batch", 4, 3, 3]), "conv", (6, 2, 1, 1), group=2))
    x = np.random.default_rng(0).random((4, 4, 3, 3), dtype=np.float32)
    compiled = compile(model, load_target("ideal_128x128", PLANS["pairs"]), calibration={"x": x})
    (array,) = physical_arrays(compiled)
    level = array.g_us[:4, :12].reshape(4, 6, 2)
    net = level[..., 0] - level[..., 1]
    assert not net[:2, 3:].any() and not net[2:, :3].any() and net[:2, :3].any() and net[2:, 3:].any()


def test_a_folder_is_replaced_only_if_it_is_ours(compiled: Compiled, tmp_path: Path) -> None:
    folder = write_conductances(compiled, tmp_path / "g")
    write_conductances(compiled, folder)
    (folder / "mine.txt").write_text("not yours")
    with pytest.raises(OptionError, match="holds files that this export did not make"):
        write_conductances(compiled, folder)
    assert (folder / "mine.txt").read_text() == "not yours"
    assert [path.name for path in tmp_path.iterdir()] == ["g"]
