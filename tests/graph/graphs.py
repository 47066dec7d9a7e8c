"""Random graphs for the tests of the text form, and equality of graphs."""

from __future__ import annotations

import dataclasses
import typing
from types import NoneType, UnionType
from typing import Any, Literal

import numpy as np
from hypothesis import strategies as st

from pinat_compile.graph import Buffers, Cells, Cut, Graph, Matrix, Node, Packed, Placement, Ranges, Store, TensorType
from pinat_compile.graph.ops import OPS
from pinat_compile.graph.ops.base import Op
from pinat_compile.graph.types import Dim

PLAIN_NAMES = ["x", "_", "a.b/c:d-e", "conv1.weight", "0", "a:", ":", "inf", "tensor", "%a"]
NAMES = st.one_of(st.sampled_from(PLAIN_NAMES), st.text(min_size=1, max_size=8))
TEXTS = st.text(max_size=10)
DTYPES = ("float32", "float64", "float16", "int64", "int32", "uint8", "bool")
FLOATS = st.floats(width=64, allow_nan=True, allow_infinity=True)


def dims() -> st.SearchStrategy[Dim]:
    names = st.sampled_from(["batch", "größe", "inf", "a b", "2 * n", "none", "?", "*", "7"])
    return st.one_of(st.none(), st.integers(0, 1 << 40), names, st.text(min_size=1, max_size=4))


def types() -> st.SearchStrategy[TensorType]:
    shapes = st.one_of(st.none(), st.lists(dims(), max_size=4).map(tuple))
    return st.builds(TensorType, st.sampled_from(DTYPES), shapes)


def fields_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values for a field of type ``kind``."""
    if kind is bool:
        return st.booleans()
    if kind is int:
        return st.integers(-(1 << 62), 1 << 62)
    if kind is float:
        return FLOATS
    if kind is str:
        return TEXTS
    if kind is NoneType:
        return st.none()
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        return st.lists(fields_of(args[0]), max_size=3).map(tuple)
    if origin is Literal:
        return st.sampled_from(args)
    assert origin in (UnionType, typing.Union), kind
    return st.one_of(*(fields_of(arg) for arg in args))


def records(kind: type[Any], **fixed: Any) -> st.SearchStrategy[Any]:
    """Dataclass instances, each field given or left at its default."""
    hints = typing.get_type_hints(kind)
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for field in dataclasses.fields(kind):
        if field.name not in fixed:
            missing = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            (required if missing else optional)[field.name] = fields_of(hints[field.name])
    return st.fixed_dictionaries(required, optional=optional).map(lambda given: kind(**given, **fixed))


def tensors() -> st.SearchStrategy[np.ndarray[Any, Any]]:
    def make(dtype: str, shape: list[int], seed: int) -> np.ndarray[Any, Any]:
        rng = np.random.default_rng(seed)
        special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-30, 0.1], np.float32)
        values = rng.choice(special, shape) if dtype.startswith("float") else rng.integers(0, 2, shape)
        return values.astype(dtype)

    return st.builds(make, st.sampled_from(DTYPES), st.lists(st.integers(0, 3), max_size=3), st.integers(0, 99))


def matrices(name: str) -> st.SearchStrategy[Matrix]:
    parts = (("cells", Cells), ("cut", Cut), ("ranges", Ranges), ("packed", Packed))
    plan = {part: st.one_of(st.none(), records(kind)) for part, kind in parts}
    plain: dict[str, st.SearchStrategy[Any]] = {
        "weight": NAMES, "view": st.sampled_from(["out_in", "in_out"]), "rows": st.integers(1, 9),
        "cols": st.integers(1, 9), "groups": st.integers(1, 3), "copy_of": st.one_of(st.none(), NAMES),
        "first_array": st.one_of(st.none(), st.integers(0, 9)), "replicas": st.integers(1, 9),
        "capacity": st.one_of(st.none(), st.integers(1, 9)),
    }
    return st.fixed_dictionaries({**plain, **plan}).map(lambda given: Matrix(name=name, **given))


@st.composite
def graphs(draw: st.DrawFn, depth: int = 2, store: Store | None = None, taken: set[str] | None = None) -> Graph:
    """A graph whose nodes read what stands before them, with regions; not meant to compute anything."""
    taken = set() if taken is None else taken

    def fresh() -> str:
        name = draw(NAMES)
        while name in taken:
            name += "'"
        taken.add(name)
        return name

    inputs = [fresh() for _ in range(draw(st.integers(0, 2)))]
    kinds: dict[str, TensorType] = {name: draw(types()) for name in inputs}
    if store is None:
        store = Store({fresh(): draw(tensors()) for _ in range(draw(st.integers(0, 2)))})
        for _ in range(draw(st.integers(0, 2))):
            name = draw(NAMES)
            store.matrices[name] = draw(matrices(name))
    known = [*inputs, *store.tensors]
    nodes: dict[str, Node] = {}
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.text(max_size=6).filter(lambda text: text not in nodes))
        op: Op = draw(st.sampled_from(sorted(OPS)).flatmap(lambda kind: records(OPS[kind])))
        operands = draw(st.lists(st.sampled_from([*known, ""]), max_size=4))
        outputs = [fresh() if draw(st.booleans()) else "" for _ in range(draw(st.integers(0, 2)))]
        kinds.update({output: draw(types()) for output in outputs if output})
        placement = draw(st.one_of(st.none(), st.builds(Placement, st.sampled_from(["analog", "digital"]), TEXTS)))
        buffers = draw(st.one_of(st.none(), records(Buffers)))
        count = draw(st.integers(0, 2)) if depth else 0
        regions = tuple(draw(graphs(depth - 1, store, taken)) for _ in range(count))
        nodes[name] = Node(name, op, tuple(operands), tuple(outputs), placement, regions, buffers)
        known += [output for output in outputs if output]
    results = draw(st.lists(st.sampled_from(known), max_size=2)) if known else []
    return Graph(draw(TEXTS), inputs, results, types=kinds, nodes=nodes.values(), store=store)


def assert_equal(a: Graph, b: Graph) -> None:
    """The same in every respect, tensors bit by bit."""
    assert (a.name, a.inputs, a.outputs) == (b.name, b.inputs, b.outputs)
    assert a.types == b.types
    assert list(a.tensors) == list(b.tensors) and a.matrices == b.matrices
    for name, tensor in a.tensors.items():
        other = b.tensors[name]
        assert (tensor.dtype, tensor.shape) == (other.dtype, other.shape)
        np.testing.assert_array_equal(tensor, other)
    assert len(a.nodes) == len(b.nodes)
    for left, right in zip(a.nodes, b.nodes, strict=True):
        assert repr(left.op) == repr(right.op)  # nan differs from itself
        assert (left.name, left.inputs, left.outputs) == (right.name, right.inputs, right.outputs)
        assert left.buffers == right.buffers
        assert left.placement == right.placement and len(left.regions) == len(right.regions)
        for inner, other_inner in zip(left.regions, right.regions, strict=True):
            assert_equal(inner, other_inner)
