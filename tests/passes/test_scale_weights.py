"""The clip that scale-weights takes is the one of least expected error, computed weight by weight from its formula."""

import numpy as np
import numpy.typing as npt
import pytest

from pinat_compile.frontend.calibration import Calibration, MatrixInputs
from pinat_compile.hardware.loader import load_target
from pinat_compile.passes.scale_weights import CANDIDATES, ScaleWeights
from pinat_compile.physics import crossbar
from tests.simulator.layers import layer

CASES: tuple[tuple[str, list[str], tuple[int, ...], int], ...] = (
    ("reram_128x128", [], (12, 7, 3, 3), 1),
    ("reram_128x128", [], (12, 2, 3), 4),  # groups
    ("reram_128x128", ["weights.bits=9"], (5, 40), 1),  # more levels than are drawn
    ("reram_128x128", ["mapping.per_column=false"], (5, 40), 1),
    ("reram_128x128", ["weights.scheme=bias"], (5, 40), 1),
    ("pcm_256x256", [], (5, 40), 1),  # conductances in between levels
    ("pcm_256x256", [], (3, 2500), 1),  # rows are sampled
)


@pytest.mark.parametrize(("target", "overrides", "shape", "groups"), CASES)
def test_least_expected_error(target: str, overrides: list[str], shape: tuple[int, ...], groups: int) -> None:
    rng = np.random.default_rng(1)
    weight = rng.standard_normal(shape).astype(np.float32)
    weight[1] = 0.0
    chip = load_target(target, overrides)
    mapped = layer(chip, weight, groups=groups)
    matrix, cells = mapped.matrix, mapped.matrix.cells
    x = rng.random((20, matrix.inputs), dtype=np.float32)
    graph = ScaleWeights(chip, Calibration("test", 20, {"m": MatrixInputs(x)})).run(mapped.graph)
    ranges = graph.matrices["m"].ranges
    assert ranges is not None and cells is not None
    rows = np.unique(np.linspace(0, matrix.rows - 1, min(matrix.rows, 2048)).astype(int))
    levels, variance = crossbar.level_variance(cells, chip.device)
    by_output = weight.reshape(len(weight), -1).astype(np.float64)
    power = np.square(x, dtype=np.float64).mean(axis=0).reshape(groups, -1)[:, rows]
    largest = np.abs(by_output).max(axis=1)
    if not chip.mapping.per_column:
        largest = np.full_like(largest, largest.max())

    def error(output: int, share: float) -> float:
        step = share * largest[output] / cells.weight_max if largest[output] else 1.0
        found: npt.NDArray[np.float64] = by_output[output, rows] / step
        held = np.clip(found, -cells.weight_max, cells.weight_max)
        held = np.rint(held) if cells.rounded else held
        noise = np.interp(np.abs(held), levels, variance)
        return float(power[output // matrix.cols] @ ((found - held) ** 2 + noise) * step**2)

    errors = np.array([[error(output, share) for output in range(len(weight))] for share in CANDIDATES])
    if not chip.mapping.per_column:
        errors[:] = errors.sum(axis=1, keepdims=True)
    clip = CANDIDATES[errors.argmin(axis=0)] * largest
    expected = np.where(clip > 0, clip, 1.0) / cells.weight_max
    np.testing.assert_allclose(graph.tensors[ranges.weight_scale], expected, rtol=1e-6)
