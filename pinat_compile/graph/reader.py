"""Reading the text form of a graph (described in ``writer``)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, cast

import numpy as np

from pinat_compile.errors import GraphError
from pinat_compile.graph.graph import Array, Buffers, Graph, Node, Placement, Store
from pinat_compile.graph.matrix import Matrix
from pinat_compile.graph.ops import OPS
from pinat_compile.graph.types import Dim, TensorType
from pinat_compile.graph.writer import PARTS, type_text

TensorSource = Mapping[str, Array] | Callable[[str, TensorType], Array]


_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*")
          |(?P<name>[%@](?:[A-Za-z0-9_./:\-]+?(?=:?(?:\s|$|[,)]))|"(?:[^"\\]|\\.)*"))
          |(?P<number>[-+]?(?:inf|nan|\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)\b)
          |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
          |(?P<mark>[][():,=?*]))""",
    re.VERBOSE,
)


def parse(text: str, tensors: TensorSource | None = None) -> Graph:
    """Read a graph; contents that the text does not hold come from ``tensors`` (a mapping, or a function).

    Raises GraphError with the line where the text is not understood, and where a tensor is missing or of another shape.
    """
    lines = [_Line(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines or lines[0].word() != "graph":
        raise GraphError("graph text: expected 'graph \"name\"' on the first line", hint="is this a graph.txt file?")
    lines[0].index = 1
    name = lines[0].string()
    lines[0].end()
    return _Reader(lines, tensors if tensors is not None else {}).graph(name, depth=1, store=Store())


class _Line:
    """One line: its depth and its tokens, read from left to right."""

    def __init__(self, number: int, text: str) -> None:
        self.number = number
        self.depth = (len(text) - len(text.lstrip(" "))) // 2
        self.tokens: list[tuple[str, str]] = []
        self.index = 0
        body, position = text.strip(), 0
        while position < len(body):
            match = _TOKEN.match(body, position)
            if match is None:
                raise GraphError(f"graph text, line {number}: cannot read {body[position:position + 20]!r}")
            self.tokens.append((cast(str, match.lastgroup), match[cast(str, match.lastgroup)]))
            position = match.end()

    def fail(self, expected: str) -> GraphError:
        got = self.tokens[self.index][1] if self.index < len(self.tokens) else "the end of the line"
        return GraphError(f"graph text, line {self.number}: expected {expected}, found {got}")

    def word(self) -> str:
        return self.tokens[0][1]

    def peek(self, mark: str) -> bool:
        return self.index < len(self.tokens) and self.tokens[self.index][1] == mark

    def take(self, *kinds: str) -> str:
        if self.index >= len(self.tokens) or self.tokens[self.index][0] not in kinds:
            raise self.fail(" or ".join(kinds))
        self.index += 1
        return self.tokens[self.index - 1][1]

    def mark(self, mark: str) -> None:
        if not self.peek(mark):
            raise self.fail(repr(mark))
        self.index += 1

    def optional(self, mark: str) -> bool:
        found = self.peek(mark)
        self.index += found
        return found

    def end(self) -> None:
        if self.index < len(self.tokens):
            raise self.fail("the end of the line")

    def string(self) -> str:
        return self._unquoted(self.take("string"))

    def name(self) -> str:
        token = self.take("name")[1:]
        return self._unquoted(token) if token.startswith('"') else token

    def _unquoted(self, token: str) -> str:
        try:
            return cast(str, json.loads(token))
        except ValueError:
            raise GraphError(f"graph text, line {self.number}: not a string: {token}") from None

    def operand(self) -> str:
        if self.index < len(self.tokens) and self.tokens[self.index] == ("word", "_"):
            self.index += 1
            return ""
        return self.name()

    def tensor_type(self) -> TensorType:
        dtype = self.take("word")
        self.mark("[")
        if self.optional("*"):
            self.mark("]")
            return TensorType(dtype, None)
        dims: list[Dim] = []
        while not self.optional("]"):
            dims.append(self._dim())
            if not self.peek("]"):
                self.mark(",")
        return TensorType(dtype, tuple(dims))

    def _dim(self) -> Dim:
        if self.optional("?"):
            return None
        token = self.take("number", "word", "string")
        if token.startswith('"'):
            return self._unquoted(token)
        if token[0] in "+-" or (token[0].isdigit() and not token.isdigit()):
            self.index -= 1
            raise self.fail("a size")
        return int(token) if token.isdigit() else token

    def value(self) -> Any:
        if self.optional("["):
            items = []
            while not self.optional("]"):
                items.append(self.value())
                if not self.peek("]"):
                    self.mark(",")
            return tuple(items)
        token = self.take("string", "number", "word")
        if token.startswith('"'):
            return self._unquoted(token)
        if token in _WORDS:
            return _WORDS[token]
        if token[0].isalpha() or token[0] == "_":
            self.index -= 1
            raise self.fail("a value")
        return int(token) if re.fullmatch(r"[-+]?\d+", token) else float(token)

    def attributes(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self.index < len(self.tokens):
            key = self.take("word")
            self.mark("=")
            found[key] = self.value()
        return found


_WORDS: dict[str, Any] = {"true": True, "false": False, "none": None, "inf": float("inf"), "nan": float("nan")}


class _Reader:
    def __init__(self, lines: list[_Line], tensors: TensorSource) -> None:
        self.lines = lines
        self.tensors = tensors
        self.at = 1

    def graph(self, name: str, depth: int, store: Store) -> Graph:
        inputs: list[str] = []
        outputs: list[str] = []
        types: dict[str, TensorType] = {}
        nodes: list[Node] = []
        while (line := self._next(depth)) is not None:
            keyword = line.take("word")
            if keyword == "input":
                inputs.append(line.name())
                line.mark(":")
                types[inputs[-1]] = line.tensor_type()
                line.end()
            elif keyword == "output":
                outputs.append(line.name())
                line.end()
            elif keyword == "tensor" and depth == 1:
                self._tensor(line, store)
            elif keyword == "matrix" and depth == 1:
                self._matrix(line, depth, store)
            elif keyword == "node":
                nodes.append(self._node(line, depth, types, store))
            else:
                line.index = 0
                raise line.fail("input, output, tensor, matrix or node")
        return Graph(name, inputs, outputs, types=types, nodes=nodes, store=store)

    def _next(self, depth: int) -> _Line | None:
        if self.at >= len(self.lines) or self.lines[self.at].depth < depth:
            return None
        line = self.lines[self.at]
        if line.depth > depth:
            raise GraphError(f"graph text, line {line.number}: indented too far")
        self.at += 1
        return line

    def _tensor(self, line: _Line, store: Store) -> None:
        name = line.name()
        line.mark(":")
        kind = line.tensor_type()
        if line.optional("="):
            store.tensors[name] = _literal(name, kind, line.value(), line)
            line.end()
            return
        line.end()
        if callable(self.tensors):
            tensor = self.tensors(name, kind)
        elif name in self.tensors:
            tensor = self.tensors[name]
        else:
            raise GraphError(f"graph text, line {line.number}: no contents for tensor {name!r}")
        if (str(tensor.dtype), tuple(tensor.shape)) != (kind.dtype, kind.shape):
            found = TensorType(str(tensor.dtype), tuple(tensor.shape))
            raise GraphError(f"tensor {name!r}: the graph says {type_text(kind)}, the contents are {type_text(found)}")
        store.tensors[name] = tensor

    def _matrix(self, line: _Line, depth: int, store: Store) -> None:
        name = line.name()
        fields = line.attributes()
        while (part := self._next(depth + 1)) is not None:
            key = part.take("word")
            if key not in PARTS:
                raise GraphError(f"graph text, line {part.number}: a matrix has no part {key!r}")
            fields[key] = _build(PARTS[key], part.attributes(), part)
        store.matrices[name] = _build(Matrix, {"name": name, **fields}, line)

    def _node(self, line: _Line, depth: int, types: dict[str, TensorType], store: Store) -> Node:
        name = line.string()
        outputs: list[str] = []
        while not line.optional("="):
            outputs.append(line.operand())
            if line.optional(":"):
                types[outputs[-1]] = line.tensor_type()
            if not line.peek("="):
                line.mark(",")
        kind = line.take("word")
        if kind not in OPS:
            raise GraphError(f"graph text, line {line.number}: unknown operation {kind!r}")
        line.mark("(")
        inputs: list[str] = []
        while not line.optional(")"):
            inputs.append(line.operand())
            if not line.peek(")"):
                line.mark(",")
        op = _build(OPS[kind], line.attributes(), line)
        placement, regions, buffers = self._below_node(depth + 1, store)
        return Node(name, op, tuple(inputs), tuple(outputs), placement, regions, buffers)

    def _below_node(
        self, depth: int, store: Store
    ) -> tuple[Placement | None, tuple[Graph, ...], Buffers | None]:
        placement: Placement | None = None
        buffers: Buffers | None = None
        regions: list[Graph] = []
        while (line := self._next(depth)) is not None:
            keyword = line.take("word")
            if keyword in ("analog", "digital"):
                placement = Placement(cast(Literal["analog", "digital"], keyword), line.string())
                line.end()
            elif keyword == "buffers":
                buffers = _build(Buffers, line.attributes(), line)
            elif keyword == "region":
                name = line.string()
                line.end()
                regions.append(self.graph(name, depth + 1, store))
            else:
                line.index = 0
                raise line.fail("analog, digital or region")
        return placement, tuple(regions), buffers


def _literal(name: str, kind: TensorType, value: Any, line: _Line) -> Array:
    try:
        return np.array(value, dtype=kind.dtype).reshape(cast(tuple[int, ...], kind.shape))
    except (TypeError, ValueError, OverflowError) as error:
        raise GraphError(f"graph text, line {line.number}: tensor {name!r}: {error}") from None


def _build(kind: type[Any], fields: dict[str, Any], line: _Line) -> Any:
    try:
        return kind(**fields)
    except TypeError as error:
        raise GraphError(f"graph text, line {line.number}: {error}") from None
