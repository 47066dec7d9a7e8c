"""Decide which nodes run on arrays and which in digital logic, and say why."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import ClassVar

from pinat_compile.errors import OptionError
from pinat_compile.graph import Graph, Node
from pinat_compile.passes.base import ScopePass
from pinat_compile.passes.obstacles import obstacle

FITS = "constant weights"


@dataclass(frozen=True)
class PlaceLayers(ScopePass):
    """Give every node a place and a reason; ``digital`` and ``analog`` name nodes for which the user decides.

    1. A layer with a constant weight that hardware can hold (`obstacles` lists the operators): analog.
    2. A product of two computed values (attention, say): digital; arrays are not rewritten at run time.
    3. A layer of a form that no array computes (see ``obstacle``): digital, with what is in the way.
    4. Everything else: digital; a node with regions because it is control flow (what stands inside is placed on its
       own), any other because it has no weights.
    5. ``digital`` names the node: digital, whatever it is. ``analog`` names it: analog, or an OptionError saying what
       is in the way. A name that no node has is an OptionError with the nearest names.
    """

    name: ClassVar[str] = "place-layers"
    digital: tuple[str, ...] = ()
    analog: tuple[str, ...] = ()

    def run(self, graph: Graph) -> Graph:
        known = [node.name for _, node in graph.walk()]
        for flag, names in (("--digital", self.digital), ("--analog", self.analog)):
            for name in names:
                if name not in known:
                    near = ", ".join(difflib.get_close_matches(name, known, n=3, cutoff=0.3)) or ", ".join(known[:5])
                    raise OptionError(f"{flag} {name}: the network has no node of that name", hint=f"try {near}")
        return super().run(graph)

    def rewrite(self, scope: Graph) -> None:
        for node in scope.nodes:
            scope.update(self._placed(scope, node))

    def _placed(self, scope: Graph, node: Node) -> Node:
        if node.name in self.digital:  # 5
            return node.placed("digital", "chosen with --digital")
        reason = obstacle(scope, node)
        if node.name in self.analog:  # 5
            if reason is not None:
                raise OptionError(f"--analog {node.name}: cannot run on arrays: {reason}", hint="leave it digital")
            return node.placed("analog", "chosen with --analog")
        if reason is None:  # 1
            return node.placed("analog", FITS)
        return node.placed("digital", reason)  # 2, 3, 4
