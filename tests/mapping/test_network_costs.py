"""Costs of whole networks against sums over cells, tiles and layers that are made another way."""

from typing import Any

import numpy as np
import pytest

from pinat_compile.compiler.build import compile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.costs import VECTORS, estimate
from pinat_compile.compiler.folder import load
from pinat_compile.compiler.summary import report_document
from pinat_compile.exports.arrays import physical_arrays
from pinat_compile.frontend.calibration import spread
from tests.reporting.schema import check_report
from tests.zoo import NETWORKS, inputs_for, resnet18_imagenet

SHARED = ["layout.pack=true", "layout.replicate=throughput", "chip.tiles=1", "chip.cores_per_tile=2"]


def compiled_on(name: str, *overrides: str) -> Compiled:
    model = NETWORKS[name]()
    return compile(model, "reram_128x128", calibration=inputs_for(model, batch=4), overrides=overrides)


def array_energy_j(compiled: Compiled) -> float:
    """Cell by cell of the exported arrays: the square of every calibration input's voltage, times G t."""
    energy, graph, found = compiled.target.energy, compiled.graph, 0.0
    assert energy is not None and energy.read_voltage_v is not None and energy.read_pulse_ns is not None
    mvms = {layer.matrix: layer.mvms for layer in estimate(compiled).layers if layer.matrix is not None}
    for array in physical_arrays(compiled):
        for placed in array.placed:
            region, matrix = placed.region, graph.matrices[placed.region.matrix]
            assert matrix.cells is not None and matrix.ranges is not None and matrix.ranges.dac_range is not None
            vectors = spread(compiled.calibration.matrices[matrix.name].vectors, VECTORS)
            step = graph.tensors[matrix.ranges.dac_range] / 127
            codes = np.clip(np.rint(vectors / step), -127, 127)[:, region.rows[0] : region.rows[1]]
            volts = energy.read_voltage_v * codes.astype(np.float64) / 127
            columns = region.device_columns(matrix.cells).reshape(-1)
            siemens = 1e-6 * array.g_us[np.ix_(region.device_rows(), columns)].astype(np.float64)
            power = np.square(volts).mean(axis=0) @ siemens.sum(axis=1)
            products = mvms[matrix.name]
            assert products is not None
            found += products / matrix.replicas * power * energy.read_pulse_ns * 1e-9
    return found


LAYOUTS = {"plain": [], "shared": SHARED, "small": ["array.rows=16", "array.cols=24"]}


@pytest.mark.parametrize("overrides", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("name", ["residual", "depthwise_conv", "conv_bn_chain"])
def test_array_energy_is_the_sum_over_all_cells(name: str, overrides: list[str]) -> None:
    compiled = compiled_on(name, *overrides)
    assert estimate(compiled).total.array == pytest.approx(array_energy_j(compiled), rel=1e-5)


def test_array_energy_falls_with_conductances() -> None:
    """Half the conductances take half of it."""
    whole = estimate(compiled_on("residual")).total.array
    half = estimate(compiled_on("residual", "cell.g_min_us=0.5", "cell.g_max_us=20.0")).total.array
    assert whole is not None and half == pytest.approx(whole / 2, rel=0.02)  # the clip is chosen for the devices


@pytest.mark.parametrize("overrides", [[], SHARED], ids=["plain", "shared"])
@pytest.mark.parametrize("name", ["residual", "transformer", "shared_weights"])
def test_totals_are_the_sums_of_layers_and_tiles(name: str, overrides: list[str]) -> None:
    document: dict[str, Any] = report_document(compiled_on(name, *overrides), with_tiles=True)
    check_report(document)
    totals, layers = document["totals"], document["layers"]
    for part, value in totals["energy_j"].items():
        summed = [layer["energy_j"][part] for layer in layers if layer["energy_j"][part] is not None]
        assert (value is None and not summed) or value == pytest.approx(sum(summed)), part
    areas = [layer["area_mm2"] for layer in layers if layer["area_mm2"] is not None]
    assert totals["area_mm2"] == pytest.approx(sum(areas))
    owned = [layer["arrays"] for layer in layers if layer["arrays"] is not None]
    assert sum(owned) == pytest.approx(totals["arrays"]) == len({tile["array"] for tile in document["tiles"]})
    on_tiles = [layer["energy_j"][part] for layer in layers if layer["where"] == "analog"
                for part in ("array", "dac", "adc", "sample_hold", "shift_add", "registers")]  # fmt: skip
    if name != "shared_weights":  # tiles hold what their first layer does
        assert sum(tile["energy_j"] for tile in document["tiles"]) == pytest.approx(sum(on_tiles))
    assert len({tile["id"] for tile in document["tiles"]}) == len(document["tiles"])


def test_adc_bits_change_the_adc_and_nothing_else_of_the_energy() -> None:
    eight, six = (estimate(compiled_on("residual", f"adc.bits={bits}")).total for bits in (8, 6))
    assert eight.adc is not None and six.adc is not None and six.adc < 0.7 * eight.adc
    for name in ("array", "dac", "shift_add", "digital", "buffer", "leakage"):
        assert getattr(six, name) == pytest.approx(getattr(eight, name)), name


def test_a_shared_layout_survives_saving(tmp_path: Any) -> None:
    compiled = compiled_on("residual", *SHARED, "layout.buffers=true", "layout.pipeline=rows")
    assert any(matrix.replicas > 1 for matrix in compiled.graph.matrices.values())
    again = load(compiled.save(tmp_path / "out"))
    assert again.graph.matrices == compiled.graph.matrices
    assert [node.buffers for node in again.graph.nodes] == [node.buffers for node in compiled.graph.nodes]
    assert report_document(again) == report_document(compiled)


def test_what_is_written_anew_costs_energy_time_and_life() -> None:
    fits, small = compiled_on("residual"), compiled_on("residual", "chip.tiles=1", "chip.cores_per_tile=1",
                                                       "chip.arrays_per_core=4")  # fmt: skip
    one, two = report_document(fits), report_document(small)
    assert one["schedule"]["rounds"] == 1 and one["totals"]["energy_j"]["reload"] is None
    assert two["schedule"]["rounds"] == 2 and two["totals"]["arrays"] == one["totals"]["arrays"] == 7
    written = two["totals"]["energy_j"]["reload"]
    assert 0.0 < written < two["totals"]["write_energy_j"]  # array 3 keeps what it holds
    assert two["totals"]["interval_s"] == two["totals"]["latency_s"] > one["totals"]["latency_s"]
    assert two["schedule"]["lifetime_s"] == pytest.approx(1e6 / 2 * two["totals"]["interval_s"])


def test_operations_follow_strides() -> None:
    """ResNet-18 has 1.814 GMAC; counted at the size of its inputs it would have 2.746 (NeuroSim's count)."""
    document = report_document(compile(resnet18_imagenet(), "ideal_128x128"))
    assert document["totals"]["ops"] == 2 * 1_814_073_344
