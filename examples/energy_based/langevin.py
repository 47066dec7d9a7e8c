"""A convolutional energy on grey digits, its Langevin chain driven by the noise of a ReRAM array.

    python -m examples.energy_based.langevin [--seeds 0] [--chips 1] [--updates 100]

Rows per seed, arm and chip in examples/results/langevin_digits.csv; what is there already is kept.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from examples.energy_based.data import RESULTS, Classifier, Row, digits, judged, script
from pinat_compile.ebm import langevin
from pinat_compile.ebm.langevin import ChipGradient, ConvEnergy
from pinat_compile.hardware.loader import load_target
from pinat_compile.simulator.conditions import TRAINING_CHIPS, Conditions

TARGET = load_target("reram_128x128")
PATH = RESULTS / "langevin_digits.csv"
KERNEL, FILTERS, DEVIATION, STEP = 5, 24, 0.25, 0.02
NOISE = langevin.wanted_noise(STEP) / KERNEL
"""Of a neuron that brings all the noise, about."""
TRAIN, LABELS, TEST, _ = digits()
CLASSIFIER = Classifier(TRAIN.flatten(1), LABELS)


def start(seed: int) -> ConvEnergy:
    source = torch.Generator().manual_seed(seed)
    filters = 0.1 * torch.randn(KERNEL**2, FILTERS, generator=source)
    return ConvEnergy(filters, torch.zeros(FILTERS), TRAIN.mean(dim=0), DEVIATION)


def digital_chain(seed: int) -> langevin.Chain:
    source = torch.Generator().manual_seed(seed)

    def chain(now: ConvEnergy, x: Tensor, _: int) -> Tensor:
        return langevin.langevin(now.gradient, x, steps=8, step=STEP, added=math.sqrt(STEP), generator=source)

    return chain


def chip_chain(seed: int) -> langevin.Chain:
    """Another training chip at every update, its neurons set by what its own noise lacks."""
    source = torch.Generator().manual_seed(seed)

    def chain(now: ConvEnergy, x: Tensor, update: int) -> Tensor:
        chip = Conditions(chip=TRAINING_CHIPS + (seed << 32) + update, time_s=TARGET.t0_s)
        gradient = ChipGradient.plan(now, TARGET, x, chip, seed=seed, largest_noise=NOISE)
        gradient = gradient.with_neuron_noise(langevin.neuron_noise(0.0, STEP, KERNEL))
        return langevin.langevin(gradient, x, steps=8, step=STEP, added=0.0, generator=source)

    return chain


def trained(energy: ConvEnergy, chain: langevin.Chain, updates: int, rate: float, seed: int) -> ConvEnergy:
    return langevin.train(energy, TRAIN, chain, updates=updates, rate=rate, seed=seed, batch=100, chains=60)


def run(seed: int, chips: int, updates: int) -> list[Row]:
    first = trained(start(seed), digital_chain(seed), updates, 0.02, seed)
    digital = trained(first, digital_chain(100 + seed), updates // 4, 0.003, 100 + seed)
    on_chips = trained(first, chip_chain(seed), updates // 4, 0.003, 100 + seed)
    source = torch.Generator().manual_seed(seed)
    rows = [row(seed, "a ideal", -1, digital, digital.gradient, math.sqrt(STEP), source)]
    for chip in range(chips):
        now = Conditions(chip=chip, time_s=TARGET.t0_s)
        for name, energy in (("", digital), ("d PINAT, all noise from the neurons", on_chips)):
            bare = ChipGradient.plan(energy, TARGET, TRAIN[:200], now, seed=seed, largest_noise=NOISE)
            own = bare.measured_noise(TRAIN[:50])
            full = bare.with_neuron_noise(langevin.neuron_noise(own, STEP, KERNEL))
            if name:
                rows.append(row(seed, name, chip, energy, full, 0.0, source, own))
                continue
            half = bare.with_neuron_noise(NOISE / math.sqrt(2.0))
            noise, missing = half.measured_noise(TRAIN[:50]), langevin.missing_noise
            rows += [
                row(seed, "b neurons at half the power, all noise added", chip, energy, half, math.sqrt(STEP), source,
                    noise),
                row(seed, "c neurons at half the power, what is missing added", chip, energy, half,
                    missing(noise, STEP), source, noise),
                row(seed, "c all noise from the neurons", chip, energy, full, 0.0, source, own),
                row(seed, "e devices' own noise alone", chip, energy, bare, 0.0, source, own),
            ]  # fmt: skip
    return rows


def row(
    seed: int, arm: str, chip: int, energy: ConvEnergy, gradient: langevin.Gradient, added: float,
    source: torch.Generator, own: float = 0.0,
) -> Row:
    """``own_noise``: of the gradient; ``energy_gap``: mean energy of samples less that of test images."""
    x = TRAIN[torch.randint(len(TRAIN), (60,), generator=source)]
    x = langevin.langevin(gradient, x, steps=120, step=STEP, added=added, generator=source)
    found: Row = {"seed": seed, "arm": arm, "chip": chip, "own_noise": own, "added": added}
    found["energy_gap"] = float(energy.energy(x).mean() - energy.energy(TEST).mean())
    found["pixel_deviation"] = float(x.std(dim=0).mean())
    return found | judged(x.flatten(1), TEST.flatten(1), CLASSIFIER)


if __name__ == "__main__":
    script(__doc__, PATH, run, updates=100, said="of training, and a quarter more for each arm")
