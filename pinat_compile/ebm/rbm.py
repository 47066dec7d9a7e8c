"""The restricted Boltzmann machine: energy, exact sums for small ones, moments.

    E(v, h) = -b'v - c'h - v'W h,     P(v, h) = exp(-E(v, h)) / Z,     v, h of 0 and 1

(Smolensky 1986; Hinton, Neural Computation 14, 2002.) Everything here is digital and in float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pinat_compile.errors import OptionError

MOST_ENUMERATED = 20
"""Units of the smaller side, at most, for sums over all of its states: 2**20 states."""
PIECE_BITS = 14
"""States that are summed together."""


@dataclass(frozen=True, slots=True)
class Rbm:
    """``weights`` [visible, hidden] W, ``visible_bias`` [visible] b, ``hidden_bias`` [hidden] c."""

    weights: Tensor
    visible_bias: Tensor
    hidden_bias: Tensor

    def __post_init__(self) -> None:
        if tuple(self.weights.shape) != (len(self.visible_bias), len(self.hidden_bias)):
            shapes = f"{tuple(self.weights.shape)}, {len(self.visible_bias)}, {len(self.hidden_bias)}"
            raise OptionError(f"Rbm of shapes {shapes}: expected weights [visible, hidden] and a bias of each side")

    @property
    def visible(self) -> int:
        return self.weights.shape[0]

    @property
    def hidden(self) -> int:
        return self.weights.shape[1]

    def mirrored(self) -> Rbm:
        """The same machine with its sides exchanged."""
        return Rbm(self.weights.T, self.hidden_bias, self.visible_bias)

    def energy(self, v: Tensor, h: Tensor) -> Tensor:
        """E(v, h) of ``v`` [..., visible] and ``h`` [..., hidden]: [...]."""
        v, h = v.double(), h.double()
        coupled = ((v @ self.weights.double()) * h).sum(dim=-1)
        return -(v @ self.visible_bias.double()) - (h @ self.hidden_bias.double()) - coupled

    def free_energy(self, v: Tensor) -> Tensor:
        """-log sum over h of exp(-E(v, h)): [...] for ``v`` [..., visible]."""
        v = v.double()
        fields = v @ self.weights.double() + self.hidden_bias.double()
        return -(v @ self.visible_bias.double()) - F.softplus(fields).sum(dim=-1)

    def log_partition(self) -> float:
        """log Z, exactly, over all states of the smaller side; OptionError beyond `MOST_ENUMERATED` units."""
        machine = self if self.visible <= self.hidden else self.mirrored()
        if machine.visible > MOST_ENUMERATED:
            what = f"an RBM of {self.visible} x {self.hidden} units: 2**{machine.visible} states to sum over"
            raise OptionError(what, hint=f"at most {MOST_ENUMERATED} units on one side; beyond, ais.log_partition")
        parts = [torch.logsumexp(-machine.free_energy(v), dim=0) for v in states(machine.visible)]
        return float(torch.logsumexp(torch.stack(parts), dim=0))

    def log_likelihood(self, v: Tensor, log_partition: float | None = None) -> Tensor:
        """log P(v) in nats of every row of ``v`` [samples, visible]; ``log_partition`` where it is known already."""
        return -self.free_energy(v) - (self.log_partition() if log_partition is None else log_partition)

    def scaled(self, factor: float) -> Rbm:
        """All energies times ``factor``: the machine at temperature 1 / factor."""
        return Rbm(self.weights * factor, self.visible_bias * factor, self.hidden_bias * factor)

    def hidden_marginal(self) -> Tensor:
        """P(h) of all 2**hidden states, in the order of `states`."""
        found = torch.cat([-self.mirrored().free_energy(h) for h in states(self.hidden)])
        return torch.softmax(found, dim=0)


def states(units: int) -> Iterator[Tensor]:
    """All states of ``units`` binary units, in binary order, unit 0 the lowest bit: pieces [states, units], float64."""
    size = 1 << min(units, PIECE_BITS)
    bits = torch.arange(units)
    for start in range(0, 1 << units, size):
        numbers = torch.arange(start, start + size)
        yield ((numbers[:, None] >> bits) & 1).double()


def state_numbers(units: Tensor) -> Tensor:
    """The number of every state [..., units] in the order of `states`."""
    return (units.long() << torch.arange(units.shape[-1])).sum(dim=-1)


def initial(data: Tensor, hidden: int, generator: torch.Generator, *, spread: float = 0.05) -> Rbm:
    """Small Gaussian weights, visible biases at the log odds of ``data`` [samples, visible] (Hinton 2010, part 8)."""
    mean = (data.float().mean(dim=0) * len(data) + 0.5) / (len(data) + 1.0)
    weights = spread * torch.randn(data.shape[1], hidden, generator=generator)
    return Rbm(weights, torch.logit(mean), torch.zeros(hidden))
