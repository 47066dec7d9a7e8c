"""Turn recurrent layers on arrays into products and a Scan over the steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pinat_compile.graph import Array, Graph, Node, TensorType
from pinat_compile.graph.graph import Placement
from pinat_compile.graph.ops.activation import Relu, Sigmoid, Tanh
from pinat_compile.graph.ops.base import Op
from pinat_compile.graph.ops.control import Scan
from pinat_compile.graph.ops.creation import ConstantOfShape
from pinat_compile.graph.ops.elementwise import Add, Mul, Sub
from pinat_compile.graph.ops.indexing import Gather
from pinat_compile.graph.ops.linear import Gemm, MatMul
from pinat_compile.graph.ops.recurrent import GRU, LSTM, RNN
from pinat_compile.graph.ops.shape import Concat, Identity, Shape, Split, Unsqueeze
from pinat_compile.graph.types import Dim
from pinat_compile.passes.base import ScopePass
from pinat_compile.passes.building import Steps

Recurrent = RNN | GRU | LSTM

ACTIVATIONS: dict[str, Op] = {"Sigmoid": Sigmoid(), "Tanh": Tanh(), "Relu": Relu()}
DEFAULTS: dict[type[Op], tuple[str, ...]] = {
    RNN: ("Tanh",), GRU: ("Sigmoid", "Tanh"), LSTM: ("Sigmoid", "Tanh", "Tanh")
}
"""Of one direction."""


@dataclass(frozen=True)
class ExpandRecurrence(ScopePass):
    """Replace every analog LSTM, GRU and RNN by a product over all steps and a Scan with a product per step.

        lstm(x; W, R, b)     ==>     p = MatMul(x, W') + b;  Scan over p { h, c = gates(p + Gemm(h; R, b'), c) }

    1. Each direction has matrices of its own, ``<node>.input`` and ``<node>.state``, that all its steps use; the
       backward one is scanned from the end.
    2. GRU: the candidate state has a matrix ``<node>.candidate`` of its own where the reset gate comes before the
       product; where it comes behind it (``linear_before_reset``) one matrix holds all three.
    3. No initial state: zeros. Results that nobody named are not made.
    """

    name: ClassVar[str] = "expand-recurrence"

    def rewrite(self, scope: Graph) -> None:
        for node in scope.nodes:
            if isinstance(node.op, Recurrent) and node.placement is not None and node.placement.where == "analog":
                _expand(scope, node, node.op)


def _expand(scope: Graph, node: Node, op: Recurrent) -> None:
    steps = Steps(scope, node)
    weight = scope.tensors[node.inputs[2]]
    shown, last = [], []
    for index in range(len(weight)):
        made = _Direction(scope, node, op, index, two=len(weight) > 1).made(steps)
        shown.append(made[0])
        last.append(made[1:])
    for position, name in enumerate(node.outputs):  # 3
        if not name:
            continue
        parts = shown if position == 0 else [states[position - 1] for states in last]
        _joined(steps, node, name, parts, axis=1 if position == 0 else 0)
    steps.put()


def _joined(steps: Steps, node: Node, name: str, parts: list[str], axis: int) -> None:
    """The results of all directions with an axis for the direction, as the output ``name``."""
    kind = steps.scope.type_of(name)
    one = _with(steps.scope.type_of(parts[0]), axis, 1)
    axes = steps.tensor(f"{name}.axes", [axis], np.int64)
    if len(parts) == 1:
        steps.add(Unsqueeze(), (parts[0], axes), f"{node.name}.{name}", kind, output=name)
        return
    wide = [steps.add(Unsqueeze(), (part, axes), f"{part}.{name}", one) for part in parts]
    steps.add(Concat(axis), wide, f"{node.name}.{name}", kind, output=name)


def _with(kind: TensorType, axis: int, size: int) -> TensorType:
    assert kind.shape is not None
    return TensorType(kind.dtype, (*kind.shape[:axis], size, *kind.shape[axis:]))


class _Direction:
    """One direction of a layer on its way into the graph."""

    def __init__(self, scope: Graph, node: Node, op: Recurrent, index: int, *, two: bool) -> None:
        self.scope, self.node, self.op, self.index = scope, node, op, index
        self.backward = op.direction == "reverse" or index == 1
        self.stem = f"{node.name}.{'backward' if self.backward else 'forward'}" if two else node.name
        names = op.activations or DEFAULTS[type(op)] * 2
        size = len(DEFAULTS[type(op)])
        self.functions = [ACTIVATIONS[name.title()] for name in names[index * size : (index + 1) * size]]
        self.w, self.r = (scope.tensors[name][index] for name in node.inputs[1:3])
        rows, self.hidden = self.r.shape
        bias = node.inputs[3] if len(node.inputs) > 3 else ""
        self.bias: Array | None = scope.tensors[bias][index].reshape(2, rows) if bias else None
        self.analog = Placement("analog", f"constant weights of {node.name}")
        steps, self.batch = _sizes(scope.type_of(node.inputs[0]))
        self.state_kind = TensorType("float32", (self.batch, self.hidden))
        self.all_kind = TensorType("float32", (steps, self.batch, self.hidden))
        self.driven_kind = TensorType("float32", (steps, self.batch, rows))

    def made(self, steps: Steps) -> tuple[str, ...]:
        """All states [steps, batch, hidden] and the last ones [batch, hidden], by name."""
        driven = self._driven(steps)
        count = 2 if isinstance(self.op, LSTM) else 1
        starts = [self._start(steps, position) for position in range(count)]
        region = self._body(steps, count)
        way = (1,) if self.backward else ()
        kinds = [*(self.state_kind for _ in range(count)), self.all_kind]
        scan = Scan(1, scan_input_directions=way, scan_output_directions=way)
        *last, shown = steps.add_many(scan, (*starts, driven), f"{self.stem}.steps", kinds, regions=(region,))
        return (shown, *last)

    def _driven(self, steps: Steps) -> str:
        """W x + b of all steps."""
        weight = steps.tensor(f"{self.stem}.W", self.w.T)
        x, name = self.node.inputs[0], f"{self.stem}.input"
        driven = steps.add(MatMul(), (x, weight), name, self.driven_kind, placement=self.analog)
        if self.bias is None:
            return driven
        bias = steps.tensor(f"{self.stem}.Wb", self.bias[0])
        return steps.add(Add(), (driven, bias), f"{self.stem}.driven", self.driven_kind)

    def _start(self, steps: Steps, position: int) -> str:
        name = self.node.inputs[5 + position] if len(self.node.inputs) > 5 + position else ""
        stem = f"{self.stem}.start{position or ''}"
        if name:
            index = steps.tensor(f"{stem}.index", self.index, np.int64)
            return steps.add(Gather(0), (name, index), stem, self.state_kind)
        if isinstance(self.batch, int):
            return steps.tensor(stem, np.zeros((self.batch, self.hidden)))
        pair = TensorType("int64", (2,))
        batch = steps.add(Shape(1, 2), (self.node.inputs[0],), f"{stem}.batch", TensorType("int64", (1,)))
        width = steps.tensor(f"{stem}.width", [self.hidden], np.int64)
        shape = steps.add(Concat(0), (batch, width), f"{stem}.shape", pair)
        return steps.add(ConstantOfShape(), (shape,), stem, self.state_kind)

    # --- one step ---

    def _body(self, around: Steps, states: int) -> Graph:
        self.h, self.c, self.p = (around.fresh(f"{self.stem}.{name}") for name in "hcp")
        inputs = [self.h, self.c][:states] + [self.p]
        types = dict.fromkeys(inputs, self.state_kind)
        types[self.p] = TensorType("float32", (self.batch, self.r.shape[0]))
        region = Graph(f"{self.stem}.step", inputs, (), types=types, store=around.scope.store)
        steps = around.inside(region)
        make: Callable[[Steps], tuple[str, ...]] = {LSTM: self._lstm, GRU: self._gru, RNN: self._rnn}[type(self.op)]
        results = make(steps)
        shown = steps.add(Identity(), results[:1], f"{self.stem}.shown", self.state_kind)
        for node in steps.nodes:
            region.add(node)
        region.outputs = (*results, shown)
        return region

    def _gemm(self, steps: Steps, x: str, name: str, weight: Array, bias: Array | None) -> str:
        operands = [x, steps.tensor(f"{self.stem}.R" if name == "state" else f"{self.stem}.Rh", weight)]
        if bias is not None:
            operands.append(steps.tensor(f"{self.stem}.{name}.b", bias))
        kind = TensorType("float32", (self.batch, len(weight)))
        return steps.add(Gemm(trans_b=1), operands, f"{self.stem}.{name}", kind, placement=self.analog)

    def _do(self, steps: Steps, op: Op, name: str, *operands: str) -> str:
        return steps.add(op, operands, f"{self.stem}.{name}", self.state_kind)

    def _gates(self, steps: Steps, x: str, name: str, count: int) -> list[str]:
        op = Split(axis=-1, num_outputs=count)
        return steps.add_many(op, (x,), f"{self.stem}.{name}", [self.state_kind] * count)

    def _bias(self, first: int = 0, last: int | None = None) -> Array | None:
        """The recurrent bias of some rows; that of the input is added before."""
        return None if self.bias is None else self.bias[1, first:last]

    def _summed(self, steps: Steps, weight: Array) -> str:
        """W x + R h and both biases."""
        state = self._gemm(steps, self.h, "state", weight, self._bias())
        kind = TensorType("float32", (self.batch, len(weight)))
        return steps.add(Add(), (state, self.p), f"{self.stem}.sum", kind)

    def _rnn(self, steps: Steps) -> tuple[str, ...]:
        return (self._do(steps, self.functions[0], "next", self._summed(steps, self.r)),)

    def _lstm(self, steps: Steps) -> tuple[str, ...]:
        f, g, k = self.functions
        i, o, forget, c = self._gates(steps, self._summed(steps, self.r), "gates", 4)
        i, o, forget = (self._do(steps, f, name, x) for name, x in (("in", i), ("out", o), ("forget", forget)))
        fresh = self._do(steps, Mul(), "fresh", i, self._do(steps, g, "new", c))
        cell = self._do(steps, Add(), "cell", self._do(steps, Mul(), "kept", forget, self.c), fresh)
        return self._do(steps, Mul(), "next", o, self._do(steps, k, "squashed", cell)), cell

    def _gru(self, steps: Steps) -> tuple[str, ...]:
        (f, g), h, size = self.functions, self.h, self.hidden
        op = self.op
        assert isinstance(op, GRU)
        dz, dr, dh = self._gates(steps, self.p, "driven_gates", 3)
        late = bool(op.linear_before_reset)  # 2
        rows = 3 * size if late else 2 * size
        state = self._gemm(steps, h, "state", self.r[:rows], self._bias(0, rows))
        sz, sr, *sh = self._gates(steps, state, "state_gates", 3 if late else 2)
        z = self._do(steps, f, "update", self._do(steps, Add(), "update_sum", dz, sz))
        r = self._do(steps, f, "reset", self._do(steps, Add(), "reset_sum", dr, sr))
        if late:
            inner = self._do(steps, Mul(), "kept", r, sh[0])
        else:
            held = self._do(steps, Mul(), "kept", r, h)
            inner = self._gemm(steps, held, "candidate", self.r[rows:], self._bias(rows))
        new = self._do(steps, g, "new", self._do(steps, Add(), "new_sum", dh, inner))
        back = self._do(steps, Mul(), "back", z, self._do(steps, Sub(), "change", h, new))
        return (self._do(steps, Add(), "next", new, back),)


def _sizes(kind: TensorType) -> tuple[Dim, Dim]:
    shape = kind.shape or (None, None, None)
    return shape[0], shape[1]
