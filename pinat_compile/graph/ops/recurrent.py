"""Recurrent layers. With constant weights their products go onto arrays, step by step on the same ones."""

from __future__ import annotations

from dataclasses import dataclass

from pinat_compile.graph.ops.base import Floats, Op, Strs


@dataclass(frozen=True, slots=True)
class RNN(Op):
    """``h = f(W x + R h + b)``; operands ``(X, W, R, B?, lengths?, h0?)``, results ``(Y, last h)``.

    X is [steps, batch, inputs], W [directions, hidden, inputs], R [directions, hidden, hidden], B [directions, 2 *
    hidden] and Y [steps, directions, batch, hidden]; with ``layout`` 1 batch comes first.
    """

    hidden_size: int | None = None
    direction: str = "forward"
    activations: Strs = ()
    activation_alpha: Floats = ()
    activation_beta: Floats = ()
    clip: float | None = None
    layout: int = 0


@dataclass(frozen=True, slots=True)
class GRU(Op):
    """A recurrent layer with the gates z, r, h, in that order in W, R and B; otherwise as RNN."""

    hidden_size: int | None = None
    direction: str = "forward"
    activations: Strs = ()
    activation_alpha: Floats = ()
    activation_beta: Floats = ()
    clip: float | None = None
    layout: int = 0
    linear_before_reset: int = 0


@dataclass(frozen=True, slots=True)
class LSTM(Op):
    """A recurrent layer with the gates i, o, f, c; operands ``(X, W, R, B?, lengths?, h0?, c0?, peepholes?)``.

    Results are ``(Y, last h, last c)``; otherwise as RNN.
    """

    hidden_size: int | None = None
    direction: str = "forward"
    activations: Strs = ()
    activation_alpha: Floats = ()
    activation_beta: Floats = ()
    clip: float | None = None
    layout: int = 0
    input_forget: int = 0
