"""A plain interpreter for source graphs: every node by its torch operator. Used by the tests of several rooms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pinat_compile.graph import Graph
from pinat_compile.simulator.control import run_regions
from pinat_compile.simulator.operators import execute
from pinat_compile.simulator.operators.base import from_array
from pinat_compile.simulator.operators.narrow import CONTAINERS, FLOATS

Array = npt.NDArray[Any]


def run_torch(graph: Graph, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All values of ``graph`` by name."""
    return _run(graph, {name: from_array(array) for name, array in graph.tensors.items()} | dict(inputs))


def _run(graph: Graph, values: dict[str, Tensor]) -> dict[str, Tensor]:
    def body(region: Graph, given: Sequence[Tensor], iteration: int) -> list[Tensor]:
        found = _run(region, values | dict(zip(region.inputs, given, strict=True)))
        return [found[name] for name in region.outputs]

    for node in graph.nodes:
        operands = [values[name] if name else None for name in node.inputs]
        run = run_regions(node, operands, body) if node.regions else execute(node.op, operands, len(node.outputs))
        values.update({name: value for name, value in zip(node.outputs, run, strict=False) if name})
    return values


def run_arrays(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The outputs of ``graph`` by name, from and to NumPy."""
    with torch.no_grad():
        values = run_torch(graph, {name: from_array(np.asarray(array)) for name, array in inputs.items()})
    return {name: _to_array(values[name], graph.type_of(name).dtype) for name in graph.outputs}


def _to_array(value: Tensor, dtype: str) -> Array:
    """NumPy's array; of an element type that torch and NumPy have not in common, by way of float32."""
    if dtype in FLOATS:
        return value.to(torch.float32).numpy().astype(dtype)
    return value.numpy().astype(dtype) if dtype in CONTAINERS else value.numpy()


def relative_error(got: Array, expected: Array) -> float:
    """max |got - expected| / max |expected|."""
    assert got.shape == expected.shape, (got.shape, expected.shape)
    return float(np.abs(got - expected).max() / max(float(np.abs(expected).max()), 1e-30))


def worst_error(got: Mapping[str, Array], expected: Mapping[str, Array], names: Sequence[str]) -> float:
    """The largest `relative_error` of the outputs ``names``."""
    return max(relative_error(got[name], expected[name]) for name in names)
