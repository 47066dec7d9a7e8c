"""Put values that fine-tuning has changed in the place of the original ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from pinat_compile.errors import GraphError
from pinat_compile.graph import Array, Graph
from pinat_compile.passes.base import Pass

SUFFIX = ".tuned"
"""Ends the name of a tensor whose value was trained; the original keeps its name."""


@dataclass(frozen=True)
class RestoreTrained(Pass):
    """Make matrices and nodes read the trained tensor where there is one.

        matrix weight="conv1.weight"     ==>     matrix weight="conv1.weight.tuned"

    1. A tensor ``N.tuned`` is given and something reads ``N``: add it, and let all readers and matrices read it.
    2. Nothing given: nothing changes.
    3. A given tensor is of another shape, or ``N`` does not exist: GraphError; the values belong to another network.
    """

    name: ClassVar[str] = "restore-trained"
    preserves_values: ClassVar[bool] = False
    trained: Mapping[str, Array] = field(default_factory=dict)

    def run(self, graph: Graph) -> Graph:
        graph = graph.copy()
        for tuned, value in self.trained.items():
            name = tuned.removesuffix(SUFFIX)
            if name not in graph.tensors or graph.tensors[name].shape != value.shape:  # 3
                raise GraphError(f"trained value {name!r} of shape {value.shape} does not fit this network")
            graph.tensors[tuned] = value  # 1
            graph.redirect(name, tuned)
            for matrix in list(graph.matrices.values()):
                if matrix.weight == name:
                    graph.matrices[matrix.name] = replace(matrix, weight=tuned)
        return graph
