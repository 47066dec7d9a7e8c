"""The table of operators, and where tensors live while shapes are computed."""

from __future__ import annotations

import numpy as np
import torch

from pinat_compile.graph.ops import ON_ARRAYS, OPS, indexing, shape
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.graph.ops.control import REGIONS
from pinat_compile.passes.obstacles import CHECKS
from pinat_compile.simulator.operators import ALL_OUTPUTS, EXECUTORS, execute, stays_on_cpu, supported_operators


def test_every_operation_of_the_graph_has_an_executor() -> None:
    assert set(OPS.values()) - {ArrayMvm} == set(EXECUTORS) | set(REGIONS)
    assert set(ALL_OUTPUTS) <= set(EXECUTORS)


def test_listing_names_what_runs_analog() -> None:
    listed = {item.name: item for item in supported_operators()}
    assert len(listed) == len(EXECUTORS) + len(REGIONS)
    assert {name for name, item in listed.items() if item.where == "analog"} == {op.type_name() for op in CHECKS}
    assert set(CHECKS) == ON_ARRAYS
    assert all(item.summary for item in listed.values())


def test_shapes_stay_on_the_cpu() -> None:
    x = torch.empty(2, 3, 4, device="meta")
    (sizes,) = execute(shape.Shape(), [x])
    assert sizes.device.type == "cpu"
    (first,) = execute(indexing.Gather(), [sizes, torch.tensor([0])])
    (both,) = execute(shape.Concat(axis=0), [first, torch.tensor([-1])])
    (flat,) = execute(shape.Reshape(), [x, both])
    assert (flat.device.type, tuple(flat.shape)) == ("meta", (2, 12))


def test_other_operands_follow_to_the_accelerator() -> None:
    x = torch.empty(5, 4, device="meta")
    (picked,) = execute(indexing.Gather(), [x, torch.tensor([1, 2])])
    assert (picked.device.type, tuple(picked.shape)) == ("meta", (2, 4))


def test_small_integer_constants_stay_on_the_cpu() -> None:
    assert stays_on_cpu(np.array([1, 2, 3]))
    assert stays_on_cpu(np.array(0.5, np.float32))
    assert not stays_on_cpu(np.zeros(3, np.float32))
    assert not stays_on_cpu(np.zeros((2, 2), np.int64))
