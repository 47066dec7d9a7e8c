"""If, Loop and Scan: which region runs, how often, on what, and what becomes of its results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import cast

import torch
from torch import Tensor

from pinat_compile.errors import GraphError
from pinat_compile.graph import Graph, Node
from pinat_compile.graph.ops import control
from pinat_compile.simulator.noise import Noise, Role, Take, Unit
from pinat_compile.simulator.operators.base import DTYPES

Body = Callable[[Graph, Sequence[Tensor], int], Sequence[Tensor]]
"""Runs a region on its inputs, for the time of that number; gives its outputs."""

MOST_ITERATIONS = 1 << 20
"""A loop that has not ended by then does not end."""


def run_regions(node: Node, operands: Sequence[Tensor | None], body: Body) -> tuple[Tensor, ...]:
    """The outputs of a node with regions."""
    if isinstance(node.op, control.If):
        return _if(node, operands, body)
    if isinstance(node.op, control.Loop):
        return _loop(node, operands, body)
    if isinstance(node.op, control.Scan):
        return _scan(node, node.op, operands, body)
    raise GraphError(f"node {node.name!r}: operator {node.op.type_name()} takes no regions")


def _if(node: Node, operands: Sequence[Tensor | None], body: Body) -> tuple[Tensor, ...]:
    then, otherwise = node.regions
    condition = operands[0]
    assert condition is not None
    return tuple(body(then if bool(condition.reshape(-1)[0]) else otherwise, (), 0))


def _loop(node: Node, operands: Sequence[Tensor | None], body: Body) -> tuple[Tensor, ...]:
    (region,) = node.regions
    trips, condition, *carried = operands
    most = None if trips is None else int(trips.reshape(-1)[0])
    going = condition is None or bool(condition.reshape(-1)[0])
    state = cast(list[Tensor], carried)
    collected: list[list[Tensor]] = [[] for _ in region.outputs[1 + len(state) :]]
    for index in count():
        if not going or (most is not None and index >= most):
            break
        if index >= MOST_ITERATIONS:
            raise GraphError(f"node {node.name!r}: the loop has not ended after {MOST_ITERATIONS:,} iterations")
        following, *results = body(region, (torch.tensor(index), torch.tensor(going), *state), index)
        going = bool(following.reshape(-1)[0])
        state, found = results[: len(state)], results[len(state) :]
        for items, value in zip(collected, found, strict=True):
            items.append(value)
    names = region.outputs[1 + len(state) :]
    return (*state, *(_stacked(items, region, name) for items, name in zip(collected, names, strict=True)))


def _scan(node: Node, op: control.Scan, operands: Sequence[Tensor | None], body: Body) -> tuple[Tensor, ...]:
    (region,) = node.regions
    given = [cast(Tensor, value) for value in operands]
    state, scanned = given[: -op.num_scan_inputs], given[-op.num_scan_inputs :]
    axes = op.scan_input_axes or (0,) * len(scanned)
    backward = op.scan_input_directions or (0,) * len(scanned)
    slices = [_slices(x, axis, back) for x, axis, back in zip(scanned, axes, backward, strict=True)]
    names = region.outputs[len(state) :]
    collected: list[list[Tensor]] = [[] for _ in names]
    for index, parts in enumerate(zip(*slices, strict=True)):
        results = body(region, (*state, *parts), index)
        state, found = list(results[: len(state)]), results[len(state) :]
        for items, value in zip(collected, found, strict=True):
            items.append(value)
    out_axes = op.scan_output_axes or (0,) * len(names)
    out_backward = op.scan_output_directions or (0,) * len(names)
    stacked = [
        _stacked(items[::-1] if back else items, region, name, axis)
        for items, name, axis, back in zip(collected, names, out_axes, out_backward, strict=True)
    ]
    return (*state, *stacked)


def _slices(x: Tensor, axis: int, backward: int) -> Sequence[Tensor]:
    parts = x.unbind(axis)
    return parts[::-1] if backward else parts


def _stacked(items: Sequence[Tensor], region: Graph, name: str, axis: int = 0) -> Tensor:
    """What was collected, along a new axis; of no iterations an empty tensor of the declared type."""
    if items:
        device = next((item.device for item in items if item.device.type != "cpu"), items[0].device)
        return torch.stack([item.to(device) for item in items], dim=axis)
    kind = region.type_of(name)
    sizes = [dim if isinstance(dim, int) else 0 for dim in kind.shape or ()]
    sizes.insert(axis if axis >= 0 else axis + len(sizes) + 1, 0)
    return torch.empty(sizes, dtype=DTYPES[kind.dtype])


@dataclass(frozen=True)
class IterationNoise(Noise):
    """The noise of one run of a region: draws of its own, whatever the number of iterations."""

    noise: Noise
    iteration: int

    def vectors(self, role: Role, units: Sequence[Unit], count: int, width: int, like: Tensor) -> list[Take]:
        return self.noise.vectors((*role, "iteration", self.iteration), units, count, width, like)

    def uniform_vectors(self, role: Role, units: Sequence[Unit], count: int, width: int, like: Tensor) -> list[Take]:
        return self.noise.uniform_vectors((*role, "iteration", self.iteration), units, count, width, like)
