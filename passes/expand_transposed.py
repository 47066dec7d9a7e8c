"""Turn transposed convolutions on arrays into one product per input position, whose results are added up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pinat_compile.graph import Graph, Node, TensorType
from pinat_compile.graph.ops.elementwise import Add, Mul
from pinat_compile.graph.ops.linear import Conv, ConvTranspose
from pinat_compile.graph.ops.shape import Col2Im, Reshape, Shape
from pinat_compile.graph.types import Dim
from pinat_compile.graph.window import extent
from pinat_compile.passes.base import ScopePass
from pinat_compile.passes.building import Steps


@dataclass(frozen=True)
class ExpandTransposed(ScopePass):
    """Replace every analog ConvTranspose by a 1x1 Conv and a Col2Im.

        ConvTranspose(x; W, b)     ==>     Col2Im(Conv(x; W as [outputs * kernel, inputs, 1, 1])) + b

    An input position is multiplied once: the rows are its channels, the columns are all that the kernel makes of them;
    Col2Im adds up where kernels overlap.

    1. The sizes are known: the size of the result is a constant.
    2. They are not: it is computed, (size - 1) * stride + what the kernel covers - padding.
    3. A bias is added at the end, once per result.
    """

    name: ClassVar[str] = "expand-transposed"

    def rewrite(self, scope: Graph) -> None:
        for node in scope.nodes:
            if isinstance(node.op, ConvTranspose) and node.placement is not None:
                if node.placement.where == "analog":
                    _expand(scope, node, node.op)


def _expand(scope: Graph, node: Node, op: ConvTranspose) -> None:
    steps, x = Steps(scope, node), node.inputs[0]
    weight = scope.tensors[node.inputs[1]]  # [inputs, outputs / groups, *kernel]
    inputs, per_group, *kernel = weight.shape
    axes, taps, outputs = len(kernel), int(np.prod(kernel)), per_group * op.group
    shape = scope.type_of(x).shape or (None,) * (2 + axes)
    matrix = weight.reshape(op.group, inputs // op.group, per_group * taps).transpose(0, 2, 1)
    name = steps.tensor(f"{node.name}.kernel", matrix.reshape(outputs * taps, inputs // op.group, *(1,) * axes))
    product = TensorType("float32", (shape[0], outputs * taps, *shape[2:]))
    y = steps.add(Conv(group=op.group), (x, name), node.name, product, placement=node.placement)
    flat = steps.tensor(f"{node.name}.flat_shape", [0, outputs * taps, -1], np.int64)
    known = [size for size in shape[2:] if isinstance(size, int)]
    positions = int(np.prod(known)) if len(known) == axes else None
    y = steps.add(
        Reshape(), (y, flat), f"{node.name}.flat", TensorType("float32", (shape[0], outputs * taps, positions))
    )
    block = steps.tensor(f"{node.name}.kernel_shape", kernel, np.int64)
    strides, dilations = op.strides or (1,) * axes, op.dilations or (1,) * axes
    pads = () if op.auto_pad == "VALID" else op.pads
    image = _image(steps, node, op, shape[2:], kernel, strides, dilations, pads or (0,) * (2 * axes))
    kind, bias = scope.type_of(node.outputs[0]), node.inputs[2] if len(node.inputs) > 2 else ""
    last = None if bias else node.outputs[0]
    y = steps.add(Col2Im(dilations, pads, strides), (y, image, block), f"{node.name}.overlap", kind, output=last)
    if bias:  # 3
        column = steps.tensor(f"{node.name}.bias", scope.tensors[bias].reshape(-1, *(1,) * axes))
        steps.add(Add(), (y, column), f"{node.name}.biased", kind, output=node.outputs[0])
    steps.put()


def _image(
    steps: Steps,
    node: Node,
    op: ConvTranspose,
    sizes: tuple[Dim, ...],
    kernel: list[int],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    pads: tuple[int, ...],
) -> str:
    """The sizes of the result's axes after the channels."""
    axes, extra = len(kernel), op.output_padding or (0,) * len(kernel)
    more = [
        cover - stride + added - pads[i] - pads[i + axes]
        for i, (cover, stride, added) in enumerate(zip(extent(kernel, dilations), strides, extra, strict=True))
    ]
    known = [size for size in sizes if isinstance(size, int)]
    if len(known) == axes:  # 1
        result = [size * stride + add for size, stride, add in zip(known, strides, more, strict=True)]
        return steps.tensor(f"{node.name}.image", result, np.int64)
    kind, stem = TensorType("int64", (axes,)), f"{node.name}.image"  # 2
    given = steps.add(Shape(2), (node.inputs[0],), f"{stem}.input", kind)
    times = steps.tensor(f"{stem}.strides", strides, np.int64)
    scaled = steps.add(Mul(), (given, times), f"{stem}.scaled", kind)
    return steps.add(Add(), (scaled, steps.tensor(f"{stem}.more", more, np.int64)), stem, kind)
