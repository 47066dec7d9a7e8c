"""What the importer says about files that are not what they should be: one line, where and what, and a hint."""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from pinat_compile.errors import ModelError
from pinat_compile.frontend import import_model
from pinat_compile.frontend.normalise import MOST_NODES
from tests import zoo


def _error(source: str | Path | bytes | onnx.ModelProto) -> ModelError:
    with pytest.raises(ModelError) as caught:
        import_model(source)
    assert "\n" not in caught.value.message
    return caught.value


def test_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "absent.onnx"
    assert _error(path).message == f"{path} does not exist"


def test_folder(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"")
    error = _error(tmp_path)
    assert error.message == f"{tmp_path} is a folder, not an ONNX file"
    assert error.hint == "name one of its files: net.onnx"


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.onnx"
    path.write_bytes(b"")
    assert _error(path).message == f"{path} is empty"


@pytest.mark.parametrize("content", [b"hello, world", b"PK\x03\x04rest of a torch archive", b"\x89PNG\r\n\x1a\n"])
def test_not_an_onnx_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(content)
    error = _error(path)
    assert error.message.startswith(f"{path} is not an ONNX")
    assert error.hint is not None and "torch.onnx.export" in error.hint


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_file(tmp_path: Path, share: float) -> None:
    data = zoo.lenet().SerializeToString()
    path = tmp_path / "cut.onnx"
    path.write_bytes(data[: int(share * len(data))])
    assert _error(path).message == f"{path} is truncated or damaged"


def test_unsupported_operators_are_named_all_at_once() -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])
    nodes = [
        helper.make_node("Quant", ["x"], ["a"], name="q0", domain="qonnx.custom_op.general"),
        helper.make_node("Det", ["a"], ["b"], name="det"),
        helper.make_node("Relu", ["b"], ["c"], name="fine"),
        helper.make_node("Det", ["c"], ["d"]),
        helper.make_node("Quant", ["d"], ["y"], name="q1", domain="qonnx.custom_op.general"),
    ]
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("qonnx.custom_op.general", 1)]
    error = _error(helper.make_model(helper.make_graph(nodes, "g", [x], [y]), opset_imports=opsets))
    assert error.message == (
        "unsupported operators: Quant of qonnx.custom_op.general (node 'q0', 'q1');"
        " Det of ai.onnx (node 'det', 'Det_3')"
    )
    assert error.hint is not None and "pinat-compile operators" in error.hint


def test_weights_that_are_not_numbers() -> None:
    model = zoo.strided_conv()
    weight = numpy_helper.to_array(model.graph.initializer[0]).copy()
    weight[0, 0, 0, :2] = np.nan
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weight, "conv.weight"))
    assert _error(model).message == "weight 'conv.weight' has 2 values that are not a number"


def test_weights_that_do_not_fill_their_shape() -> None:
    model = zoo.strided_conv()
    model.graph.initializer[0].dims[0] = 1 << 40
    assert _error(model).message.startswith("weight 'conv.weight': its data does not fill its shape")


def test_newer_opset_than_onnx_knows() -> None:
    model = zoo.strided_conv()
    model.opset_import[0].version = 999
    assert _error(model).message.startswith("the model's opset 999 is newer than the installed onnx knows")


def test_unsupported_element_type() -> None:
    x = helper.make_tensor_value_info("x", TensorProto.COMPLEX64, [2])
    y = helper.make_tensor_value_info("y", TensorProto.COMPLEX64, [2])
    graph = helper.make_graph([helper.make_node("Abs", ["x"], ["y"])], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    assert _error(model).message == "value 'x': element type complex64 is not supported"


def test_unsupported_attribute() -> None:
    b = zoo.Builder("precise", opset=23)
    x, scale = b.input("x", [4, 4]), b.tensor("scale", np.ones(4, np.float32))
    error = _error(b.model(b.node("QuantizeLinear", x, scale, name="q", axis=0, precision=1)))
    assert error.message == "node 'q' (QuantizeLinear): attribute precision = 1 is not supported"


def test_a_cycle_and_an_undefined_value() -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    loop = [helper.make_node("Add", ["x", "b"], ["a"], name="p"), helper.make_node("Abs", ["a"], ["b"], name="q")]
    opsets = [helper.make_opsetid("", 20)]
    out = helper.make_node("Abs", ["b"], ["y"])
    assert (
        "the model is not valid"
        in _error(helper.make_model(helper.make_graph([*loop, out], "g", [x], [y]), opset_imports=opsets)).message
    )
    free = helper.make_node("Abs", ["nowhere"], ["y"], name="abs")
    error = _error(helper.make_model(helper.make_graph([free], "g", [x], [y]), opset_imports=opsets))
    assert error.message == "the model is not valid: node 'abs': reads 'nowhere', which nothing defines"


def _external(folder: Path, location: str, *, length: int = 0) -> Path:
    model = zoo.strided_conv()
    tensor = model.graph.initializer[0]
    (folder / "weights.bin").write_bytes(tensor.raw_data[: length or None])
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_external_data_is_read(tmp_path: Path) -> None:
    expected = import_model(zoo.strided_conv()).tensors["conv.weight"]
    got = import_model(_external(tmp_path, "weights.bin")).tensors["conv.weight"]
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname", "a/../../weights.bin", ""])
def test_external_data_outside_the_folder(tmp_path: Path, location: str) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "weights.bin").write_bytes(b"")
    error = _error(_external(inner, location))
    assert error.message == f"weight 'conv.weight': its data file {location!r} lies outside the model's folder"


def test_external_data_missing_or_short(tmp_path: Path) -> None:
    path = _external(tmp_path, "weights.bin", length=100)
    assert "'weights.bin' is too short for shape [8, 3, 3, 3]" in _error(path).message
    (tmp_path / "weights.bin").unlink()
    assert _error(path).message == "weight 'conv.weight': its data file 'weights.bin' is missing"
    assert _error(path.read_bytes()).hint == "give the path of the model, not its bytes"


def test_an_attribute_of_the_wrong_kind() -> None:
    model = zoo.strided_conv()
    strides = next(attribute for attribute in model.graph.node[0].attribute if attribute.name == "strides")
    strides.CopyFrom(helper.make_attribute("strides", "two"))
    assert _error(model).message == "node 'conv' (Conv): attribute strides is of the wrong kind"


def test_too_many_nodes() -> None:
    x = helper.make_tensor_value_info("v0", TensorProto.FLOAT, [2])
    nodes = [onnx.NodeProto(op_type="Relu", input=[f"v{i}"], output=[f"v{i + 1}"]) for i in range(MOST_NODES + 1)]
    y = helper.make_tensor_value_info(f"v{len(nodes)}", TensorProto.FLOAT, [2])
    graph = onnx.GraphProto(name="chain", input=[x], output=[y], node=nodes)
    started = time.process_time()
    error = _error(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]))
    assert error.message == "the model has 200,001 nodes; up to 200,000 are read"
    assert time.process_time() - started < 10


SHIPPED = (Path(__file__).parents[2] / "examples" / "resnet8_fashion_mnist.onnx").read_bytes()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(SHIPPED) - 1), st.integers(0, 255)), min_size=1, max_size=20),
    st.integers(0, 400),
)
def test_a_mutated_real_file_is_read_or_refused(changes: list[tuple[int, int]], cut: int) -> None:
    damaged = bytearray(SHIPPED)
    for place, value in changes:  # the structure stands at the beginning and between the weights
        damaged[place if value % 2 else place % 4000] = value
    try:
        import_model(bytes(damaged[: len(damaged) - cut]))
    except ModelError as error:
        assert error.message and "\n" not in error.message


@pytest.mark.parametrize("name", ["old_opset", "transformer", "two_inputs", "lstm", "branched"])
def test_damaged_files_raise_nothing_else(name: str) -> None:
    data = zoo.NETWORKS[name]().SerializeToString()
    rng = random.Random(name)
    for _ in range(300):
        damaged = bytearray(data)
        place = rng.randrange(len(data))
        damaged[place : place + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
        try:
            import_model(bytes(damaged))
        except ModelError as error:
            assert error.message
