"""Every pass that says it preserves values is held to it: the numbers of onnxruntime before, ours after.

The passes are taken from the pipeline; a new one joins by standing there.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pinat_compile.frontend import Reference, import_model
from pinat_compile.frontend.calibration import Calibration
from pinat_compile.graph import Graph, verify
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.hardware.loader import load_target
from pinat_compile.passes import Pass, keeping, lowering, planning, preparing
from pinat_compile.simulator.conditions import Conditions
from pinat_compile.simulator.module import Simulator
from tests.execution import relative_error
from tests.zoo import NETWORKS, inputs_for

Array = npt.NDArray[Any]
IDEAL = load_target("ideal_128x128")
PLANNING = planning(IDEAL, Calibration("none", 0))
PIPELINE: tuple[Pass, ...] = (*preparing(), *lowering(trained={}), *PLANNING)
PRESERVING = [index for index, step in enumerate(PIPELINE) if step.preserves_values]


@cache
def example(network: str) -> tuple[Graph, dict[str, Array], dict[str, Array]]:
    """The imported graph, inputs, and what onnxruntime makes of them."""
    model = NETWORKS[network]()
    graph, inputs = import_model(model), inputs_for(model, batch=3)
    return graph, inputs, Reference(graph).run(inputs)


@cache
def before(network: str, index: int) -> Graph:
    """The graph as it comes to pass number ``index`` of the pipeline."""
    return example(network)[0] if index == 0 else PIPELINE[index - 1].run(before(network, index - 1))


def execute(graph: Graph, inputs: dict[str, Array]) -> dict[str, Array]:
    """Run a graph at any stage; what is not planned yet is planned for ideal arrays."""
    if any(isinstance(node.op, ArrayMvm) for _, node in graph.walk()):
        for step in PLANNING:
            graph = step.run(graph)
    chip = Simulator(graph, IDEAL, Conditions(chip=None, time_s=1.0))
    with torch.no_grad():
        found = chip.eval().run({name: torch.from_numpy(array) for name, array in inputs.items()})
    return {name: value.numpy() for name, value in found.items()}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("index", PRESERVING, ids=lambda index: f"{index}-{PIPELINE[index].name}")
def test_same_numbers(index: int, network: str) -> None:
    _, inputs, expected = example(network)
    changed = PIPELINE[index].run(before(network, index))
    verify(changed)
    got = execute(changed, inputs)
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        assert relative_error(got[name], value) < 1e-5, name


@pytest.mark.parametrize("network", NETWORKS)
def test_a_second_run_changes_nothing(network: str) -> None:
    """Passes that preserve values have nothing left to do when they are run again."""
    from pinat_compile.graph import dump

    graph = example(network)[0]
    for step in PIPELINE:
        once = step.run(graph)
        if step.preserves_values:
            assert dump(step.run(once)) == dump(once), step.name
        graph = once


def test_most_passes_say_they_preserve_values_or_plan() -> None:
    names = {step.name for step in PIPELINE if step.preserves_values}
    assert names >= {"fold-constants", "fold-batch-norm", "drop-unused", "place-layers", "lower-to-arrays"}
    assert not any(step.preserves_values for step in keeping(Graph("g", (), ())))


def test_the_numbers_do_tell() -> None:
    """A pass that changes a weight a little is caught."""
    graph, inputs, expected = example("lenet")
    wrong = graph.copy()
    name = next(name for name in wrong.tensors if name.startswith("fc3.weight"))
    wrong.tensors[name] = wrong.tensors[name] * np.float32(1.001)
    got = execute(wrong, inputs)
    assert max(relative_error(got[name], value) for name, value in expected.items()) > 1e-5
