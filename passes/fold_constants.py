"""Compute at compile time what does not depend on the input."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from pinat_compile.errors import ModelError
from pinat_compile.frontend import evaluate_constants
from pinat_compile.graph import Graph, Node
from pinat_compile.passes.base import ScopePass

LARGEST = 1 << 30
"""Numbers in a tensor that is computed at compile time, at most."""


@dataclass(frozen=True)
class FoldConstants(ScopePass):
    """Replace nodes that read only tensors by their results.

        %s = Shape(%w); %y = Reshape(%x, %s)     ==>     tensor %s = [...]; %y = Reshape(%x, %s)

    1. All operands are tensors (or absent) and the node has no region: fold, chains in one go.
    2. The node takes no operand at all (a random generator, say), or has regions: leave it.
    3. A result that the graph gives out stays a node's result: leave the last node.
    4. A result is known to hold more than `LARGEST` numbers: ModelError, before anybody tries to hold them.
    """

    name: ClassVar[str] = "fold-constants"

    def rewrite(self, scope: Graph) -> None:
        constant = set(scope.tensors)
        folded: list[Node] = []
        for node in scope.nodes:
            operands = [name for name in node.inputs if name]
            if not operands or node.regions:  # 2
                continue
            if any(name in scope.outputs for name in node.outputs):  # 3
                continue
            if all(name in constant for name in operands):  # 1
                _check_size(scope, node)  # 4
                folded.append(node)
                constant.update(name for name in node.outputs if name)
        if not folded:
            return
        scope.tensors.update(evaluate_constants(scope, folded))
        for node in folded:
            scope.remove(node.name)


def _check_size(scope: Graph, node: Node) -> None:
    for name in node.outputs:
        sizes = [size for size in scope.type_of(name).shape or () if isinstance(size, int)]
        if math.prod(sizes) > LARGEST:
            raise ModelError(
                f"node {node.name!r} ({node.op.type_name()}): its constant result has shape {sizes}",
                hint="export the network again",
            )
