"""A convolutional energy and its Langevin chain, whose gradient is read from one array in both directions.

    E(x) = sum_p (x_p - b_p)² / (2 s²) - sum_(q, f) softplus(c_f + w_f' patch_q(x))
    dE/dx = (x - b) / s² - sum_q patch_q'( W sigmoid(W' patch_q(x) + c) )
    x <- x - (step / 2) dE/dx + sqrt(step) n

A product of experts on all patches (Roth and Black, CVPR 2005; Gaussian visible and binary hidden units: Lee et al.,
ICML 2009). W' drives the rows with patches, W the columns with activations. Noise of variance v in the gradient is
noise of variance (step / 2)² v in x: only what is missing to ``step`` has to be added.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from pinat_compile.ebm.array import Direction, Held, TwoWayArray
from pinat_compile.hardware.schema import Target
from pinat_compile.physics.randomness import Key, generator
from pinat_compile.simulator.conditions import Conditions
from pinat_compile.simulator.noise import Noise, StreamNoise

Gradient = Callable[[Tensor], Tensor]
"""dE/dx [samples, height, width] of x, perhaps noisy."""


@dataclass(frozen=True, slots=True)
class ConvEnergy:
    """``filters`` [kernel * kernel, filters] W, ``hidden_bias`` [filters] c, ``visible_bias`` [height, width] b.

    ``deviation`` s. Patches reach beyond the image, where it is 0, so that every pixel lies in kernel² of them.
    """

    filters: Tensor
    hidden_bias: Tensor
    visible_bias: Tensor
    deviation: float

    @property
    def kernel(self) -> int:
        return math.isqrt(self.filters.shape[0])

    def patches(self, x: Tensor) -> Tensor:
        """[samples, positions, kernel * kernel] of ``x`` [samples, height, width]."""
        return F.unfold(x[:, None], self.kernel, padding=self.kernel - 1).mT

    def assembled(self, patches: Tensor) -> Tensor:
        """The transpose of `patches`: what overlaps is added."""
        size = (self.visible_bias.shape[0], self.visible_bias.shape[1])
        return F.fold(patches.mT, size, self.kernel, padding=self.kernel - 1)[:, 0]

    def energy(self, x: Tensor) -> Tensor:
        """[samples]"""
        near = (x - self.visible_bias).square().sum(dim=(1, 2)) / (2.0 * self.deviation**2)
        return near - F.softplus(self.patches(x) @ self.filters + self.hidden_bias).sum(dim=(1, 2))

    def gradient(self, x: Tensor) -> Tensor:
        """dE/dx, exactly: [samples, height, width]."""
        active = torch.sigmoid(self.patches(x) @ self.filters + self.hidden_bias)
        return self.pull(x) - self.assembled(active @ self.filters.T)

    def pull(self, x: Tensor) -> Tensor:
        """The part of the gradient that needs no array."""
        return (x - self.visible_bias) / self.deviation**2


@dataclass(frozen=True)
class ChipGradient:
    """The gradient of ``energy`` from a chip: patches through the array, activations back through it.

    ``noise=False``: nothing is fresh in a read.
    """

    energy: ConvEnergy
    array: TwoWayArray
    held: Held
    generator: torch.Generator
    noise: bool = True

    @classmethod
    def plan(
        cls, energy: ConvEnergy, target: Target, x: Tensor, conditions: Conditions, *, seed: int = 0,
        largest_noise: float = 0.0, clip: float = 1.0,
    ) -> ChipGradient:
        """Program ``energy`` on the chip of ``conditions``; ranges from the images ``x``.

        ``largest_noise``: deviation that neurons will add to a read of the columns and that the ADCs must hold.
        """
        patches = energy.patches(x)
        fields = patches @ energy.filters
        active = torch.sigmoid(fields + energy.hidden_bias)
        back = float((active @ energy.filters.T).abs().max()) + 3.0 * largest_noise
        ways = Direction(float(patches.abs().max()), float(fields.abs().max())), Direction(1.0, back)
        largest = clip * float(energy.filters.abs().max())
        rows, cols = energy.filters.shape
        array = TwoWayArray(rows, cols, target, largest, forward=ways[0], backward=ways[1])
        source = generator(Key(("ebm", "langevin", seed, -1 if conditions.chip is None else conditions.chip)))
        return cls(energy, array, array.program(energy.filters, conditions), source)

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        fresh: Noise | None = StreamNoise(self.generator) if self.noise else None
        patches = self.energy.patches(x)
        fields = self.array.read(patches.flatten(0, 1), self.held, fresh) + self.energy.hidden_bias
        back = self.array.read(torch.sigmoid(fields), self.held, fresh, transpose=True)
        return self.energy.pull(x) - self.energy.assembled(back.view(patches.shape))

    def with_neuron_noise(self, deviation: float) -> ChipGradient:
        """The same chip whose neurons add noise of that deviation to every read of the columns."""
        return replace(self, held=self.array.with_neuron_noise(self.held, deviation, transpose=True))

    def measured_noise(self, x: Tensor, reads: int = 16) -> float:
        """Deviation of the fresh noise in the gradient, per pixel, root mean square over the images ``x``."""
        found = torch.stack([self(x) for _ in range(reads)])
        return float(found.var(dim=0).mean().sqrt())


def wanted_noise(step: float) -> float:
    """Deviation of the gradient's noise that is all that a Langevin step needs: 2 / sqrt(step)."""
    return 2.0 / math.sqrt(step)


def neuron_noise(own: float, step: float, kernel: int) -> float:
    """What a neuron must add to a read so that the gradient, which has noise of ``own``, needs no other noise.

    A pixel adds up kernel² reads.
    """
    return math.sqrt(max(wanted_noise(step) ** 2 - own**2, 0.0)) / kernel


def missing_noise(own: float, step: float) -> float:
    """Deviation of what is to be added to x in a step, where the gradient has noise of ``own`` already."""
    return math.sqrt(max(step - (0.5 * step * own) ** 2, 0.0))


def langevin(
    gradient: Gradient, x: Tensor, *, steps: int, step: float, added: float, generator: torch.Generator
) -> Tensor:
    """x after ``steps`` of x - (step / 2) gradient(x) + added * n; ``added`` is sqrt(step) for an exact gradient."""
    for _ in range(steps):
        x = x - 0.5 * step * gradient(x)
        if added > 0.0:
            x = x + added * torch.randn(x.shape, generator=generator)
    return x


Chain = Callable[[ConvEnergy, Tensor, int], Tensor]
"""Moves persistent chains on: (energy, x, update) to x."""


def train(
    energy: ConvEnergy, data: Tensor, chain: Chain, *, updates: int, rate: float, batch: int = 100, chains: int = 100,
    seed: int = 0,
) -> ConvEnergy:
    """Persistent contrastive divergence on images ``data`` [samples, height, width]; the rate falls linearly to 0."""
    source = generator(Key(("ebm", "langevin", "batches", seed)))
    parameters = [p.clone().requires_grad_() for p in (energy.filters, energy.hidden_bias, energy.visible_bias)]
    optimiser = torch.optim.Adam(parameters, lr=rate, betas=(0.5, 0.999))
    x = data[torch.randint(len(data), (chains,), generator=source)]
    for update in range(updates):
        for group in optimiser.param_groups:
            group["lr"] = rate * (1.0 - update / updates)
        now = _with(energy, [p.detach() for p in parameters])
        x = chain(now, x, update).detach()
        seen = data[torch.randint(len(data), (batch,), generator=source)]
        model = _with(energy, parameters)
        loss = model.energy(seen).mean() - model.energy(x).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return _with(energy, [p.detach() for p in parameters])


def _with(energy: ConvEnergy, parameters: list[Tensor]) -> ConvEnergy:
    return ConvEnergy(parameters[0], parameters[1], parameters[2], energy.deviation)
