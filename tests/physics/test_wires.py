"""Wires under tiles: where the devices of a weight stand, what it does to weights, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pinat_compile.compiler.build import compile
from pinat_compile.errors import TargetError
from pinat_compile.graph.matrix import Cells, Cut
from pinat_compile.hardware.loader import load_target
from pinat_compile.hardware.schema import Target
from pinat_compile.physics import crossbar
from pinat_compile.physics.ir_drop import column_currents
from pinat_compile.physics.randomness import Key
from pinat_compile.physics.tiling import Tiling
from pinat_compile.physics.wires import Wires

MODEL = Path(__file__).parents[2] / "examples" / "resnet8_fashion_mnist.onnx"
CELLS = {
    "pairs": Cells("differential", weight_max=15, cell_max=15, slice_bits=(4,)),
    "sliced pairs": Cells("differential", weight_max=31, cell_max=7, slice_bits=(3, 2)),
    "offset": Cells("bias", weight_max=7, cell_max=3, slice_bits=(2, 2), flip=True),
}


def target(row_ohm: float, col_ohm: float, size: int = 24, g_min_us: float = 2.0) -> Target:
    return load_target(
        "reram_128x128",
        {"wires.row_ohm": row_ohm, "wires.col_ohm": col_ohm, "array.rows": size, "array.cols": size,
         "cell.g_min_us": g_min_us},
    )  # fmt: skip


def steps(rows: int, cols: int, cells: Cells, seed: int = 0) -> Tensor:
    """Weights in steps [1, rows, cols]."""
    drawn = torch.rand(1, rows, cols, generator=torch.Generator().manual_seed(seed)) * 2.0 - 1.0
    return (drawn * cells.weight_max).round()


def states(
    cells: Cells, chip: Target, cut: Cut, weights: Tensor, *, key: Key | None = None
) -> tuple[crossbar.State, crossbar.State]:
    """The same weights on the same chip, without wires and with those of ``chip``."""
    without = crossbar.program(weights, cells, chip.device, Tiling(cut), key)
    return without, crossbar.program(weights, cells, chip.device, Tiling(cut), key, Wires.of(chip))


@pytest.mark.parametrize("g_min_us", [0.0, 2.0])
@pytest.mark.parametrize("name", CELLS)
def test_devices_stand_as_documented(name: str, g_min_us: float) -> None:
    """The array, put together device by device: slices side by side, plus before minus, unused cells at g_min."""
    cells, chip, cut = CELLS[name], target(5.0, 9.0, g_min_us=g_min_us), Cut(1, (0, 13, 20), (0, 4, 5))
    _, state = states(cells, chip, cut, steps(20, 5, cells), key=Key(("chip", 3)))
    held = crossbar.conductances_us(state)  # [row_tile, col_tile, slice, rows, cols, device]
    felt = crossbar.effective(state)
    unit = crossbar.step_us(state)
    assert felt.shape == (2, 2, cells.slices, 13, 4)
    for row_tile, col_tile in ((0, 0), (1, 0), (0, 1)):
        array = torch.full((24, 24), g_min_us, dtype=torch.float64)
        for place in np.ndindex(13, 4, cells.slices, cells.devices):
            row, col, piece, device = place
            line = (col * cells.slices + piece) * cells.devices + device
            array[23 - row, line] = held[row_tile, col_tile, piece, row, col, device]  # row 0 next to the sensing end
        volts = torch.zeros(13, 24, dtype=torch.float64)
        volts[torch.arange(13), 23 - torch.arange(13)] = 1.0
        siemens = column_currents(array * 1e-6, volts, 5.0, 9.0)[:, : 4 * cells.cells_per_weight]
        devices = siemens.reshape(13, 4, cells.slices, cells.devices).permute(2, 0, 1, 3) * 1e6
        if cells.scheme == "differential":
            wanted = (devices[..., 0] - devices[..., 1]) / unit
        else:
            wanted = (devices[..., 0] - g_min_us) / unit
        assert float((felt[row_tile, col_tile] - wanted).abs().max()) <= 1e-4  # of up to 15 steps, float32


@pytest.mark.parametrize("name", CELLS)
def test_no_resistance_is_no_wires(name: str) -> None:
    cells, cut = CELLS[name], Cut(1, (0, 20), (0, 4))
    assert Wires.of(target(0.0, 0.0)) is None
    without, state = states(cells, target(0.0, 1e-12), cut, steps(20, 4, cells), key=Key(("chip", 3)))
    assert state.wires is not None and not state.ideal
    found, wanted = crossbar.effective(state), crossbar.effective(without)
    assert float((found - wanted).abs().max()) <= 1e-6 * cells.cell_max


def test_more_ohms_take_more_of_every_column() -> None:
    cells, cut = CELLS["pairs"], Cut(1, (0, 24), (0, 12))
    weights = steps(24, 12, cells).abs()
    sums = []
    for ohm in (1e-9, 1.0, 10.0, 100.0):
        state = crossbar.program(weights, cells, target(ohm, ohm).device, Tiling(cut), None, Wires.of(target(ohm, ohm)))
        sums.append(crossbar.effective(state).sum(dim=3))
    for more, less in zip(sums, sums[1:], strict=False):
        assert bool((less < more).all())


def test_smaller_arrays_lose_less() -> None:
    """Xiao et al., arXiv 2109.01262: the error of a product under wires grows with the array."""
    cells, errors = CELLS["pairs"], []
    weights, x = steps(128, 64, cells), torch.rand(200, 128, generator=torch.Generator().manual_seed(1))
    for size in (16, 32, 64, 128):
        chip, cut = target(2.0, 2.0, size), Cut(1, (*range(0, 128, size), 128), (*range(0, 64, size // 2), 64))
        tiling = Tiling(cut)
        state = crossbar.program(weights, cells, chip.device, tiling, None, Wires.of(chip))
        felt = tiling.rows(crossbar.effective(state))[:, 0].reshape(128, 64)
        errors.append(float((x @ (felt - weights[0])).square().mean().sqrt()))
    assert errors == sorted(errors)


def test_gradient_of_weights() -> None:
    """What a column loses, its weights' gradients lose: below 1 per step, and less of it with more resistance."""
    cells, cut, slopes = CELLS["pairs"], Cut(1, (0, 24), (0, 12)), []
    for ohm in (1e-9, 20.0, 200.0):
        chip, weights = target(ohm, ohm), steps(24, 12, CELLS["pairs"]).abs().clamp(min=1.0).requires_grad_()
        state = crossbar.program(weights, cells, chip.device, Tiling(cut), None, Wires.of(chip))
        crossbar.effective(state).sum().backward()  # type: ignore[no-untyped-call]
        assert weights.grad is not None
        slopes.append(float(weights.grad.mean()))
    assert slopes[0] == pytest.approx(1.0, abs=1e-5) and slopes[0] > slopes[1] > slopes[2] > 0.0


def test_target_with_wires_runs() -> None:
    """A chip feels its wires; the ideal execution does not, and neither does a chip whose wires are perfect."""
    x = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    plain = compile(MODEL, "reram_128x128")
    overrides = ([f"wires.row_ohm={ohm}", f"wires.col_ohm={ohm}"] for ohm in (0.0, 1.0))
    none, some = (compile(MODEL, "reram_128x128", overrides=each) for each in overrides)
    with torch.inference_mode():
        ideal, real = plain.simulator(noise=False)(x), plain.simulator(chip=0)(x)
        assert torch.equal(some.simulator(noise=False)(x), ideal)
        assert torch.equal(none.simulator(chip=0)(x), real)
        felt = some.simulator(chip=0)(x)
        assert not torch.allclose(felt, real, rtol=1e-3)
        assert torch.equal(some.simulator(chip=0)(x), felt)


def test_impossible_wires() -> None:
    with pytest.raises(TargetError, match=r"wires.row_ohm = -1.0: must be a number, 0 or more"):
        target(-1.0, 1.0)
    with pytest.raises(TargetError, match="wires.col_ohm is missing"):
        load_target("reram_128x128", ["wires.row_ohm=1.0"])
