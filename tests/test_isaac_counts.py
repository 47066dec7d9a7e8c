"""ISAAC's arrays for a ResNet-18 on ImageNet, layer by layer, against an independent count."""

import pytest

from pinat_compile.compiler.build import compile as compile_network
from pinat_compile.compiler.compiled import Compiled
from tests.zoo import resnet18_imagenet

ARRAYS = {
    "conv1": 8,
    "layer1.0.conv1": 20,
    "layer1.0.conv2": 20,
    "layer1.1.conv1": 20,
    "layer1.1.conv2": 20,
    "layer2.0.conv1": 40,
    "layer2.0.conv2": 72,
    "layer2.0.downsample": 8,
    "layer2.1.conv1": 72,
    "layer2.1.conv2": 72,
    "layer3.0.conv1": 144,
    "layer3.0.conv2": 288,
    "layer3.0.downsample": 16,
    "layer3.1.conv1": 288,
    "layer3.1.conv2": 288,
    "layer4.0.conv1": 576,
    "layer4.0.conv2": 1152,
    "layer4.0.downsample": 64,
    "layer4.1.conv1": 1152,
    "layer4.1.conv2": 1152,
    "fc": 252,
}
"""128 x 128 arrays, 16-bit weights in eight 2-bit cells side by side: ceil(rows / 128) * ceil(outputs / 16)."""


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return compile_network(resnet18_imagenet(), "isaac")


def test_arrays_per_layer(compiled: Compiled) -> None:
    assert {name: matrix.arrays for name, matrix in compiled.graph.matrices.items()} == ARRAYS
    assert sum(ARRAYS.values()) == 5724


def test_arrays_are_numbered_without_gaps(compiled: Compiled) -> None:
    following = 0
    for name, count in ARRAYS.items():
        assert compiled.graph.matrices[name].first_array == following
        following += count


def test_tiles_hold_whole_input_channels_where_that_is_free(compiled: Compiled) -> None:
    for name, matrix in compiled.graph.matrices.items():
        assert matrix.cut is not None and matrix.view == "out_in"
        taps = int(compiled.graph.tensors[matrix.weight][0, 0].size)
        channels = -(-matrix.rows // taps // -(-matrix.rows // 128))
        if channels * taps <= 128:
            assert all(cut % taps == 0 for cut in matrix.cut.row_cuts), name
        assert max(matrix.cut.tile_rows) <= 128 and max(matrix.cut.tile_cols) <= 16


def test_nothing_is_lost_in_conversion(compiled: Compiled) -> None:
    """Eight bits hold every sum of encoded columns, so that its range is one unit per code."""
    for name, matrix in compiled.graph.matrices.items():
        assert matrix.ranges is not None and matrix.ranges.adc_range is not None
        assert (compiled.graph.tensors[matrix.ranges.adc_range] == 255).all(), name
