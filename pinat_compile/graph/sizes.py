"""The sizes of a network's values for one sample: what costs and schedules are counted from."""

from __future__ import annotations

from collections.abc import Callable

from pinat_compile.graph.graph import Graph

Dims = tuple[int, ...]

ShapeOf = Callable[[str], Dims | None]
"""The shape of a value for one sample (open sizes 1, a fixed batch 1), or None where it is not known."""


def sample_shapes(graph: Graph) -> ShapeOf:
    """The shape of each value, those inside regions too, for one sample; ``None`` where it is not known."""
    batch = fixed_batch(graph)
    types = dict(graph.types)
    for _, node in graph.walk():
        for region in node.regions:
            types.update(region.types)

    def shape_of(value: str) -> Dims | None:
        shape = graph.type_of(value).shape if value in graph.tensors or value not in types else types[value].shape
        if shape is None or any(dim is None for dim in shape):
            return None
        sizes = tuple(dim if isinstance(dim, int) else 1 for dim in shape)
        fixed = batch is not None and bool(sizes) and sizes[0] == batch and not graph.is_constant(value)
        return (1, *sizes[1:]) if fixed else sizes

    return shape_of


def fixed_batch(graph: Graph) -> int | None:
    """The batch that the network was exported for, where all inputs are fixed to one."""
    first = {(graph.type_of(name).shape or (None,))[:1] for name in graph.inputs}
    [size] = first.pop() if len(first) == 1 and first != {()} else (None,)
    return size if isinstance(size, int) else None
