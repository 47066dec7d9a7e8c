"""A Boltzmann machine of 784 x 128 units on binarised Fashion-MNIST, on fourteen ReRAM arrays: AIS and sample measures.

    python -m examples.energy_based.fashion [--seeds 0] [--chips 1] [--updates 600]

Rows per seed, arm and chip in examples/results/boltzmann_fashion.csv; what is there already is kept. ``of_energy`` is
the AIS estimate for the machine that a chip comes near; a chain's own likelihood is out of reach at this size.
"""

from __future__ import annotations

import torch

from examples.energy_based.data import RESULTS, Classifier, Row, binary, chains, fashion, judged, script
from pinat_compile.ebm import ais, likelihood, measures, training
from pinat_compile.ebm.chips import Bench, Calibration
from pinat_compile.ebm.rbm import Rbm, initial
from pinat_compile.ebm.samplers import DigitalSampler, Sampler
from pinat_compile.hardware.loader import load_target
from pinat_compile.simulator.conditions import Conditions

TARGET = load_target("reram_128x128")
PATH = RESULTS / "boltzmann_fashion.csv"
HIDDEN, CLIP = 128, 0.55
X_TRAIN, Y_TRAIN, X_TEST, _ = fashion(10_000, 500)
TRAIN, TEST = binary(X_TRAIN), binary(X_TEST)
CLASSIFIER = Classifier(TRAIN, Y_TRAIN)
UPPER = torch.arange(784) < 19 * 28  # 19 of 28 rows of pixels are known
BASE = torch.logit(TRAIN.mean(dim=0).clamp(1e-3, 1.0 - 1e-3))


def trained(seed: int, updates: int) -> tuple[Rbm, Rbm, Rbm]:
    """Digital; digital and then on virtual chips with every unit calibrated, or one temperature: equal updates."""
    start = initial(TRAIN, HIDDEN, torch.Generator().manual_seed(seed), spread=0.01)
    settings = training.Settings(updates=updates, rate=0.05, seed=seed)
    first = training.train(start, TRAIN, training.digital(seed), settings)
    more = training.Settings(updates=updates // 10, rate=0.02, seed=1000 + seed)
    machines: list[training.Machine] = [training.digital(1000 + seed)]
    kinds: tuple[Calibration, ...] = ("units", "temperature")
    machines += [training.on_chips(TARGET, TRAIN, calibration=kind, clip=CLIP, seed=seed) for kind in kinds]
    digital, units, temperature = (training.train(first, TRAIN, machine, more) for machine in machines)
    return digital, units, temperature


def estimated(rbm: Rbm, seed: int) -> Row:
    found = ais.log_partition(rbm, BASE, torch.Generator().manual_seed(seed), runs=30, steps=200)
    nats = float(rbm.log_likelihood(TEST, found.log_partition).mean())
    low, high = (float(rbm.log_likelihood(TEST, z).mean()) for z in reversed(found.interval))
    return {"of_energy": nats, "of_energy_low": low, "of_energy_high": high}


def row(seed: int, arm: str, chip: int, sampler: Sampler, of_energy: Row) -> Row:
    v, time = chains(sampler, TRAIN[:200], 40, 60)
    before, after = measures.inpainting_errors(sampler, TEST[:100], UPPER, sweeps=30, kept=20)
    found: Row = {"seed": seed, "arm": arm, "chip": chip, **of_energy, **judged(v, TEST, CLASSIFIER)}
    return found | {"autocorrelation_sweeps": time, "inpainting_before": before, "inpainting_after": after}


def run(seed: int, chips: int, updates: int) -> list[Row]:
    digital, units, temperature = trained(seed, updates)
    source = torch.Generator().manual_seed(seed)
    rows = [row(seed, "a ideal", -1, DigitalSampler(digital, source), estimated(digital, seed))]
    arms: list[tuple[str, Rbm, Calibration, bool]] = [
        ("b uncalibrated", digital, "none", True),
        ("b data sheet", digital, "data_sheet", True),
        ("c temperature", digital, "temperature", True),
        ("c units", digital, "units", True),
        ("d PINAT, temperature", temperature, "temperature", True),
        ("d PINAT, units", units, "units", True),
        ("e noise off", digital, "units", False),
    ]
    nothing: Row = dict.fromkeys(("of_energy", "of_energy_low", "of_energy_high"), float("nan"))
    for name, rbm, calibration, noise in arms:
        bench = Bench.plan(rbm, TARGET, TRAIN[:512], clip=CLIP, seed=seed)
        for chip in range(chips):
            sampler = bench.sampler(Conditions(chip=chip, time_s=TARGET.t0_s), calibration, seed=seed, noise=noise)
            near = likelihood.effective_machine(sampler, bench.data, bench.inputs(True))
            rows.append(row(seed, name, chip, sampler, estimated(near, seed) if noise else nothing))
    return rows


if __name__ == "__main__":
    script(__doc__, PATH, run, updates=600, said="of training, and a tenth more for each arm")
