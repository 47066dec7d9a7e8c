"""If, Loop and Scan: imported with names of their own, run as onnxruntime runs them, and written back."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from pinat_compile.errors import GraphError
from pinat_compile.frontend import Reference, export_structure, import_model, restore
from pinat_compile.graph import Array, Graph, dump, parse
from pinat_compile.simulator.control import MOST_ITERATIONS, run_regions
from tests import zoo
from tests.execution import run_arrays, worst_error

BRANCHES = """
<ir_version: 8, opset_import: ["": 13]>
network (float[batch, 4] x, bool flag) => (float[batch] y)
{
    y = If (flag) <
        then_branch = positive () => (float[n] a) {
            w = Constant <value = float[4] {1, 2, 3, 4}> ()
            b = Mul (x, w)
            a = ReduceSum <keepdims = 0> (b, axis)
        },
        else_branch = negative () => (float[n] a) {
            b = Neg (x)
            w = ReduceMax <axes = [1], keepdims = 0> (b)
            a = Identity (w)
        }>
}
"""
LOOP = """
<ir_version: 8, opset_import: ["": 13]>
network (float[3, 3] x, int64 trips) => (float[3, 3] last, float[count, 3] rows)
{
    go = Constant <value = bool {1}> ()
    last, rows = Loop (trips, go, x) <
        body = step (int64 i, bool going, float[3, 3] h) => (bool still, float[3, 3] next, float[3] row) {
            still = Identity (going)
            half = Constant <value = float {0.5}> ()
            product = MatMul (h, x)
            next = Mul (product, half)
            row = ReduceMax <axes = [0], keepdims = 0> (next)
        }>
}
"""
SCAN = """
<ir_version: 8, opset_import: ["": 13]>
network (float[2, 3] start, float[5, 2, 3] x) => (float[2, 3] last, float[2, 5, 3] sums)
{
    last, sums = Scan (start, x) <num_scan_inputs = 1, scan_input_directions = [1], scan_output_axes = [1],
        body = step (float[2, 3] total, float[2, 3] item) => (float[2, 3] total_out, float[2, 3] shown) {
            total_out = Add (total, item)
            shown = Tanh (total_out)
        }>
}
"""


def _model(text: str) -> onnx.ModelProto:
    model = onnx.parser.parse_model(text)
    if text is BRANCHES:
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1]), "axis"))
    return model


def _inputs(model: onnx.ModelProto, **given: Array) -> dict[str, Array]:
    inputs = zoo.inputs_for(model)
    return inputs | {name: value for name, value in given.items() if name in inputs}


CASES = [
    (BRANCHES, {"flag": np.array(True)}),
    (BRANCHES, {"flag": np.array(False)}),
    (LOOP, {"trips": np.array(4)}),
    (LOOP, {"trips": np.array(0)}),
    (SCAN, {}),
]


@pytest.mark.parametrize("text, given", CASES)
def test_runs_as_in_onnxruntime(text: str, given: dict[str, Array]) -> None:
    model = _model(text)
    inputs = _inputs(model, **given)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    graph = import_model(model)
    expected = dict(zip(graph.outputs, session.run(None, inputs), strict=True))
    for got in (Reference(graph, threads=1).run(inputs), run_arrays(graph, inputs)):
        for name, value in expected.items():
            assert got[name].shape == value.shape and got[name].dtype == value.dtype
            if value.size:
                assert worst_error(got, expected, [name]) < 1e-6


@pytest.mark.parametrize("text", [BRANCHES, LOOP, SCAN])
def test_text_form_and_structure_give_the_graph_back(text: str) -> None:
    graph = import_model(_model(text))
    assert dump(parse(dump(graph), graph.tensors)) == dump(graph)
    again = restore(export_structure(graph), graph.tensors)
    assert [node.name for _, node in again.walk()] == [node.name for _, node in graph.walk()]
    assert export_structure(again) == export_structure(graph)


def test_bodies_get_names_of_their_own_and_weights_leave_them() -> None:
    graph = import_model(_model(BRANCHES))
    (node,) = graph.nodes
    written = [name for region in node.regions for inner in region.nodes for name in inner.outputs]
    assert len(written) == len(set(written))
    assert graph.tensors["w"].tolist() == [1, 2, 3, 4]
    assert not {"w"} & set(written)


def test_an_endless_loop_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinat_compile.simulator.control.MOST_ITERATIONS", 50)
    assert MOST_ITERATIONS > 50
    graph = import_model(_model(LOOP))
    (node,) = graph.nodes
    forever = torch.tensor(True)

    def body(region: Graph, inputs: object, iteration: int) -> list[torch.Tensor]:
        return [forever, torch.zeros(3, 3), torch.zeros(3)]

    with pytest.raises(GraphError, match="the loop has not ended after 50 iterations"):
        run_regions(node, [None, forever, torch.zeros(3, 3)], body)
