"""On ideal arrays a mapped network computes what onnxruntime computes, whatever its layers and its batch."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from pinat_compile.compiler.build import compile as compile_network
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.data import load_data
from pinat_compile.errors import DataError
from pinat_compile.graph.ops.array import ArrayMvm
from tests.execution import relative_error
from tests.zoo import NETWORKS, Builder, inputs_for

SHIPPED = Path(__file__).parents[2] / "examples" / "resnet8_fashion_mnist.onnx"
SMALL_ARRAYS = ("array.rows=7", "array.cols=6")
"""So small that every layer needs many tiles."""


@cache
def compiled(network: str, overrides: tuple[str, ...] = ()) -> Compiled:
    return compile_network(NETWORKS[network](), "ideal_128x128", overrides=overrides)


def check(network: Compiled, inputs: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]) -> None:
    expected = network.reference.run(inputs)
    with torch.no_grad():
        got = network.simulator(noise=False).run({name: torch.from_numpy(x) for name, x in inputs.items()})
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        assert relative_error(got[name].numpy(), value) < 1e-5, name


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("network", NETWORKS)
def test_small_networks(network: str, batch: int) -> None:
    check(compiled(network), inputs_for(NETWORKS[network](), batch=batch, length=4 + batch))


@pytest.mark.parametrize("network", NETWORKS)
def test_small_networks_on_small_arrays(network: str) -> None:
    mapped = compiled(network, SMALL_ARRAYS)
    assert any(matrix.arrays > 1 for matrix in mapped.graph.matrices.values())
    check(mapped, inputs_for(NETWORKS[network](), batch=2))


@pytest.mark.parametrize("network", NETWORKS)
def test_a_chip_of_ideal_devices_is_ideal(network: str) -> None:
    inputs = {name: torch.from_numpy(x) for name, x in inputs_for(NETWORKS[network](), batch=2).items()}
    with torch.no_grad():
        ideal = compiled(network).simulator(noise=False).run(inputs)
        chip = compiled(network).simulator(chip=7).run(inputs)
    for name, value in ideal.items():
        assert torch.equal(chip[name], value)


@pytest.mark.parametrize("network", ["residual", "grouped_conv", "matmul_3d"])
def test_layers_taken_off_the_arrays_give_the_same(network: str) -> None:
    inputs = {name: torch.from_numpy(x) for name, x in inputs_for(NETWORKS[network](), batch=2).items()}
    mapped = compiled(network)
    first = next(node.name for node in mapped.graph.nodes if isinstance(node.op, ArrayMvm))
    with torch.no_grad():
        everything = mapped.simulator(noise=False).run(inputs)
        for analog in ((), (first,)):
            some = mapped.simulator(noise=False, analog=analog).run(inputs)
            for name, value in everything.items():
                assert relative_error(some[name].numpy(), value.numpy()) < 1e-5


def test_every_weight_layer_of_the_zoo_is_on_arrays_unless_it_cannot() -> None:
    """Else these tests would show nothing."""
    allowed = {"gemm_variants": {"left"}, "transformer": {"scores", "mix"}}
    for network in NETWORKS:
        graph = compiled(network).graph
        left = {node.name for node in graph.nodes if node.op.type_name() in ("Conv", "Gemm", "MatMul")}
        assert left == allowed.get(network, set()), network


def left_matmul() -> onnx.ModelProto:
    """Constants on the left of a matrix and of a stack; a vector; one weight on both sides."""
    b = Builder("left_matmul")
    x = b.input("x", ["batch", 6, 5])
    w = b.random("w", 8, 6)
    x = b.node("MatMul", w, x, name="left")
    x = b.node("MatMul", b.random("v", 6, 8), x, name="again")
    x = b.node("MatMul", w, x, name="shared")
    y = b.node("MatMul", b.node("ReduceMean", x, b.tensor("axes", np.array([0, 2])), name="mean", keepdims=0), w,
               name="vector")
    return b.model(b.relu(x, "relu"), y)


@pytest.mark.parametrize("overrides", [(), SMALL_ARRAYS])
def test_constants_on_the_left(overrides: tuple[str, ...]) -> None:
    model = left_matmul()
    mapped = compile_network(model, "ideal_128x128", overrides=overrides)
    assert set(mapped.graph.matrices) == {"left", "again", "vector"}
    for batch in (1, 4):
        check(mapped, inputs_for(model, batch=batch))


@pytest.mark.parametrize("overrides", [(), SMALL_ARRAYS])
@pytest.mark.parametrize("share", [True, False])
def test_shared_weights_are_one_matrix_or_copies(share: bool, overrides: tuple[str, ...]) -> None:
    model = NETWORKS["shared_weights"]()
    mapped = compile_network(model, "ideal_128x128", share_weights=share, overrides=overrides)
    assert len(mapped.graph.matrices) == (2 if share else 4)
    check(mapped, inputs_for(model, batch=2))


def test_the_shipped_network() -> None:
    mapped = compile_network(SHIPPED, "ideal_128x128")
    images = load_data("fashion-mnist-mini@test[:64]", inputs=mapped.source.inputs)
    batch = next(iter(images.batches(64)))
    check(mapped, dict(batch.inputs))


def find_mnist_conv() -> Path | None:
    """The model of qonnx, where that package happens to be installed."""
    from importlib.util import find_spec

    found = find_spec("qonnx")
    path = Path(found.origin).parent / "data" / "onnx" / "mnist-conv" / "model.onnx" if found and found.origin else None
    return path if path is not None and path.is_file() else None


@pytest.mark.skipif(find_mnist_conv() is None, reason="qonnx is not installed")
def test_mnist_conv() -> None:
    path = find_mnist_conv()
    assert path is not None
    mapped = compile_network(path, "ideal_128x128")
    rng = np.random.default_rng(0)
    (name,) = mapped.source.inputs
    check(mapped, {name: rng.random((3, 1, 28, 28), dtype=np.float32)})


def test_inputs_that_do_not_fit_are_named() -> None:
    chip = compiled("residual").simulator()
    with pytest.raises(DataError, match=r"'x' has shape \[2, 3, 8\], the network takes \[batch, 3, 8, 8\]"):
        chip(torch.zeros(2, 3, 8))
    with pytest.raises(DataError, match=r"takes 1 inputs \(x\), not 2"):
        chip(torch.zeros(2, 3, 8, 8), torch.zeros(2, 3, 8, 8))
    with pytest.raises(DataError, match="input 'x' is missing"):
        chip.run({})
    with pytest.raises(DataError, match="input 'x' is int64, the network takes float32"):
        chip(torch.zeros(2, 3, 8, 8, dtype=torch.int64))
