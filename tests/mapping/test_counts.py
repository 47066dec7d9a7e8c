"""Arrays per layer against an independent count (tests/cost/published), and what packing and reloading make of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from pinat_compile.graph import Graph
from pinat_compile.graph.arrays import count_arrays, owned_arrays, reloaded, rounds, standing
from pinat_compile.hardware.loader import load_target
from tests.mapping.planning import arrays_by_layer, lowered, mapped
from tests.zoo import Builder, resnet18_imagenet

COUNTS = json.loads(
    (Path(__file__).parents[1] / "cost" / "published" / "crossbar_count_resnet18.json").read_text("utf-8")
)
"""ceil(rows / R) * ceil(outputs / floor(C / cells)) per layer, computed elsewhere."""

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
TOPOLOGIES = sorted(LIGHT.glob("light_*.onnx"))
BOARD = ["array.rows=128", "array.cols=128", "chip.arrays_per_core=64", "chip.cores_per_tile=1", "chip.tiles=144"]


@pytest.fixture(scope="module")
def resnet18() -> Graph:
    return lowered(resnet18_imagenet())


@pytest.mark.parametrize("scheme", COUNTS)
def test_resnet18_under_every_scheme(resnet18: Graph, scheme: str) -> None:
    asked = COUNTS[scheme]
    pairs = asked["scheme"] != "unsigned"
    overrides = {
        "array.rows": asked["array"][0],
        "array.cols": asked["array"][1],
        "weights.bits": asked["weight_bits"],
        "weights.scheme": "differential" if pairs else "bias",
        "weights.flip": False,
        "cell.bits": asked["cell_bits"],
    }
    graph, _ = mapped(resnet18, load_target("isaac", overrides))
    found = arrays_by_layer(graph)
    assert found == asked["layers"] and sum(found.values()) == asked["total"]["xbars"]


def test_there_are_nine_topologies() -> None:
    assert len(TOPOLOGIES) == 9


@pytest.mark.parametrize("overrides", [[], BOARD], ids=["isaac", "144x64"])
@pytest.mark.parametrize("path", TOPOLOGIES, ids=lambda path: path.stem)
def test_nothing_stands_beyond_the_board(path: Path, overrides: list[str]) -> None:
    target = load_target("isaac", overrides)
    assert target.chip is not None
    graph, records = mapped(lowered(path), target)
    needed = count_arrays(graph)
    places = np.concatenate([standing(matrix).reshape(-1) for matrix in graph.matrices.values()])
    assert places.max() < target.chip.capacity and len(places) == needed
    contents = np.bincount(places)
    assert rounds(graph) == contents.max() == -(-needed // target.chip.capacity)
    anew = reloaded(graph)
    assert bool(anew) == (needed > target.chip.capacity)
    for name, tiles in anew.items():
        np.testing.assert_array_equal(tiles, contents[standing(graph.matrices[name])[0]] > 1)
    [gain] = [record.gain for record in records if record.name == "plan-reloads"]
    assert bool(gain) == bool(anew)


def depthwise(channels: int, stride: int = 1) -> Graph:
    b = Builder("depthwise")
    x = b.input("x", ["n", channels, 28, 28])
    conv = b.conv(x, "conv", (channels, 1, 3, 3), group=channels, strides=[stride, stride], pads=[1, 1, 1, 1])
    return lowered(b.model(conv))


MOBILENET_V2 = {32: 1, 96: 1, 144: 2, 192: 3, 384: 4, 576: 3, 960: 3}
"""Depthwise 3 x 3 layers of MobileNetV2 (Sandler et al., CVPR 2018, table 2): channels, and how many layers each."""


@pytest.mark.parametrize(("target", "overrides"), [("isaac", []), ("reram_128x128", []), ("isaac", ["weights.bits=8"])])
def test_depthwise_layers_of_mobilenet_v2(target: str, overrides: list[str]) -> None:
    """Groups stand block-diagonally: at most a quarter of what the dense matrix of the same layers needs."""
    chip = load_target(target, overrides)
    per_array = chip.array.cols // chip.cells_per_weight
    dense = sparse = 0
    for channels, layers in MOBILENET_V2.items():
        graph, _ = mapped(depthwise(channels), chip)
        sparse += layers * count_arrays(graph)
        dense += layers * -(-9 * channels // chip.array.rows) * -(-channels // per_array)
    assert sparse <= dense / 4


def small_layers(**options: Any) -> Graph:
    b = Builder("small")
    x = b.input("x", ["n", 3, 16, 16])
    for index, (inputs, outputs) in enumerate([(3, 8), (8, 8), (8, 16), (16, 20)]):
        x = b.relu(b.conv(x, f"conv{index}", (outputs, inputs, 3, 3), pads=[1, 1, 1, 1]), f"relu{index}")
    return lowered(b.model(x))


@pytest.mark.parametrize("replicate", [[], ["layout.replicate=throughput", "chip.tiles=1"]])
def test_packed_tiles_do_not_overlap(replicate: list[str]) -> None:
    target = load_target("reram_128x128", ["layout.pack=true", *replicate])
    graph, _ = mapped(small_layers(), target)
    plain, _ = mapped(small_layers(), load_target("reram_128x128", replicate))
    held: dict[int, np.ndarray[Any, Any]] = {}
    for matrix in graph.matrices.values():
        assert matrix.cut is not None and matrix.packed is not None and matrix.cells is not None
        sizes = [(r, c * matrix.cells.cells_per_weight) for r in matrix.cut.tile_rows for c in matrix.cut.tile_cols]
        for index, array in enumerate(matrix.packed.arrays):
            rows, cols = sizes[index % len(sizes)]
            row, col = matrix.packed.rows[index], matrix.packed.cols[index]
            assert row + rows <= 128 and col + cols <= 128
            held.setdefault(array, np.zeros((128, 128), int))[row : row + rows, col : col + cols] += 1
    assert max(counts.max() for counts in held.values()) == 1
    assert sorted(held) == list(range(len(held))) and count_arrays(graph) == len(held) < count_arrays(plain)
    assert sum(owned_arrays(graph).values()) == pytest.approx(len(held))
