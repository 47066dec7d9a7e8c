"""The structure file: without weights, valid ONNX, and the same graph back."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from pinat_compile.errors import ModelError
from pinat_compile.frontend import export_structure, import_model, restore, to_model
from pinat_compile.graph import dump
from tests import zoo


@pytest.mark.parametrize("name", zoo.NETWORKS)
def test_the_same_graph_comes_back(name: str) -> None:
    graph = import_model(zoo.NETWORKS[name]())
    back = restore(export_structure(graph), graph.tensors)
    assert (back.name, back.inputs, back.outputs) == (graph.name, graph.inputs, graph.outputs)
    assert back.types == graph.types
    assert list(back.tensors) == list(graph.tensors)
    assert dump(back) == dump(graph)


def test_it_is_small_and_valid_onnx() -> None:
    graph = import_model(zoo.lenet())
    structure = export_structure(graph)
    assert len(structure) < 6000
    assert structure == export_structure(graph)
    model = onnx.load_model_from_string(structure)
    onnx.checker.check_model(model)
    assert [tensor.name for tensor in model.graph.initializer] == ["zero", "rest"]
    assert {"conv1.weight", "fc3.bias"} <= {value.name for value in model.graph.input}


def test_missing_and_misshapen_tensors_are_named() -> None:
    graph = import_model(zoo.strided_conv())
    structure = export_structure(graph)
    with pytest.raises(ModelError, match="tensor 'conv.weight' of the model is missing"):
        restore(structure, {})
    wrong = dict(graph.tensors) | {"conv.bias": np.zeros(9, np.float32)}
    with pytest.raises(ModelError, match=r"tensor 'conv.bias' is float32 \[9\], the model needs float32 \[8\]"):
        restore(structure, wrong)
    with pytest.raises(ModelError, match="lists no tensors"):
        restore(zoo.strided_conv().SerializeToString(), graph.tensors)


@pytest.mark.parametrize("name", zoo.NETWORKS)
def test_to_model_is_valid_and_imports_again(name: str) -> None:
    graph = import_model(zoo.NETWORKS[name]())
    model = to_model(graph)
    if all(graph.type_of(name).shape is not None for name in graph.outputs):  # not known of what a loop carries
        onnx.checker.check_model(model, full_check=True)
    again = import_model(model)
    assert dump(again) == dump(graph)
    for key, array in graph.tensors.items():
        np.testing.assert_array_equal(again.tensors[key], array)
