"""Turn Einstein sums on arrays into the matrix products that they are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from pinat_compile.graph import Array, Graph, Node, TensorType
from pinat_compile.graph.ops.linear import MatMul
from pinat_compile.graph.ops.product import Einsum
from pinat_compile.graph.ops.shape import Reshape, Transpose
from pinat_compile.graph.types import Dim
from pinat_compile.passes.base import ScopePass
from pinat_compile.passes.building import Steps


@dataclass(frozen=True)
class EinsumToMatmul(ScopePass):
    """Replace every analog Einsum by a MatMul with its constant operand as a matrix.

        Einsum(x, W) "bhd,hde->be"     ==>     Reshape(x, [0, -1]) -> MatMul(., W as [h*d, e])

    1. Indices of both operands that the result lacks are summed: they become the rows of the matrix, and the last axes
       of the input, moved there where they are not; indices of the weight alone become its columns.
    2. Several summed or several new indices: the input and the result are reshaped.
    3. The result's indices stand in another order: it is transposed.
    """

    name: ClassVar[str] = "einsum-to-matmul"

    def rewrite(self, scope: Graph) -> None:
        for node in scope.nodes:
            if isinstance(node.op, Einsum) and node.placement is not None and node.placement.where == "analog":
                found = product_of(scope, node, node.op)
                assert isinstance(found, Product)
                _rewrite(scope, node, found)


@dataclass(frozen=True, slots=True)
class Product:
    """A sum as a matrix product: which operand is the weight, and the indices by what becomes of them."""

    weight: int
    weight_indices: str
    input_indices: str
    kept: str
    summed: str
    new: str
    result: str


def product_of(scope: Graph, node: Node, op: Einsum) -> Product | str:
    """The matrix product that an Einstein sum is, or why it is none that arrays compute."""
    left, arrow, result = op.equation.replace(" ", "").partition("->")
    terms = left.split(",")
    constant = [scope.is_constant(name) for name in node.inputs]
    if len(terms) != 2 or constant.count(True) != 1:
        return "it does not multiply one input by one constant"
    if not arrow:
        once = Counter(left.replace(",", ""))
        result = "".join(sorted(label for label, count in once.items() if count == 1))
    weight = constant.index(True)
    w, x = terms[weight], terms[1 - weight]
    if "." in left or any(len(set(term)) < len(term) for term in (w, x)):
        return "its equation has an ellipsis or takes a diagonal"
    summed = "".join(label for label in w if label in x)
    if not summed or any(label in result for label in summed) or set(result) != (set(w) | set(x)) - set(summed):
        return "its equation is not a matrix product"
    kept, new = ("".join(label for label in term if label not in summed) for term in (x, w))
    return Product(weight, w, x, kept, summed, new, result)


def _rewrite(scope: Graph, node: Node, found: Product) -> None:
    steps = Steps(scope, node)
    x, name = node.inputs[1 - found.weight], node.inputs[found.weight]
    sizes = _sizes(scope, x, found.input_indices) | _sizes(scope, name, found.weight_indices)
    x = _turned(steps, node, x, found.input_indices, found.kept + found.summed, sizes, "turned")
    wide = [*(sizes[label] for label in found.kept), -1 if len(found.summed) > 1 else sizes[found.summed]]
    if len(found.summed) > 1:  # 2
        x = _reshaped(steps, node, x, found.kept, (-1,), wide[:-1] + [_rows(scope, name, found)], "rows")
    weight = steps.tensor(f"{name}.matrix", _matrix(scope.tensors[name], found))
    columns = scope.tensors[weight].shape[1]
    shapes = len(found.new) != 1, found.kept + found.new != found.result
    kind = TensorType("float32", (*(sizes[label] for label in found.kept), columns))
    last = node.outputs[0] if not any(shapes) else None
    y = steps.add(MatMul(), (x, weight), node.name, kind, output=last, placement=node.placement)
    if shapes[0]:  # 2
        target = [sizes[label] for label in found.kept + found.new]
        tail = tuple(scope.tensors[name].shape[found.weight_indices.index(label)] for label in found.new)
        y = _reshaped(steps, node, y, found.kept, tail, target, "columns", None if shapes[1] else node.outputs[0])
    if shapes[1]:  # 3
        _turned(steps, node, y, found.kept + found.new, found.result, sizes, "ordered", node.outputs[0])
    steps.put()


def _sizes(scope: Graph, name: str, indices: str) -> dict[str, Dim]:
    return dict(zip(indices, scope.type_of(name).shape or (None,) * len(indices), strict=True))


def _rows(scope: Graph, name: str, found: Product) -> int:
    return int(_matrix(scope.tensors[name], found).shape[0])


def _matrix(weight: Array, found: Product) -> Array:
    """[summed, new]"""
    turned = weight.transpose([found.weight_indices.index(label) for label in found.summed + found.new])
    rows = 1
    for size in turned.shape[: len(found.summed)]:
        rows *= size
    return turned.reshape(rows, -1)


def _turned(
    steps: Steps, node: Node, x: str, have: str, want: str, sizes: dict[str, Dim], stem: str, output: str | None = None
) -> str:
    if have == want:
        return x
    kind = TensorType("float32", tuple(sizes[label] for label in want))
    perm = tuple(have.index(label) for label in want)
    return steps.add(Transpose(perm), (x,), f"{node.name}.{stem}", kind, output=output)


def _reshaped(
    steps: Steps,
    node: Node,
    x: str,
    kept: str,
    tail: tuple[int, ...],
    shape: list[Dim],
    stem: str,
    output: str | None = None,
) -> str:
    """The kept axes as they are (0 copies a size), then ``tail``."""
    target = steps.tensor(f"{node.name}.{stem}.shape", [*(0 for _ in kept), *tail], "int64")
    return steps.add(Reshape(), (x, target), f"{node.name}.{stem}", TensorType("float32", tuple(shape)), output=output)
