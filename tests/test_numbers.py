"""Numbers at the edge: NaN and infinity named where they begin; half precision, scales, nothing, zeros, one row."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import pinat_compile as pc
from pinat_compile.data import as_dataset
from pinat_compile.errors import DataError, ModelError, OptionError
from pinat_compile.evaluation import outputs_of
from pinat_compile.graph import Array

ROOT = Path(__file__).parents[1]
RNG = np.random.default_rng(0)
INPUTS, OUTPUTS, SAMPLES = 6, 4, 24
W = RNG.standard_normal((INPUTS, OUTPUTS)).astype(np.float32)
X = (0.1 + RNG.random((SAMPLES, INPUTS))).astype(np.float32)
Y = RNG.integers(0, OUTPUTS, SAMPLES)
MATMUL = ("MatMul", ["x", "w"], ["y"], "fc")
TINY = 2.0**-126
"""The smallest normal float32."""


def network(
    *nodes: tuple[str, list[str], list[str], str], kind: int = TensorProto.FLOAT, **tensors: Array
) -> onnx.ModelProto:
    """``nodes`` on ``x`` [batch, INPUTS]; the last one's first output is the network's."""
    x = helper.make_tensor_value_info("x", kind, ["batch", INPUTS])
    y = helper.make_tensor_value_info(nodes[-1][2][0], kind, None)
    made = [helper.make_node(op, given, found, name) for op, given, found, name in nodes]
    held = [numpy_helper.from_array(array, name) for name, array in tensors.items()]
    graph = helper.make_graph(made, "net", [x], [y], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def compiled(model: onnx.ModelProto, *overrides: str, target: str = "reram_128x128", x: Array = X) -> pc.Compiled:
    return pc.compile(model, target, calibration={"x": x}, overrides=overrides)


def chip_outputs(model: onnx.ModelProto, x: Array, *overrides: str, target: str = "reram_128x128") -> torch.Tensor:
    found = compiled(model, *overrides, target=target, x=x).simulator(chip=0)(torch.from_numpy(x))
    assert isinstance(found, torch.Tensor)
    return found


# --- NaN and infinity ---

LOG = ("Log", ["x"], ["l"], "the log")
SQRT = ("Sqrt", ["x"], ["l"], "the root")
ZERO = np.where(np.arange(SAMPLES)[:, None] == 5, 0.0, X).astype(np.float32)
AFTER = ("MatMul", ["l", "w"], ["y"], "fc")
CASES = [(LOG, ZERO, "node 'the log' (Log)"), (SQRT, X - 0.5, "node 'the root' (Sqrt)")]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite(bad: float) -> None:
    w = W.copy()
    w[2, 1] = bad
    with pytest.raises(ModelError, match=r"'w'|'fc'"):
        compiled(network(MATMUL, w=w))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_data_that_are_not_finite(bad: float) -> None:
    x = X.copy()
    x[7, 3] = bad
    with pytest.raises(DataError, match="sample 7 of x"):
        compiled(network(MATMUL, w=W), x=x)
    with pytest.raises(DataError, match="sample 7 of x"):
        pc.evaluate(compiled(network(MATMUL, w=W)), {"x": x, "y": Y}, chips=1)


def test_a_constant_that_is_infinite() -> None:
    shift = np.full(OUTPUTS, np.inf, np.float32)
    net = compiled(network(MATMUL, ("Add", ["y", "shift"], ["z"], "add"), w=W, shift=shift))
    with pytest.raises(DataError, match=r"gives infinity, which begins at constant .* which node '(fc|add)' reads"):
        pc.evaluate(net, {"x": X, "y": Y}, chips=1)


@pytest.mark.parametrize(("node", "x", "name"), CASES)
def test_calibration_names_the_node_where_it_begins(node: Any, x: Array, name: str) -> None:
    with pytest.raises(DataError, match="what node 'fc' multiplies") as error:
        compiled(network(node, AFTER, w=W), x=x)
    assert name in error.value.message


@pytest.mark.parametrize(("node", "x", "name"), CASES)
def test_evaluation_names_the_node_where_it_begins(node: Any, x: Array, name: str) -> None:
    with pytest.raises(DataError, match="in onnxruntime gives") as error:
        pc.evaluate(compiled(network(node, AFTER, w=W)), {"x": x, "y": Y}, chips=1)
    assert name in error.value.message


def test_what_only_a_noisy_chip_gives_is_refused_with_its_node() -> None:
    """|a - a| is 0 everywhere but on arrays: its root's negative is defined for the network, not for the chip."""
    nodes = (MATMUL, ("MatMul", ["x", "v"], ["z"], "other"), ("Sub", ["y", "z"], ["d"], "difference"),
             ("Sqrt", ["d"], ["r"], "root"))
    net = compiled(network(*nodes, w=W, v=W.copy()))
    with pytest.raises(DataError, match=r"chip 0 gives NaN, which begins at node 'root' \(Sqrt\)"):
        pc.evaluate(net, {"x": X}, chips=1, metric="mse")
    with pytest.raises(DataError, match=r"chip 0 gives NaN, which begins at node 'root' \(Sqrt\)"):
        outputs_of(net, net.simulator(chip=0), as_dataset({"x": X}, inputs=["x"]))


def test_fine_tuning_names_the_node() -> None:
    net = compiled(network(SQRT, AFTER, w=W))
    with pytest.raises(OptionError, match="the loss is nan at step 1, which begins at node 'the root'"):
        pc.finetune(net, {"x": X - 0.5, "y": Y}, method="nt", epochs=1)


# --- half precision ---


def test_a_float16_network_runs_from_float32_data() -> None:
    net = compiled(network(MATMUL, kind=TensorProto.FLOAT16, w=W.astype(np.float16)), target="ideal_128x128")
    found = net.simulator(noise=False)(torch.from_numpy(X).half())
    assert isinstance(found, torch.Tensor) and found.dtype == torch.float16
    exact = X.astype(np.float16).astype(np.float64) @ W.astype(np.float16).astype(np.float64)
    assert np.abs(found.double().numpy() - exact).max() < 4 * 2.0**-11 * np.abs(exact).max()
    assert pc.evaluate(net, {"x": X, "y": Y}, chips=1).samples == SAMPLES
    assert pc.evaluate(net, {"x": X.astype(np.float16), "y": Y}, chips=1).samples == SAMPLES
    assert outputs_of(net, net.simulator(noise=False), as_dataset({"x": X}, inputs=["x"]))["y"].dtype == np.float16


def test_bfloat16_weights_run_where_onnxruntime_runs_them() -> None:
    w = W.astype(ml_dtypes.bfloat16)
    cast = helper.make_node("Cast", ["w"], ["wide"], "widen", to=TensorProto.FLOAT)
    model = network(("MatMul", ["x", "wide"], ["y"], "fc"), w=w)
    model.graph.node.insert(0, cast)
    found = compiled(model, target="ideal_128x128").simulator(noise=False)(torch.from_numpy(X))
    assert isinstance(found, torch.Tensor)
    assert np.allclose(found.numpy(), X @ w.astype(np.float32), rtol=1e-4, atol=1e-5)
    with pytest.raises(ModelError, match="onnxruntime does not accept"):  # it has no products of bfloat16
        compiled(network(MATMUL, kind=TensorProto.BFLOAT16, w=w))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_inputs_of_another_width(dtype: torch.dtype) -> None:
    x = torch.from_numpy(X).to(dtype)
    net = compiled(network(MATMUL, w=W))
    assert torch.equal(net.simulator(chip=0)(x), net.simulator(chip=0)(x.float()))


# --- scales ---


@pytest.mark.parametrize("target", ["ideal_128x128", "reram_128x128", "pcm_256x256"])
@pytest.mark.parametrize(("of", "power"), [("weights", -60), ("weights", 60), ("inputs", -60), ("inputs", 60)])
def test_a_scale_only_scales(target: str, of: str, power: int) -> None:
    """Powers of two change no digit: neither of the plan nor of what a chip draws."""
    scale = np.float32(2.0**power)
    plain = chip_outputs(network(MATMUL, w=W), X, target=target)
    w, x = (W * scale, X) if of == "weights" else (W, X * scale)
    scaled = chip_outputs(network(MATMUL, w=w), x, target=target)
    assert torch.allclose(scaled * (1.0 / float(scale)), plain, rtol=1e-4, atol=1e-5 * float(plain.abs().max()))


@pytest.mark.parametrize("size", [1e-44, TINY, 1e30, 1e37])
def test_extreme_scales_stay_finite(size: float) -> None:
    for model, x in ((network(MATMUL, w=W * np.float32(size)), X), (network(MATMUL, w=W), X * np.float32(size))):
        found = chip_outputs(model, x)
        assert bool(found.isfinite().all())
        assert float(found.abs().max()) < 100 * max(size, TINY)


# --- nothing, zeros, one row ---


@pytest.mark.parametrize("chip", [None, 0])
def test_an_empty_batch_gives_an_empty_result(chip: int | None) -> None:
    net = compiled(network(MATMUL, ("Relu", ["y"], ["r"], "relu"), w=W))
    simulator = net.simulator(noise=False) if chip is None else net.simulator(chip=chip)
    found = simulator(torch.zeros(0, INPUTS))
    assert isinstance(found, torch.Tensor) and found.shape == (0, OUTPUTS)


def test_data_without_samples_are_refused() -> None:
    with pytest.raises(DataError, match="no samples"):
        pc.evaluate(compiled(network(MATMUL, w=W)), {"x": X[:0], "y": Y[:0]}, chips=1)


@pytest.mark.parametrize("target", ["ideal_128x128", "reram_128x128"])
def test_zero_weights_and_zero_inputs(target: str) -> None:
    exact = target.startswith("ideal")
    for w, x in ((W * 0, X), (W, X * 0)):
        found = chip_outputs(network(MATMUL, w=w), x, target=target)
        assert bool(found.isfinite().all())
        assert not exact or not bool(found.any())


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_arrays_of_one_row(rows: int) -> None:
    found = chip_outputs(network(MATMUL, w=W), X, f"array.rows={rows}", target="ideal_128x128")
    assert np.allclose(found.numpy(), X @ W, rtol=1e-5, atol=1e-5)
    noisy = chip_outputs(network(MATMUL, w=W), X, f"array.rows={rows}")
    assert bool(noisy.isfinite().all()) and float((noisy - found).abs().mean()) < float(found.abs().mean())


# --- the same again ---

PROGRAM = """
import sys, hashlib, torch
torch.set_num_threads(int(sys.argv[1]))
from tests.test_numbers import digest_of_a_chip
print(digest_of_a_chip())
"""


def digest_of_a_chip() -> str:
    """Of the plan and of what a chip gives, noise included."""
    net = compiled(network(MATMUL, w=W))
    found = net.simulator(chip=3, seed=2)(torch.from_numpy(X))
    assert isinstance(found, torch.Tensor)
    return hashlib.sha256(net.content.encode() + found.numpy().tobytes()).hexdigest()


def test_processes_agree_to_the_last_bit() -> None:
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(torch.get_num_threads())]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == digest_of_a_chip(), done.stderr


@pytest.mark.parametrize(("size", "threads"), [(1, 1), (7, 1), (64, 2)])
def test_batch_sizes_and_threads_change_last_bits_at_most(size: int, threads: int) -> None:
    """A sum in another order may end on the other side of a code of a converter: then one code, and in few places."""
    net, before = compiled(network(MATMUL, w=W)), torch.get_num_threads()
    x = torch.from_numpy(X)
    whole = net.simulator(chip=1)(x)
    chip = net.simulator(chip=1)
    try:
        torch.set_num_threads(threads)
        parts = torch.cat([chip(x[start : start + size]) for start in range(0, SAMPLES, size)])
    finally:
        torch.set_num_threads(before)
    apart = ~torch.isclose(parts, whole, rtol=1e-5, atol=1e-6)
    assert float(apart.float().mean()) <= 0.02
