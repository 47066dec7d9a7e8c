"""Persistent contrastive divergence, with chains on a digital machine or on simulated chips.

    dL/dW = <v h>_data - <v h>_chains        (Tieleman, ICML 2008)

On chips (PINAT): at every update the present weights are programmed on the next virtual chip, which is set up as a chip
is when it is deployed, and both averages come from it. The mean over chips is what goes uphill: the weights learn to be
right on a chip that nobody has seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pinat_compile.ebm.chips import Bench, Calibration
from pinat_compile.ebm.rbm import Rbm
from pinat_compile.ebm.samplers import DigitalSampler, Sampler, after
from pinat_compile.errors import OptionError
from pinat_compile.hardware.schema import Target
from pinat_compile.physics.randomness import Key, generator
from pinat_compile.simulator.conditions import TRAINING_CHIPS, Conditions

Machine = Callable[[Rbm, int], Sampler]
"""What samples a machine at an update."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Of a training run. The rate falls linearly to 0; weights are clipped at ``largest_weight`` after every step."""

    updates: int = 4000
    batch: int = 100
    chains: int = 200
    sweeps: int = 1
    rate: float = 0.05
    decay: float = 1e-4
    largest_weight: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("updates", "batch", "chains", "sweeps"):
            if getattr(self, name) < 1:
                raise OptionError(f"ebm training: {name} = {getattr(self, name)}: must be 1 or more")


def digital(seed: int) -> Machine:
    """Chains of an ideal machine."""
    source = generator(Key(("ebm", "training", seed)))
    return lambda rbm, _: DigitalSampler(rbm, source)


def on_chips(
    target: Target, data: Tensor, *, calibration: Calibration = "units", clip: float = 1.0, seed: int = 0,
    vectors: int = 128, severity: float = 1.0,
) -> Machine:
    """Chains on virtual chips of ``target``: another at every update, calibrated with ``vectors`` samples of ``data``.

    ``clip``: where the top level stands, as a share of the largest weight; ``severity`` multiplies every deviation.
    """

    def machine(rbm: Rbm, update: int) -> Sampler:
        first = update * vectors % max(len(data) - vectors, 1)
        bench = Bench.plan(rbm, target, data[first : first + vectors], clip=clip, seed=update)
        chip = TRAINING_CHIPS + (seed << 32) + update
        now = Conditions(chip=chip, time_s=target.t0_s, severity=severity)
        return bench.sampler(now, calibration, seed=seed, reads=None)

    return machine


def train(rbm: Rbm, data: Tensor, machine: Machine, settings: Settings) -> Rbm:
    """``settings.updates`` steps from ``rbm`` on binary ``data`` [samples, visible]; chains start at data."""
    source = generator(Key(("ebm", "batches", settings.seed)))
    data = data.float()
    chains = data[torch.randint(len(data), (settings.chains,), generator=source)]
    for update in range(settings.updates):
        batch = data[torch.randint(len(data), (settings.batch,), generator=source)]
        sampler = machine(rbm, update)
        chains = after(sampler, chains, settings.sweeps)
        rate = settings.rate * (1.0 - update / settings.updates)
        rbm = _stepped(rbm, batch, chains, sampler, rate, settings)
    return rbm


def _stepped(rbm: Rbm, batch: Tensor, chains: Tensor, sampler: Sampler, rate: float, settings: Settings) -> Rbm:
    """One step uphill; weights decay and stay within the range."""
    up, down = sampler.hidden_probability(batch), sampler.hidden_probability(chains)
    of_weights = batch.T @ up / len(batch) - chains.T @ down / len(chains) - settings.decay * rbm.weights
    weights = rbm.weights + rate * of_weights
    if settings.largest_weight is not None:
        weights = weights.clamp(-settings.largest_weight, settings.largest_weight)
    return Rbm(
        weights,
        rbm.visible_bias + rate * (batch.mean(dim=0) - chains.mean(dim=0)),
        rbm.hidden_bias + rate * (up.mean(dim=0) - down.mean(dim=0)),
    )
