"""Recurrent layers that stay digital."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pinat_compile.errors import GraphError
from pinat_compile.graph.ops import recurrent as ops
from pinat_compile.graph.ops.base import Op
from pinat_compile.simulator.operators.base import Executor, Operands, Outputs, operand, optional

Activation = Callable[[Tensor], Tensor]
State = tuple[Tensor, ...]
"""What a step hands to the next, [batch, hidden] each: h, and c of an LSTM."""

Recurrent = ops.RNN | ops.GRU | ops.LSTM

_ACTIVATIONS: dict[str, Callable[[Tensor, float, float], Tensor]] = {
    "relu": lambda x, a, b: F.relu(x),
    "tanh": lambda x, a, b: x.tanh(),
    "sigmoid": lambda x, a, b: x.sigmoid(),
    "affine": lambda x, a, b: a * x + b,
    "leakyrelu": lambda x, a, b: torch.where(x >= 0, x, a * x),
    "thresholdedrelu": lambda x, a, b: torch.where(x > a, x, torch.zeros_like(x)),
    "scaledtanh": lambda x, a, b: a * (b * x).tanh(),
    "hardsigmoid": lambda x, a, b: (a * x + b).clamp(0, 1),
    "elu": lambda x, a, b: torch.where(x >= 0, x, a * x.expm1()),
    "softsign": lambda x, a, b: F.softsign(x),
    "softplus": lambda x, a, b: F.softplus(x),
}
_PARAMETERS = {
    "affine": (1.0, 0.0), "leakyrelu": (0.01, 0.0), "thresholdedrelu": (1.0, 0.0), "scaledtanh": (1.0, 1.0),
    "hardsigmoid": (0.2, 0.5), "elu": (1.0, 0.0),
}
"""alpha and beta where the attributes do not give them."""

DEFAULT_ACTIVATIONS: dict[type[Op], tuple[str, ...]] = {
    ops.RNN: ("Tanh",), ops.GRU: ("Sigmoid", "Tanh"), ops.LSTM: ("Sigmoid", "Tanh", "Tanh")
}
"""Of one direction, where the attribute is not given."""


@dataclass(frozen=True, slots=True)
class _Direction:
    """One direction of a layer: recurrent weight [gates * hidden, hidden], bias [gates * hidden], functions."""

    op: Recurrent
    weight: Tensor
    bias: Tensor
    peepholes: Sequence[Tensor]
    functions: Sequence[Activation]
    backward: bool

    def limited(self, x: Tensor) -> Tensor:
        return x if self.op.clip is None else x.clamp(-self.op.clip, self.op.clip)

    def run(self, driven: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
        """``driven`` [steps, batch, gates * hidden], W x + b of all steps -> h of all steps, and the last state."""
        results: list[Tensor] = []
        for step in reversed(range(len(driven))) if self.backward else range(len(driven)):
            new = self.step(driven[step], state)
            shown = new[0]
            if lengths is not None:
                live = (step < lengths).unsqueeze(-1)
                new = tuple(torch.where(live, a, b) for a, b in zip(new, state, strict=True))
                shown = shown * live
            state = new
            results.append(shown)
        if self.backward:
            results.reverse()
        return torch.stack(results) if results else driven.new_zeros(0, *state[0].shape), state

    def step(self, driven: Tensor, state: State) -> State:
        if isinstance(self.op, ops.LSTM):
            return self._lstm(self.op, driven, state)
        if isinstance(self.op, ops.GRU):
            return self._gru(self.op, driven, state)
        return (self.functions[0](self.limited(driven + F.linear(state[0], self.weight, self.bias))),)

    def _gru(self, op: ops.GRU, driven: Tensor, state: State) -> State:
        (h,) = state
        f, g = self.functions
        size = h.shape[-1]
        dz, dr, dh = driven.chunk(3, dim=-1)
        gates = F.linear(h, self.weight[: 2 * size], self.bias[: 2 * size])
        z = f(self.limited(dz + gates[..., :size]))
        r = f(self.limited(dr + gates[..., size:]))
        weight, bias = self.weight[2 * size :], self.bias[2 * size :]
        inner = r * F.linear(h, weight, bias) if op.linear_before_reset else F.linear(r * h, weight, bias)
        return ((1 - z) * g(self.limited(dh + inner)) + z * h,)

    def _lstm(self, op: ops.LSTM, driven: Tensor, state: State) -> State:
        h, c = state
        f, g, k = self.functions
        pi, po, pf = self.peepholes
        di, do, df, dc = (driven + F.linear(h, self.weight, self.bias)).chunk(4, dim=-1)
        i = f(self.limited(di + pi * c))
        forget = 1 - i if op.input_forget else f(self.limited(df + pf * c))
        c = forget * c + i * g(self.limited(dc))
        return f(self.limited(do + po * c)) * k(c), c


def _functions(op: Recurrent) -> Iterator[list[Activation]]:
    """The activations, direction by direction."""
    default = DEFAULT_ACTIVATIONS[type(op)]
    names = op.activations or default * (2 if op.direction == "bidirectional" else 1)
    alphas, betas = iter(op.activation_alpha), iter(op.activation_beta)
    made: list[Activation] = []
    for name in names:
        key = name.lower()
        if key not in _ACTIVATIONS:
            raise GraphError(f"operator {op.type_name()}: activation {name!r} does not exist")
        alpha, beta = _PARAMETERS.get(key, (0.0, 0.0))
        if key in _PARAMETERS:
            alpha = next(alphas, alpha)
        if key in ("affine", "scaledtanh", "hardsigmoid"):
            beta = next(betas, beta)
        made.append(lambda x, run=_ACTIVATIONS[key], a=alpha, b=beta: run(x, a, b))  # type: ignore[misc]
    for start in range(0, len(made), len(default)):
        yield made[start : start + len(default)]


def _recur(op: Recurrent, operands: Operands) -> Outputs:
    x, w, r = (operand(operands, index) for index in range(3))
    bias, lengths = optional(operands, 3), optional(operands, 4)
    if op.layout:
        x = x.transpose(0, 1)
    directions, size = r.shape[0], r.shape[-1]
    starts = [_start(op, optional(operands, 5 + i), x, directions, size) for i in range(_STATES[type(op)])]
    peepholes = optional(operands, 7) if isinstance(op, ops.LSTM) else None
    shown, last = [], []
    for index, functions in zip(range(directions), _functions(op), strict=True):
        wb, rb = (None, x.new_zeros(r.shape[1])) if bias is None else bias[index].chunk(2)
        held = x.new_zeros(3, 1) if peepholes is None else peepholes[index].reshape(3, size)
        backward = op.direction == "reverse" or index == 1
        direction = _Direction(op, r[index], rb, tuple(held), functions, backward)
        y, state = direction.run(F.linear(x, w[index], wb), tuple(start[index] for start in starts), lengths)
        shown.append(y)
        last.append(state)
    y = torch.stack(shown, dim=1)  # [steps, directions, batch, hidden]
    states = [torch.stack(parts) for parts in zip(*last, strict=True)]  # [directions, batch, hidden]
    if op.layout:
        return (y.permute(2, 0, 1, 3), *(state.transpose(0, 1) for state in states))
    return (y, *states)


_STATES: dict[type[Op], int] = {ops.RNN: 1, ops.GRU: 1, ops.LSTM: 2}


def _start(op: Recurrent, given: Tensor | None, x: Tensor, directions: int, size: int) -> Tensor:
    if given is None:
        return x.new_zeros(directions, x.shape[1], size)
    return given.transpose(0, 1) if op.layout else given


EXECUTORS: dict[type[Op], Executor] = {ops.RNN: _recur, ops.GRU: _recur, ops.LSTM: _recur}
