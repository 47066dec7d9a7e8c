"""ONNX to Graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import onnx

from pinat_compile.errors import GraphError, ModelError
from pinat_compile.frontend.attributes import OPSET, dtype_name, op_of
from pinat_compile.frontend.files import Source, read_model
from pinat_compile.frontend.normalise import normalise, opset_of
from pinat_compile.frontend.regions import bodies, nodes_in
from pinat_compile.graph.graph import Array, Graph, Node, Store
from pinat_compile.graph.types import Dim, TensorType
from pinat_compile.graph.verifier import verify


def import_model(source: Source, *, bind: Mapping[str, int] | None = None) -> Graph:
    """The graph of an ONNX model (a path, the bytes of a file, or a ModelProto), normalised to opset 20.

    ``bind`` fixes named dimensions, or inputs, to a number. Values, tensors and nodes keep their names; a node
    without a name is called ``<op>_<n>``, a repeated name gets a suffix. Constant nodes become tensors; tensors that
    nothing reads are left out. Metadata is not kept. Nothing is folded: that is for the passes to do and to show.

    Raises ModelError where the file cannot be read, is not a valid model, has unsupported operators (all are named) or
    element types, or weights that are not numbers.
    """
    model, folder = read_model(source)
    opset = max(opset_of(model) or OPSET, OPSET)
    try:
        weights = normalise(model, folder, bind or {})
        graph = graph_of(model, weights, opset)
    except UnicodeDecodeError:
        raise ModelError("the model is damaged: a name is not text", hint="copy or export the file again") from None
    if not graph.name:
        graph.name = Path(source).stem if isinstance(source, str | Path) else "network"
    return graph


def graph_of(model: onnx.ModelProto, weights: Mapping[str, Array], opset: int = OPSET) -> Graph:
    """The graph of a normalised ``model``; attributes that we lack must have the default that ``opset`` gives them."""
    proto = model.graph
    _name_nodes(proto)
    read = {name for node in nodes_in(proto) for name in node.input} | {value.name for value in proto.output}
    store = Store({name: array for name, array in weights.items() if name in read})
    try:
        graph = _graph(proto, opset, store)
        verify(graph)
    except GraphError as error:
        raise ModelError(f"the model is not valid: {error.message}", hint="check it with onnx.checker") from None
    return graph


def _graph(proto: onnx.GraphProto, opset: int, store: Store) -> Graph:
    types = {value.name: type_of(value) for value in (*proto.input, *proto.value_info, *proto.output)}
    return Graph(
        proto.name,
        [value.name for value in proto.input],
        [value.name for value in proto.output],
        types={name: kind for name, kind in types.items() if kind is not None and name not in store.tensors},
        nodes=[_node(node, opset, store) for node in proto.node],
        store=store,
    )


def _node(proto: onnx.NodeProto, opset: int, store: Store) -> Node:
    regions = tuple(_graph(body, opset, store) for body in bodies(proto))
    return Node(proto.name, op_of(proto, opset), _trimmed(proto.input), _trimmed(proto.output), regions=regions)


def _name_nodes(graph: onnx.GraphProto) -> None:
    nodes = list(nodes_in(graph))
    for node, name in zip(nodes, unique_names((node.op_type, node.name) for node in nodes), strict=True):
        node.name = name


def _trimmed(names: Iterable[str]) -> tuple[str, ...]:
    """Without absent operands at the end."""
    kept = list(names)
    while kept and not kept[-1]:
        kept.pop()
    return tuple(kept)


def unique_names(nodes: Iterable[tuple[str, str]]) -> list[str]:
    """A name for each (operator, name): its own where it is the first to have it, else a fresh one.

    A node without a name becomes ``<op>_<n>``, n counting the nodes of that operator; a repeated name gets ``.1``, ….
    """
    wanted = []
    counts: Counter[str] = Counter()
    for op, name in nodes:
        wanted.append(name or f"{op}_{counts[op]}")
        counts[op] += 1
    taken = set(wanted)
    seen: set[str] = set()
    names = []
    for name in wanted:
        if name in seen:
            name = next(fresh for i in range(1, len(wanted) + 2) if (fresh := f"{name}.{i}") not in taken)
            taken.add(name)
        seen.add(name)
        names.append(name)
    return names


def type_of(value: onnx.ValueInfoProto) -> TensorType | None:
    """The type of a declared value; ``None`` where nothing is declared."""
    kind = value.type.WhichOneof("value")
    if kind is None:
        return None
    if kind != "tensor_type":
        raise ModelError(f"value {value.name!r} is a {kind.removesuffix('_type')}", hint="only tensors are supported")
    tensor = value.type.tensor_type
    if not tensor.elem_type:
        return None
    try:
        dtype = dtype_name(tensor.elem_type)
    except ModelError as error:
        raise ModelError(f"value {value.name!r}: {error.message}", hint=error.hint) from None
    if not tensor.HasField("shape"):
        return TensorType(dtype)
    return TensorType(dtype, tuple(_dim(dim) for dim in tensor.shape.dim))


def describe(kind: TensorType) -> str:
    """``float32 [batch, 3, 32, 32]``; ``?`` stands for an unknown size."""
    if kind.shape is None:
        return kind.dtype
    return f"{kind.dtype} [{', '.join('?' if dim is None else str(dim) for dim in kind.shape)}]"


def _dim(dim: onnx.TensorShapeProto.Dimension) -> Dim:
    if dim.HasField("dim_value"):
        return int(dim.dim_value)
    return dim.dim_param or None
