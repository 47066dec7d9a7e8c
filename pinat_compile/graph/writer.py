"""The text form of a graph, written by ``dump`` and read back to an equal graph by ``parse``.

    graph "net"
      input %x: float32[batch, 3]
      output %y
      tensor %w: float32[4, 3]                       contents stand elsewhere
      tensor %axes: int64[2] = [1, 2]                small integer tensors stand here
      matrix @fc weight="w" view="out_in" rows=3 cols=4
        cut blocks=1 row_cuts=[0, 3] col_cuts=[0, 4]
      node "fc" %y: float32[batch, 4] = ArrayMvm(%x, %gain, %bias) matrix="fc"
        analog "constant weight"
        buffers bytes=[12, 0, 0] at=[0, 0, 0]        what waits in front of it
        region "then"                                a body, laid out like a graph

Attributes at their default are left out. A dimension is a number, a name, ``"any text"`` or ``?``; ``[*]`` is an
unknown rank.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any

from pinat_compile.graph.graph import Array, Graph
from pinat_compile.graph.matrix import Cells, Cut, Matrix, Packed, Ranges
from pinat_compile.graph.types import Dim, TensorType

INLINE_INTEGERS = 16
"""Integer and boolean tensors up to this many elements are written out."""

PARTS: dict[str, type[Any]] = {"cells": Cells, "cut": Cut, "ranges": Ranges, "packed": Packed}
"""The parts of a matrix's plan, each a line below the matrix."""

_PLAIN = re.compile(r"[A-Za-z0-9_./:\-]*[A-Za-z0-9_./\-]")  # a colon at the end would look like that before a type
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def dump(graph: Graph, *, inline_floats: int = 0) -> str:
    """The text form; float tensors of up to ``inline_floats`` elements are written out too."""
    lines = [f"graph {json.dumps(graph.name)}"]
    lines += _interface(graph, 1)
    for name, tensor in graph.tensors.items():
        kind = TensorType(str(tensor.dtype), tuple(tensor.shape))
        limit = inline_floats if tensor.dtype.kind == "f" else INLINE_INTEGERS
        value = f" = {_literal(tensor)}" if tensor.size <= limit and tensor.dtype.kind in "iubf" else ""
        lines.append(f"  tensor {_name(name)}: {type_text(kind)}{value}")
    for matrix in graph.matrices.values():
        lines += _matrix(matrix)
    lines += _nodes(graph, 1)
    return "\n".join(lines) + "\n"


def _interface(graph: Graph, depth: int) -> list[str]:
    pad = "  " * depth
    lines = [f"{pad}input {_name(name)}: {type_text(graph.type_of(name))}" for name in graph.inputs]
    return lines + [f"{pad}output {_name(name)}" for name in graph.outputs]


def _nodes(graph: Graph, depth: int) -> Iterator[str]:
    pad = "  " * depth
    for node in graph.nodes:
        results = ", ".join(f"{_name(out)}: {type_text(graph.type_of(out))}" if out else "_" for out in node.outputs)
        operands = ", ".join(_name(value) if value else "_" for value in node.inputs)
        attributes = "".join(f" {key}={_value(value)}" for key, value in _given(node.op))
        yield f"{pad}node {json.dumps(node.name)} {results} = {node.op.type_name()}({operands}){attributes}"
        if node.placement is not None:
            yield f"{pad}  {node.placement.where} {json.dumps(node.placement.why)}"
        if node.buffers is not None:
            yield f"{pad}  buffers" + "".join(f" {key}={_value(value)}" for key, value in _given(node.buffers))
        for region in node.regions:
            yield f"{pad}  region {json.dumps(region.name)}"
            yield from _interface(region, depth + 2)
            yield from _nodes(region, depth + 2)


def _matrix(matrix: Matrix) -> Iterator[str]:
    plain = [(key, value) for key, value in _given(matrix) if key != "name" and key not in PARTS]
    yield f"  matrix @{_name(matrix.name)[1:]}" + "".join(f" {key}={_value(value)}" for key, value in plain)
    for key in PARTS:
        part = getattr(matrix, key)
        if part is not None:
            yield f"    {key}" + "".join(f" {k}={_value(v)}" for k, v in _given(part))


def _given(record: Any) -> Iterator[tuple[str, Any]]:
    """Fields that differ from their default, in order; -0.0, which equals 0.0, is told apart."""
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if value != field.default or repr(value) == "-0.0":
            yield field.name, value


def _name(name: str) -> str:
    return "%" + (name if _PLAIN.fullmatch(name) else json.dumps(name))


def type_text(kind: TensorType) -> str:
    if kind.shape is None:
        return f"{kind.dtype}[*]"
    return f"{kind.dtype}[{', '.join(_dim(dim) for dim in kind.shape)}]"


def _dim(dim: Dim) -> str:
    if dim is None:
        return "?"
    return dim if isinstance(dim, str) and _WORD.fullmatch(dim) else json.dumps(dim)


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, str):
        return json.dumps(value)
    return repr(value)


def _literal(tensor: Array) -> str:
    items = [_value(item.item() if tensor.dtype.kind != "f" else float(str(item))) for item in tensor.reshape(-1)]
    return items[0] if tensor.ndim == 0 else f"[{', '.join(items)}]"
