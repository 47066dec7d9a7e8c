"""The vision transformer of the examples: its file, where its products run, and gradients to its weights."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from examples import fashion_mnist
from examples.train_vit_fashion_mnist import VisionTransformer
from pinat_compile.compiler.build import compile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.summary import report_document
from pinat_compile.frontend import Reference, import_model
from pinat_compile.simulator.conditions import TRAINING_CHIPS
from tests.execution import relative_error

logging.getLogger("torch").setLevel(logging.ERROR)

PER_BLOCK = ("attention.qkv", "attention.proj", "fc1", "fc2")
ON_ARRAYS = {"patches", "head", *(f"blocks.{block}.{layer}" for block in range(4) for layer in PER_BLOCK)}
IMAGES = np.random.default_rng(5).random((3, 1, 28, 28), dtype=np.float32)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, VisionTransformer]:
    """A network of random weights, and its file as the training script writes it."""
    torch.manual_seed(1)
    model, path = VisionTransformer().eval(), tmp_path_factory.mktemp("vit") / "vit.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter warns of itself
        fashion_mnist.export(model, path, {"ReduceMean": "pool"})
    return path, model


def compiled_for(path: Path, target: str) -> Compiled:
    return compile(path, target, calibration={"x": IMAGES})


def test_the_file_computes_what_the_module_does_and_tells_nothing_else(made: tuple[Path, VisionTransformer]) -> None:
    path, model = made
    with torch.no_grad():
        expected = model(torch.from_numpy(IMAGES)).numpy()
    proto = onnx.load(path)
    found = Reference(import_model(proto)).run({"x": IMAGES})["logits"]
    assert relative_error(found, expected) < 1e-5
    assert not any(node.metadata_props or node.doc_string for node in proto.graph.node)
    assert path.stat().st_size < 1_000_000


def test_ideal_arrays_compute_what_onnxruntime_does(made: tuple[Path, VisionTransformer]) -> None:
    compiled = compiled_for(made[0], "ideal_128x128")
    with torch.no_grad():
        found = compiled.simulator(noise=False)(torch.from_numpy(IMAGES)).numpy()
    assert relative_error(found, compiled.reference.run({"x": IMAGES})["logits"]) < 1e-5


@pytest.mark.parametrize("target", ["reram_128x128", "pcm_256x256", "photonic_mrr_32x32"])
def test_projections_run_on_arrays_and_attention_itself_does_not(
    made: tuple[Path, VisionTransformer], target: str
) -> None:
    layers = report_document(compiled_for(made[0], target))["layers"]
    assert {layer["name"] for layer in layers if layer["where"] == "analog"} == ON_ARRAYS
    digital = [layer for layer in layers if layer["where"] == "digital"]
    products = [layer for layer in digital if layer["op"] == "MatMul"]
    assert len(products) == 8 and sum(layer["macs"] for layer in products) == 4 * 2 * 49 * 49 * 64
    energy = {where: sum(layer["energy_j"]["total"] for layer in layers if layer["where"] == where)
              for where in ("analog", "digital")}  # fmt: skip
    assert 0 < energy["digital"] < energy["analog"]
    assert all(layer["energy_j"]["total"] > 0 for layer in products)


def test_gradients_reach_every_matrix_through_noise(made: tuple[Path, VisionTransformer]) -> None:
    """Attention, normalisation and GELU in between."""
    chip = compiled_for(made[0], "reram_128x128").simulator(chip=TRAINING_CHIPS).train()
    values = {name: chip.value(matrix.weight) for name, matrix in chip.graph.matrices.items()}
    for value in values.values():
        value.requires_grad_(True)
    chip(torch.from_numpy(IMAGES)).square().sum().backward()
    assert set(values) == ON_ARRAYS
    for name, value in values.items():
        assert value.grad is not None and bool(torch.isfinite(value.grad).all()), name
        assert float(value.grad.abs().max()) > 0, name
