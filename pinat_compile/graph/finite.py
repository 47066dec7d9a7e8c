"""Where NaN or infinity began: from a value that is not finite back through the nodes that it came from."""

from __future__ import annotations

from collections.abc import Callable

from pinat_compile.graph.graph import Graph


def origin(graph: Graph, name: str, wrong: Callable[[str], bool]) -> str:
    """What made ``name`` not finite, in words: the first node on the way back whose inputs are ``wrong`` nowhere.

    ``wrong``: whether a value, an input or a constant of ``graph`` holds NaN or infinity. A loop or branch is one node.
    """
    reader = None
    while (node := graph.producer(name)) is not None:
        inputs = [given for given in node.inputs if given and wrong(given)]
        if not inputs:
            return f"node {node.name!r} ({type(node.op).__name__})"
        name, reader = min(inputs, key=lambda given: graph.producer(given) is None), node  # what is computed, first
    kind = "input" if name in graph.inputs else "constant"
    return f"{kind} {name!r}" + ("" if reader is None else f", which node {reader.name!r} reads")
