"""Exported ONNX: plain, and in onnxruntime equal to what the arrays compute with ideal devices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest
import torch

import pinat_compile as pc
from pinat_compile.compiler.build import compile, recompile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.errors import ModelError
from pinat_compile.exports.network import trained_graph
from pinat_compile.graph import Graph
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.passes.restore_trained import SUFFIX
from tests import zoo


def gemm_forms() -> onnx.ModelProto:
    """alpha and beta, a bias that is one number, no bias, and a weight that is not transposed."""
    b = zoo.Builder("gemm_forms")
    x = b.input("x", ["batch", 12])
    w, c = b.random("w1", 10, 12), b.random("c1", 10, fan_in=9)
    x = b.node("Gemm", x, w, c, name="g1", transB=1, alpha=0.5, beta=2.0)
    x = b.node("Gemm", b.relu(x, "r1"), b.random("w2", 10, 8, fan_in=10), b.random("c2", 1, fan_in=9), name="g2")
    x = b.node("Gemm", b.relu(x, "r2"), b.random("w3", 6, 8), name="g3", transB=1, alpha=-1.5)
    return b.model(b.node("MatMul", x, b.random("w4", 6, 5, fan_in=6), name="m4"))


def matmul_left() -> onnx.ModelProto:
    """A constant on the left, which learns a bias per row."""
    b = zoo.Builder("matmul_left")
    x = b.input("x", ["batch", 9, 4])
    return b.model(b.relu(b.node("MatMul", b.random("w", 7, 9), x, name="left"), "relu"))


def conv_batch_norm() -> onnx.ModelProto:
    """A batch norm that is folded, and a convolution without bias."""
    b = zoo.Builder("conv_batch_norm")
    x = b.conv(b.input("x", ["batch", 3, 6, 6]), "conv1", (5, 3, 3, 3), bias=False, pads=[1, 1, 1, 1])
    x = b.relu(b.batch_norm(x, "norm", 5), "relu")
    return b.model(b.conv(x, "conv2", (4, 5, 1, 1), bias=False))


def shared_weights() -> onnx.ModelProto:
    """One weight, two nodes: trained gains and biases differ, the matrix is the same."""
    b = zoo.Builder("shared_weights")
    x, w = b.input("x", ["batch", 8]), b.random("w", 8, 8)
    first = b.relu(b.node("MatMul", x, w, name="one"), "relu")
    return b.model(b.node("MatMul", first, w, name="two"))


MAKERS: dict[str, Any] = {
    "grouped_conv": zoo.grouped_conv,
    "gemm_forms": gemm_forms,
    "matmul_left": matmul_left,
    "conv_batch_norm": conv_batch_norm,
    "shared_weights": shared_weights,
    "transposed_conv": zoo.transposed_conv,
    "einsum": zoo.einsum,
    "lstm": zoo.lstm,
    "gru": zoo.gru,
}


def trained(compiled: Compiled, seed: int = 3) -> Compiled:
    """As if fine-tuning had changed every weight, gain and bias of the arrays."""
    rng = np.random.default_rng(seed)
    values: dict[str, npt.NDArray[Any]] = {}
    for _, node in compiled.graph.walk():
        if isinstance(node.op, ArrayMvm):
            weight = compiled.graph.matrices[node.op.matrix].weight
            values[weight] = compiled.graph.tensors[weight] * rng.uniform(0.3, 1.0)  # within what cells can hold
            gain, bias = (compiled.graph.tensors[name] for name in node.inputs[1:3])
            values[node.inputs[1]] = (gain * rng.uniform(0.5, 1.5, gain.shape)).astype(np.float32)
            values[node.inputs[2]] = (bias + rng.uniform(-0.5, 0.5, bias.shape)).astype(np.float32)
    return recompile(compiled, trained={name + SUFFIX: value for name, value in values.items()})


def in_onnxruntime(path: Path, inputs: dict[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return np.asarray(ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, inputs)[0])


@pytest.mark.parametrize("name", MAKERS)
def test_the_file_computes_what_the_trained_network_computes(name: str, tmp_path: Path) -> None:
    """On a target without quantisation and noise the arrays compute with the trained values and nothing else."""
    model = MAKERS[name]()
    original = compile(model, "ideal_128x128", calibration=zoo.inputs_for(model, batch=4))
    tuned = trained(original)
    path = pc.export(tuned, tmp_path / "tuned.onnx")
    onnx.checker.check_model(onnx.load(path), full_check=True)
    inputs = zoo.inputs_for(model, batch=3)
    found = in_onnxruntime(path, inputs)
    with torch.inference_mode():
        results = tuned.simulator(noise=False)(*(torch.from_numpy(x) for x in inputs.values()))
    wanted = (results if isinstance(results, torch.Tensor) else results[0]).numpy()
    assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()
    before = original.reference.run(inputs)[original.source.outputs[0]]
    assert np.abs(before - wanted).max() > 0.05 * np.abs(wanted).max()


def test_structure_is_kept() -> None:
    """The nodes of the original, in their order; only a MatMul that has learnt a bias gets an Add."""
    def ops(graph: Graph) -> list[str]:
        return [node.op.type_name() for node in graph.nodes]

    grouped = compile(zoo.grouped_conv(), "ideal_128x128")
    assert ops(trained_graph(trained(grouped))) == ops(grouped.source)
    shared = compile(shared_weights(), "ideal_128x128")
    assert ops(trained_graph(trained(shared))) == ["MatMul", "Add", "Relu", "MatMul", "Add"]
    assert len(trained_graph(trained(shared)).tensors) == 4  # gains differ: two weights, two biases


def test_an_untrained_network_is_exported_as_it_was_imported(tmp_path: Path) -> None:
    model = conv_batch_norm()
    compiled = compile(model, "reram_128x128")
    found = onnx.load(pc.export(compiled, tmp_path / "same.onnx"))
    assert [node.op_type for node in found.graph.node] == [node.op_type for node in model.graph.node]
    inputs = zoo.inputs_for(model)
    wanted = compiled.reference.run(inputs)[compiled.source.outputs[0]]
    assert np.array_equal(in_onnxruntime(tmp_path / "same.onnx", inputs), wanted)


def test_a_node_that_has_no_place_for_its_values() -> None:
    """A mapped node that the plain network does not have."""
    tuned = trained(compile(shared_weights(), "ideal_128x128"))
    graph = tuned.graph.copy()
    node = graph.node("one")
    graph.replace("one", replace(node, name="elsewhere"))
    with pytest.raises(ModelError, match="node 'elsewhere': its trained values have no place in plain ONNX"):
        trained_graph(replace(tuned, graph=graph))


def test_annotations(tmp_path: Path) -> None:
    """Every node of the original says where it runs; nothing else changes and no path is told."""
    model = conv_batch_norm()
    compiled = compile(model, "reram_128x128")
    pc.export(compiled, tmp_path / "plain.onnx", annotated=tmp_path / "annotated.onnx")
    found = onnx.load(tmp_path / "annotated.onnx")
    notes = {node.name: {p.key: p.value for p in node.metadata_props} for node in found.graph.node}
    assert notes["conv1"]["pinat.where"] == "analog" and notes["conv1"]["pinat.arrays"] == "0"
    assert notes["conv1"]["pinat.tiles"] == "conv1/0.0.0" and notes["conv2"]["pinat.arrays"] == "1"
    assert float(notes["conv1"]["pinat.energy_j"]) > 0
    assert notes["norm"]["pinat.where"] == "folded" and notes["relu"]["pinat.where"] == "digital"
    assert {p.key: p.value for p in found.metadata_props}["pinat.target"] == "reram_128x128"
    inputs = zoo.inputs_for(model)
    plain, annotated = (in_onnxruntime(tmp_path / f"{name}.onnx", inputs) for name in ("plain", "annotated"))
    assert np.array_equal(plain, annotated)
    data = (tmp_path / "annotated.onnx").read_bytes()
    assert str(tmp_path).encode() not in data and str(Path.cwd()).encode() not in data
