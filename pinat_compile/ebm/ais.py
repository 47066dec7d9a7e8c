"""log Z of machines too large to enumerate: annealed importance sampling.

    f_beta(v) = exp((1 - beta) b0'v + beta b'v) prod_j (1 + exp(beta (c_j + (v'W)_j))),     beta from 0 to 1

From independent units with biases b0 to the machine, one Gibbs sweep at every beta; the mean of the weights is an
unbiased estimate of Z / Z_0 (Neal 2001; Salakhutdinov and Murray, ICML 2008, section 4.1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pinat_compile.ebm.rbm import Rbm
from pinat_compile.errors import OptionError


@dataclass(frozen=True, slots=True)
class AisResult:
    """``log_partition`` in nats, an interval of three standard errors of Z around it, and the effective runs."""

    log_partition: float
    interval: tuple[float, float]
    effective_runs: float


def log_partition(
    rbm: Rbm, base_bias: Tensor, generator: torch.Generator, *, runs: int = 256, steps: int = 2000
) -> AisResult:
    """AIS estimate of log Z; ``base_bias`` [visible] b0, the log odds of the data's mean, say."""
    if runs < 2 or steps < 1:
        raise OptionError(f"ais: runs = {runs}, steps = {steps}: expected at least 2 and 1", hint="256 and 2000")
    base, w = base_bias.float(), rbm.weights.float()
    b, c = rbm.visible_bias.float(), rbm.hidden_bias.float()
    v = (torch.rand(runs, rbm.visible, generator=generator) < torch.sigmoid(base)).float()
    log_weights = torch.zeros(runs, dtype=torch.float64)
    for step in range(1, steps + 1):
        before, now = (step - 1) / steps, step / steps
        fields, shift = v @ w + c, v @ (b - base)
        grown = (F.softplus(now * fields) - F.softplus(before * fields)).sum(dim=1) + (now - before) * shift
        log_weights += grown.double()
        h = _drawn(now * fields, generator)
        v = _drawn((1.0 - now) * base + now * (b + h @ w.T), generator)
    log_base = float(F.softplus(base.double()).sum()) + rbm.hidden * math.log(2.0)
    return _summed(log_weights, log_base)


def _summed(log_weights: Tensor, log_base: float) -> AisResult:
    runs = len(log_weights)
    top = log_weights.max()
    weights = (log_weights - top).exp()
    mean, error = weights.mean(), weights.std() / math.sqrt(runs)
    log_mean = [float(x.clamp(min=1e-300).log() + top) + log_base for x in (mean, mean - 3 * error, mean + 3 * error)]
    effective = float(weights.sum() ** 2 / weights.square().sum())
    return AisResult(log_mean[0], (log_mean[1], log_mean[2]), effective)


def _drawn(z: Tensor, generator: torch.Generator) -> Tensor:
    return (torch.rand(z.shape, generator=generator) < torch.sigmoid(z)).float()
