"""Converter ranges of a tile, of its slices or of each column: planned from the same sums, learned alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pinat_compile.compiler.build import compile as compile_network
from pinat_compile.compiler.folder import load, save
from pinat_compile.training.finetune import finetune
from tests.zoo import NETWORKS, inputs_for


@pytest.mark.parametrize("per", ["tile", "slice", "column"])
def test_ranges_are_planned_saved_and_learned(per: str, tmp_path: Path) -> None:
    model = NETWORKS["lenet"]()
    inputs = inputs_for(model, batch=40)
    overrides = ["weights.bits=7", "cell.bits=3", "array.rows=32", "array.cols=40", f"adc.range_per={per}"]
    compiled = compile_network(model, "reram_128x128", calibration=inputs, overrides=overrides)
    for matrix in compiled.graph.matrices.values():
        assert matrix.ranges is not None and matrix.ranges.adc_range is not None
        assert matrix.cut is not None and matrix.cells is not None and matrix.cells.slices == 2
        shape = compiled.graph.tensors[matrix.ranges.adc_range].shape
        tiles = (matrix.cut.blocks * matrix.cut.row_tiles, matrix.cut.col_tiles)
        behind = {"tile": (1,), "slice": (2,), "column": (2, max(matrix.cut.tile_cols))}[per]
        assert shape == (*tiles, *behind)
    tuned = finetune(compiled, {**inputs, "y": np.arange(40) % 10}, epochs=1, batch_size=20, validation_chips=1)
    save(tuned, tmp_path / "tuned")
    again = load(tmp_path / "tuned")
    x = [torch.from_numpy(value) for value in inputs.values()]
    with torch.no_grad():
        first, second = (each.simulator(chip=3)(*x) for each in (tuned, again))
    assert torch.equal(torch.as_tensor(first), torch.as_tensor(second))


def test_finer_ranges_waste_fewer_codes() -> None:
    """A column's range is at most that of its slice, a slice's at most that of its tile."""
    model = NETWORKS["lenet"]()
    ranges = []
    for per in ("tile", "slice", "column"):
        overrides = ["weights.bits=7", "cell.bits=3", "mapping.adc_percentile=100", f"adc.range_per={per}"]
        compiled = compile_network(model, "reram_128x128", calibration=inputs_for(model, batch=16), overrides=overrides)
        matrix = next(iter(compiled.graph.matrices.values()))
        assert matrix.ranges is not None and matrix.ranges.adc_range is not None and matrix.cut is not None
        held = torch.from_numpy(compiled.graph.tensors[matrix.ranges.adc_range])
        ranges.append(held[..., : matrix.cut.tile_cols[0]] if per == "column" else held[..., None])
    tile, slices, columns = ranges
    assert bool((slices <= tile.transpose(2, 3)).all()) and float((tile.squeeze() - slices.max()).abs().max()) == 0
    assert bool((columns <= slices).all())
    torch.testing.assert_close(columns.amax(dim=-1, keepdim=True), slices)
