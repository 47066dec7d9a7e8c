"""Compile a network on ideal arrays and compare it with the original file in onnxruntime."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnxruntime
import torch

from benchmarks.zoo.networks import Network, random_inputs
from pinat_compile.compiler.build import compile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.errors import ModelError
from pinat_compile.graph import Array
from pinat_compile.graph.ops.array import ArrayMvm

TARGET = "ideal_128x128"
RELATIVE, ABSOLUTE = 1e-4, 1e-6
"""Largest error allowed: relative to the largest output; absolute where an exception is listed."""


@dataclass(frozen=True, slots=True)
class Result:
    """``random``, ``real``: the largest relative error of any output (None: no data); ``seconds`` to compile."""

    name: str
    analog: int
    digital: int
    arrays: int
    weights: int
    random: float
    real: float | None
    absolute: float
    seconds: float

    def passed(self, network: Network) -> bool:
        """Whether the network computes what onnxruntime computes."""
        fine = self.random <= RELATIVE or (network.exception is not None and self.absolute <= ABSOLUTE)
        return fine and (self.real is None or self.real <= RELATIVE)


def session(network: Network) -> onnxruntime.InferenceSession:
    """The original file in onnxruntime, quiet."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(network.file(), options, providers=["CPUExecutionProvider"])


def refusal(network: Network) -> str:
    """What the importer says of a network that it must refuse."""
    try:
        compile(network.file(), TARGET)
    except ModelError as error:
        return error.message
    raise AssertionError(f"{network.name}: was not refused")


def check(network: Network) -> tuple[Result, Compiled]:
    """Compile and compare, on random inputs of each size and on real ones."""
    original = session(network)
    dtypes = {value.name: _dtype(value.type) for value in original.get_inputs()}
    batches = [random_inputs(network, sizes, dtypes, seed) for seed, sizes in enumerate(network.sizes)]
    started = time.perf_counter()
    compiled = compile(network.file(), TARGET, calibration=batches[:1], bind=network.bind)
    seconds = time.perf_counter() - started
    real = network.real() if network.real is not None else None
    found = [errors(network, compiled, original, batch) for batch in batches]
    analog = sum(isinstance(node.op, ArrayMvm) for _, node in compiled.graph.walk())
    matrices = compiled.graph.matrices.values()
    result = Result(
        name=network.name,
        analog=analog,
        digital=sum(1 for _ in compiled.graph.walk()) - analog,
        arrays=sum(matrix.arrays for matrix in matrices),
        weights=sum(matrix.weights for matrix in matrices),
        random=max(relative for relative, _ in found),
        real=None if real is None else errors(network, compiled, original, real)[0],
        absolute=max(absolute for _, absolute in found),
        seconds=seconds,
    )
    return result, compiled


def errors(
    network: Network, compiled: Compiled, original: onnxruntime.InferenceSession, batch: Mapping[str, Array]
) -> tuple[float, float]:
    """The largest relative and absolute error of any output; a fixed batch of 1 is fed sample by sample."""
    bound = {name: np.array(value) for name, value in network.bind.items()}
    chip = compiled.simulator(noise=False)
    with torch.no_grad():
        got = chip.run({name: torch.from_numpy(np.ascontiguousarray(x)) for name, x in batch.items()})
    expected = reference(original, {**batch, **bound})
    relative, absolute = 0.0, 0.0
    for name, value in zip(compiled.graph.outputs, expected, strict=True):
        assert tuple(got[name].shape) == value.shape, (name, got[name].shape, value.shape)
        error = float(np.abs(got[name].numpy() - value).max())
        absolute, relative = max(absolute, error), max(relative, error / max(float(np.abs(value).max()), 1e-30))
    return relative, absolute


def reference(original: onnxruntime.InferenceSession, batch: Mapping[str, Array]) -> list[Array]:
    """The outputs; where the file fixes a batch of 1, sample by sample."""
    first = original.get_inputs()[0]
    size = len(batch[first.name])
    if first.shape[0] == 1 and size > 1 and len(batch) == 1:
        parts = [original.run(None, {first.name: batch[first.name][i : i + 1]}) for i in range(size)]
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]
    return [np.asarray(value) for value in original.run(None, dict(batch))]


def _dtype(text: str) -> str:
    kinds = {"float": "float32", "double": "float64"}
    name = text.removeprefix("tensor(").removesuffix(")")
    return kinds.get(name, name)
