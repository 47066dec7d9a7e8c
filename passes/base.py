"""What a pass is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from pinat_compile.graph import Graph


@dataclass(frozen=True)
class Pass(ABC):
    """Graph in, graph out; the graph given is never changed.

    A pass plans: it decides and annotates. Its docstring is its specification: numbered cases that comments in the code
    name again. The manager verifies, times and blames; a pass does not.
    """

    name: ClassVar[str]
    preserves_values: ClassVar[bool] = True
    """Whether the network computes the same numbers after the pass; a test then holds it to that."""

    @abstractmethod
    def run(self, graph: Graph) -> Graph:
        """The graph after this pass."""

    def gain(self, before: Graph, after: Graph) -> str:
        """What the pass gained, in words for the report; empty where there is nothing to say."""
        return ""


@dataclass(frozen=True)
class ScopePass(Pass):
    """A pass that rewrites one scope at a time: the graph itself and every region in it, inner ones first."""

    def run(self, graph: Graph) -> Graph:
        graph = graph.copy()
        self._descend(graph)
        return graph

    def _descend(self, scope: Graph) -> None:
        for node in scope.nodes:
            for region in node.regions:
                self._descend(region)
        self.rewrite(scope)

    @abstractmethod
    def rewrite(self, scope: Graph) -> None:
        """Change ``scope``, a copy, in place; its regions are done already."""


@dataclass(frozen=True)
class MatrixPass(Pass):
    """A pass that plans every matrix on its own."""

    preserves_values: ClassVar[bool] = False

    def run(self, graph: Graph) -> Graph:
        graph = graph.copy()
        for name in list(graph.matrices):
            self.plan(graph, name)
        return graph

    @abstractmethod
    def plan(self, graph: Graph, name: str) -> None:
        """Decide for the matrix ``name`` of ``graph``, a copy."""
