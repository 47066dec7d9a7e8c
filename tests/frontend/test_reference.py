"""onnxruntime as the reference: numbers, taps, checked inputs, fixed batches, silence."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from pinat_compile.errors import DataError
from pinat_compile.frontend import Reference, evaluate_constants, import_model
from pinat_compile.graph import Graph
from tests import zoo


@pytest.mark.parametrize("name", zoo.NETWORKS)
def test_gives_the_numbers_of_the_original_model(name: str) -> None:
    model = zoo.NETWORKS[name]()
    inputs = zoo.inputs_for(model)
    expected = onnxruntime.InferenceSession(model.SerializeToString()).run(None, inputs)
    got = Reference(import_model(model)).run(inputs)
    assert list(got) == [value.name for value in model.graph.output]
    for a, b in zip(got.values(), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_taps_are_returned_beside_the_outputs() -> None:
    model = zoo.residual()
    reference = Reference(import_model(model), threads=1, taps=["relu1.out", "fc.out"])
    values = reference.run(zoo.inputs_for(model, 3))
    assert list(values) == ["fc.out", "relu1.out"]
    assert values["relu1.out"].shape == (3, 6, 8, 8)
    assert values["relu1.out"].min() == 0


def test_the_same_inputs_give_the_same_bits() -> None:
    model = zoo.lenet()
    graph, inputs = import_model(model), zoo.inputs_for(model, 8)
    first, second = (Reference(graph, threads=1).run(inputs)["softmax.out"] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_fixed_batch_is_fed_sample_by_sample() -> None:
    model = zoo.two_inputs()
    reference = Reference(import_model(model), threads=1)
    rng = np.random.default_rng(0)
    inputs = {key: rng.standard_normal((4, size)).astype(np.float32) for key, size in (("x", 6), ("y", 4))}
    together = reference.run(inputs)
    assert {name: array.shape for name, array in together.items()} == {"relu.out": (4, 8), "mean.out": (4, 1)}
    single = reference.run({name: array[2:3] for name, array in inputs.items()})
    np.testing.assert_array_equal(together["relu.out"][2:3], single["relu.out"])


@pytest.fixture
def chain() -> Reference:
    return Reference(import_model(zoo.conv_bn_chain()), threads=1)


def _message(reference: Reference, **inputs: np.ndarray) -> tuple[str, str | None]:
    with pytest.raises(DataError) as caught:
        reference.run(inputs)
    return caught.value.message, caught.value.hint


def test_wrong_inputs_are_described(chain: Reference) -> None:
    good = np.zeros((2, 3, 8, 8), np.float32)
    assert _message(chain) == ("input 'x' is missing", "the model's inputs are: x float32 [batch, 3, 8, 8]")
    assert _message(chain, x=good, z=good)[0] == "the model has no input 'z'"
    assert _message(chain, x=good.astype(np.float64)) == (
        "input 'x' is float64 [2, 3, 8, 8], the model expects float32 [batch, 3, 8, 8]",
        "convert it with .astype('float32')",
    )
    assert _message(chain, x=good[0]) == (
        "input 'x' is float32 [3, 8, 8], the model expects float32 [batch, 3, 8, 8]",
        "add the batch axis in front: array[None]",
    )
    assert _message(chain, x=good[:, :, :7])[0].startswith("input 'x' is float32 [2, 3, 7, 8]")


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    b = zoo.Builder("noisy")
    x = b.input("x", ["batch", 3])
    b.tensor("unused", np.zeros(3, np.float32))
    model = b.model(b.node("Reshape", x, b.tensor("shape", np.array([2, 4])), name="reshape"))
    with pytest.raises(DataError, match="onnxruntime cannot run the model on these inputs"):
        Reference(import_model(model)).run({"x": np.zeros((2, 3), np.float32)})
    assert capfd.readouterr() == ("", "")


def test_constants_are_evaluated() -> None:
    b = zoo.Builder("constants")
    two = b.node(
        "Add", b.tensor("one", np.ones(1, np.float32)), b.tensor("three", np.full(1, 3, np.float32)), name="sum"
    )
    half = b.node("Reciprocal", two, name="reciprocal")
    graph: Graph = import_model(b.model(b.node("Mul", b.input("x", ["batch"]), half, name="mul")))
    values = evaluate_constants(graph, [graph.node("sum"), graph.node("reciprocal")])
    assert {name: array.tolist() for name, array in values.items()} == {"sum.out": [4.0], "reciprocal.out": [0.25]}
    assert evaluate_constants(graph, []) == {}
