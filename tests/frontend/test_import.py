"""Import: names, types and tensors of the graph, the recipe on old files, and what binding does."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from pinat_compile.errors import ModelError
from pinat_compile.frontend import Reference, import_model
from pinat_compile.frontend.importer import unique_names
from pinat_compile.graph import TensorType, dump
from pinat_compile.graph.ops.elementwise import Clip
from pinat_compile.graph.ops.linear import Conv, Gemm
from pinat_compile.graph.ops.normalisation import BatchNormalization
from tests import zoo
from tests.execution import run_arrays, worst_error

LIGHT = sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("*.onnx"))


def test_nodes_values_and_tensors_keep_their_names() -> None:
    graph = import_model(zoo.conv_bn_chain())
    assert [node.name for node in graph.nodes][:3] == ["conv1", "bn1", "relu1"]
    assert graph.node("conv1").inputs == ("x", "conv1.weight")
    assert graph.node("conv1").op == Conv(kernel_shape=(3, 3), pads=(1, 1, 1, 1))
    assert graph.node("fc").op == Gemm(trans_b=1)
    assert graph.types["x"] == TensorType("float32", ("batch", 3, 8, 8))
    assert graph.type_of("conv1.weight") == TensorType("float32", (8, 3, 3, 3))
    assert graph.inputs == ("x",)
    assert graph.outputs == ("fc.out",)


def test_batch_norm_is_left_to_the_passes() -> None:
    graph = import_model(zoo.conv_bn_chain())
    assert graph.node("bn1").op == BatchNormalization(epsilon=1e-5)


def test_old_opset_is_converted() -> None:
    graph = import_model(zoo.old_opset())
    assert graph.inputs == ("x",)
    assert graph.node("clip").op == Clip()
    assert len(graph.node("clip").inputs) == 3


def test_old_opset_gives_the_numbers_of_the_original() -> None:
    model = zoo.old_opset()
    inputs = zoo.inputs_for(model)
    (expected,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, inputs)
    (got,) = Reference(import_model(model), threads=1).run(inputs).values()
    np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize("name", zoo.NETWORKS)
def test_path_bytes_and_model_give_the_same_graph(name: str, tmp_path: Path) -> None:
    model = zoo.NETWORKS[name]()
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    first, second, third = import_model(path), import_model(path.read_bytes()), import_model(model)
    assert dump(first) == dump(second) == dump(third)


def test_the_callers_model_is_not_changed() -> None:
    model = zoo.old_opset()
    before = model.SerializeToString()
    import_model(model)
    assert model.SerializeToString() == before


def test_constant_nodes_become_tensors() -> None:
    b = zoo.Builder("constants")
    value = numpy_helper.from_array(np.arange(3, dtype=np.float32))
    added = b.node("Add", b.input("x", ["batch", 3]), b.node("Constant", name="c", value=value), name="add")
    floats = b.node("Constant", name="f", value_floats=[1.0, 2.0, 3.0])
    graph = import_model(b.model(b.node("Mul", added, floats, name="mul")))
    assert [node.name for node in graph.nodes] == ["add", "mul"]
    assert graph.tensors["c.out"].tolist() == [0, 1, 2]
    assert graph.tensors["f.out"].dtype == np.float32


def test_nameless_and_repeated_nodes_get_stable_names() -> None:
    nodes = [("Relu", ""), ("Relu", "a"), ("Conv", "a"), ("Relu", ""), ("Conv", "a"), ("Conv", "a.1")]
    assert unique_names(nodes) == ["Relu_0", "a", "a.2", "Relu_2", "a.3", "a.1"]


def test_wrongly_declared_shapes_are_ignored() -> None:
    model = zoo.strided_conv()
    del model.graph.output[0].type.tensor_type.shape.dim[2:]
    graph = import_model(model)
    assert graph.types[graph.outputs[0]].shape == ("batch", 8, 5, 6)


def test_bind_fixes_a_dimension_and_an_input() -> None:
    graph = import_model(zoo.matmul_3d(), bind={"length": 7})
    assert graph.types["x"].shape == ("batch", 7, 12)
    assert graph.types["add2.out"].shape == ("batch", 7, 7)
    b = zoo.Builder("flag")
    flag = b.input("rate", [], TensorProto.INT64)
    cast = b.node("Cast", flag, name="cast", to=TensorProto.FLOAT)
    model = b.model(b.node("Mul", b.input("x", ["batch", 3]), cast, name="mul"))
    graph = import_model(model, bind={"rate": 16000})
    assert graph.inputs == ("x",)
    assert graph.tensors["rate"].tolist() == 16000


def test_bind_names_what_there_is() -> None:
    with pytest.raises(ModelError, match="no dimension or input is named 'lenght'") as error:
        import_model(zoo.matmul_3d(), bind={"lenght": 7})
    assert error.value.hint == "the model has: batch, length, x"


def test_functions_are_inlined() -> None:
    function = helper.make_function(
        "local",
        "Twice",
        ["a"],
        ["b"],
        [helper.make_node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 20)],
    )
    graph = helper.make_graph(
        [helper.make_node("Twice", ["x"], ["y"], domain="local")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("local", 1)]
    model = helper.make_model(graph, functions=[function], opset_imports=opsets)
    assert [node.op.type_name() for node in import_model(model).nodes] == ["Add"]


def test_newer_opsets_are_read_by_their_compatibility() -> None:
    model = zoo.lenet()
    model.opset_import[0].version = 23
    assert import_model(model).nodes == import_model(zoo.lenet()).nodes


@pytest.mark.parametrize("path", LIGHT, ids=lambda path: path.stem)
def test_topologies_of_the_onnx_package(path: Path) -> None:
    graph = import_model(path)
    assert graph.types[graph.outputs[0]].shape is not None
    assert sum(isinstance(node.op, Conv) for node in graph.nodes) >= 5


def test_resnet18_has_the_layers_of_the_reference_counts() -> None:
    graph = import_model(zoo.resnet18_imagenet())
    layers = [node for node in graph.nodes if isinstance(node.op, Conv | Gemm)]
    weights = sum(graph.tensors[node.inputs[1]].size for node in layers)
    assert (len(layers), weights) == (21, 11_678_912)


GROUP_NORM = """
<ir_version: 10, opset_import: ["": 21]>
network (float[batch, 6, 5] x) => (float[batch, 6, 5] y)
<float[6] scale = {0.5, 1, 1.5, -1, 2, 0.1}, float[6] bias = {0, 1, -1, 0.3, 0.2, 0.1}>
{
    y = GroupNormalization <num_groups = 2> (x, scale, bias)
}
"""


def test_group_norm_with_a_scale_per_channel() -> None:
    model = onnx.parser.parse_model(GROUP_NORM)
    inputs = zoo.inputs_for(model)
    (expected,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, inputs)
    graph = import_model(model)
    assert [node.name for node in graph.nodes] == ["GroupNormalization_0", "GroupNormalization_0.affine"]
    assert graph.types["y"] == graph.types["x"]
    assert worst_error(Reference(graph, threads=1).run(inputs), {graph.outputs[0]: expected}, graph.outputs) < 1e-5
    assert worst_error(run_arrays(graph, inputs), {graph.outputs[0]: expected}, graph.outputs) < 1e-5


def _real(package: str, path: str) -> Path:
    """A network inside an installed Python package; the test is skipped where that is not installed."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"{package} is not installed")
    return Path(spec.origin).parent / path


@pytest.mark.parametrize("path", ["mnist-conv/model.onnx", "bsd300x3-espcn/subpixel/float_model.onnx"])
def test_networks_of_qonnx(path: str) -> None:
    file = _real("qonnx", f"data/onnx/{path}")
    graph = import_model(file)
    inputs = zoo.inputs_for(onnx.load(file))
    session = onnxruntime.InferenceSession(file)
    expected = dict(zip(graph.outputs, session.run(None, inputs), strict=True))
    assert worst_error(Reference(graph, threads=1).run(inputs), expected, graph.outputs) < 1e-5
    assert worst_error(run_arrays(graph, inputs), expected, graph.outputs) < 1e-5
