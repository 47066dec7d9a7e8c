"""The likelihood of a sampler: that of the distribution which its chain settles in, whatever energy it has or lacks.

A chip's chain draws h given v and v given h. Both directions use the same devices, but gains, offsets and read noise of
their own, so that detailed balance is broken and no energy function need exist. Its stationary distribution exists and
is unique as long as noise makes every probability positive:

    T(v, v') = sum_h P(h | v) P(v' | h),     pi T = pi,     L = mean over data of log pi(v)

L is the definition. Small machines: T is written down and solved (`transition_matrix`, `stationary`). Larger ones: with
mu the stationary distribution of h,

    pi(v) = sum_h mu(h) P(v | h)  ~  mean over drawn h of P(v | h)

which converges from below in the mean of the logarithm (Bengio, Yao, Cho, "Bounding the test log-likelihood of
generative models", 2013): what is reported is conservative. No energy is assumed, only that P(v | h) is known.
"""

from __future__ import annotations

from itertools import islice

import torch
from torch import Tensor

from pinat_compile.ebm.rbm import Rbm, state_numbers, states
from pinat_compile.ebm.samplers import QUIET, ChipSampler, Sampler, gibbs
from pinat_compile.ebm.temperature import PROBIT
from pinat_compile.errors import OptionError

MOST_VISIBLE = 12
"""Visible units of a chain that is written down: 4096 x 4096 transitions."""
NEVER = -1e30
"""The logarithm of what cannot happen, where infinity could not be multiplied by 0."""


def transition_matrix(sampler: Sampler, visible: int, hidden: int) -> Tensor:
    """T [2**visible, 2**visible], float64: rows sum to 1. OptionError for more than `MOST_VISIBLE` units of a side."""
    if max(visible, hidden) > MOST_VISIBLE:
        what = f"a chain of {visible} visible and {hidden} hidden units: too large to be written down"
        raise OptionError(what, hint=f"at most {MOST_VISIBLE} of each; beyond, sampled_log_likelihood")
    v, h = torch.cat(list(states(visible))), torch.cat(list(states(hidden)))
    return _of_states(sampler.hidden_probability(v.float()), h) @ _of_states(sampler.visible_probability(h.float()), v)


def _of_states(probability: Tensor, wanted: Tensor) -> Tensor:
    """P(state) of independent units: [conditions, states] for ``probability`` [conditions, units]."""
    p = probability.double()
    factors = torch.where(wanted[None].bool(), p[:, None], 1.0 - p[:, None])  # [conditions, states, units]
    return factors.prod(dim=-1)


def stationary(transitions: Tensor) -> Tensor:
    """pi with pi T = pi and sum 1: [states]. Where the chain falls apart there are several: an arbitrary one."""
    count = len(transitions)
    system = transitions.T - torch.eye(count, dtype=torch.float64)
    system = torch.cat([system, torch.ones(1, count, dtype=torch.float64)])
    right = torch.zeros(count + 1, 1, dtype=torch.float64)
    right[-1] = 1.0
    found: Tensor = torch.linalg.lstsq(system, right).solution[:, 0].clamp(min=0.0)
    return found / found.sum()


def imbalance(transitions: Tensor, distribution: Tensor) -> float:
    """Half of sum |pi_i T_ij - pi_j T_ji|: the probability that flows in circles per step; 0 in detailed balance."""
    flow = distribution[:, None] * transitions
    return float(0.5 * (flow - flow.T).abs().sum())


def effective_machine(sampler: ChipSampler, v: Tensor, h: Tensor) -> Rbm:
    """The machine that a chip comes closest to: what each unit adds up, over its noise, as a logistic unit's input.

    Weights are the mean of the two directions', which differ; noise is that for typical ``v`` [samples, visible] and
    ``h`` [samples, hidden]. Its likelihood assumes the energy that the chip does not quite have; `transition_matrix`
    and `sampled_log_likelihood` do not.
    """
    parts = []
    for transpose, x in ((False, v), (True, h)):
        units = x.shape[1]
        seen = sampler.array.columns(torch.eye(units + 1)[:, 1:], sampler.held, transpose=transpose)
        y = (seen.mean * seen.unit).sum(dim=1)  # [nothing driven, then each unit alone; outputs]
        typical = sampler.array.columns(x, sampler.held, transpose=transpose)
        noise = (typical.deviation * typical.unit).square().sum(dim=1).mean(dim=0).sqrt().clamp(min=QUIET)
        parts.append(((y[1:] - y[0]) * PROBIT / noise, (y[0] + sampler.thresholds[transpose]) * PROBIT / noise))
    (forward, hidden_bias), (backward, visible_bias) = parts
    return Rbm(0.5 * (forward + backward.T), visible_bias, hidden_bias)


def sampled_log_likelihood(
    sampler: Sampler, start: Tensor, data: Tensor, *, burn_in: int, sweeps: int, piece: int = 8192
) -> Tensor:
    """log of the mean of P(v | h) over hidden states of the chains from ``start``, for every row of ``data``, in nats.

    ``start`` [chains, visible]; ``sweeps`` after ``burn_in`` are used, all chains of them. -inf where no drawn state
    can make an image (a chain without noise). [samples], float64.
    """
    drawn = [h for _, h in islice(gibbs(sampler, start, burn_in + sweeps), burn_in, None)]
    hidden, counts = torch.unique(torch.cat(drawn), dim=0, return_counts=True)
    total = torch.full((len(data),), -torch.inf, dtype=torch.float64)
    for first in range(0, len(hidden), piece):
        logs = sampler.visible_log_probability(hidden[first : first + piece])
        found = log_probability(*logs, data) + counts[first : first + piece].log()
        total = torch.logaddexp(total, torch.logsumexp(found.double(), dim=1))
    log_count: Tensor = counts.sum().double().log()
    return total - log_count


def log_probability(on: Tensor, off: Tensor, data: Tensor) -> Tensor:
    """log P(v) of independent units with log P(v_i = 1) = ``on`` and log P(v_i = 0) = ``off`` [states, visible].

    For every row of ``data``: [samples, states].
    """
    high, low = (logs.clamp(min=NEVER).float() for logs in (on, off))
    found = data.float() @ high.T + (1.0 - data.float()) @ low.T
    return torch.where(found < 0.5 * NEVER, -torch.inf, found)


def histogram(v: Tensor) -> Tensor:
    """How often each state occurs among ``v`` [samples, visible], as shares: [2**visible]."""
    counts = torch.bincount(state_numbers(v), minlength=1 << v.shape[1])
    return counts.double() / len(v)
