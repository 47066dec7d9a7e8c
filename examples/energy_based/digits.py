"""A Boltzmann machine of 64 x 16 units on binarised digits, its matrix on one ReRAM array: exact likelihoods.

    python -m examples.energy_based.digits [--seeds 0,1,2,3] [--chips 6]

Every arm's training, then its samplers on the same test chips; a row per seed, arm and chip in
examples/results/boltzmann_digits.csv. What is there already is kept.
"""

from __future__ import annotations

import torch

from examples.energy_based.data import RESULTS, Classifier, Row, binary, chains, digits, judged, read_rows, script
from pinat_compile.ebm import likelihood, measures, training
from pinat_compile.ebm.chips import Bench, Calibration
from pinat_compile.ebm.rbm import Rbm, initial
from pinat_compile.ebm.samplers import ChipSampler, DigitalSampler, Sampler
from pinat_compile.hardware.loader import load_target
from pinat_compile.simulator.conditions import VALIDATION_CHIPS, Conditions

TARGET = load_target("reram_128x128")
HIDDEN = 16
CLIPS = (0.4, 0.55, 0.7, 1.0)
PATH, CLIP_PATH = RESULTS / "boltzmann_digits.csv", RESULTS / "boltzmann_digits_clips.csv"

X_TRAIN, Y_TRAIN, X_TEST, _ = digits()
TRAIN, TEST = binary(X_TRAIN), binary(X_TEST)
CLASSIFIER = Classifier(TRAIN, Y_TRAIN)
UPPER = torch.arange(64) < 40  # five of eight rows of pixels are known, three are to be filled in


def pretrained(seed: int) -> Rbm:
    start = initial(TRAIN, HIDDEN, torch.Generator().manual_seed(seed))
    settings = training.Settings(updates=6000, rate=0.1, sweeps=2, seed=seed)
    return training.train(start, TRAIN, training.digital(seed), settings)


def trained_on(rbm: Rbm, machine: training.Machine, seed: int) -> Rbm:
    """The second half of every arm's training: the same number of updates, digital or on virtual chips."""
    return training.train(rbm, TRAIN, machine, training.Settings(updates=1000, rate=0.05, sweeps=2, seed=1000 + seed))


def nats(sampler: Sampler) -> float:
    found = likelihood.sampled_log_likelihood(sampler, TRAIN[:500], TEST, burn_in=50, sweeps=80)
    return float(found.mean())


def row(seed: int, arm: str, chip: int, sampler: Sampler, exact: float) -> Row:
    """``log_likelihood``: of the sampler, from its own chain; ``of_energy``: exact, of the machine it comes near."""
    v, time = chains(sampler, TRAIN[:500], 100, 200)
    before, after = measures.inpainting_errors(sampler, TEST, UPPER, sweeps=60, kept=40)
    found: Row = {"seed": seed, "arm": arm, "chip": chip, "log_likelihood": nats(sampler), "of_energy": exact}
    found |= judged(v, TEST, CLASSIFIER)
    return found | {"autocorrelation_sweeps": time, "inpainting_before": before, "inpainting_after": after}


def of_energy(sampler: ChipSampler, bench: Bench) -> float:
    machine = likelihood.effective_machine(sampler, bench.data, bench.inputs(True))
    return float(machine.log_likelihood(TEST).mean())


def clips(rbm: Rbm) -> dict[str, float]:
    """The best of `CLIPS` for each calibration, on validation chips and training images; tried once, then read."""
    if not CLIP_PATH.exists():
        lines = ["calibration,clip,log_likelihood"]
        for calibration in ("data_sheet", "temperature", "units"):
            for clip in CLIPS:
                bench = Bench.plan(rbm, TARGET, TRAIN[:512], clip=clip)
                each = []
                for chip in range(VALIDATION_CHIPS, VALIDATION_CHIPS + 3):
                    sampler = bench.sampler(Conditions(chip=chip, time_s=TARGET.t0_s), calibration)
                    each.append(likelihood.sampled_log_likelihood(
                        sampler, TRAIN[:500], TRAIN[600:900], burn_in=40, sweeps=40).mean())
                lines.append(f"{calibration},{clip},{float(torch.stack(each).mean()):.5g}")
        CLIP_PATH.write_text("\n".join(lines) + "\n", "utf-8")
    rows = sorted(read_rows(CLIP_PATH), key=lambda r: float(r["log_likelihood"]))
    best = {r["calibration"]: float(r["clip"]) for r in rows}  # the last, the best, stays
    return best | {"none": best["units"]}


def run(seed: int, chips: int) -> list[Row]:
    first = pretrained(seed)
    digital = trained_on(first, training.digital(1000 + seed), seed)
    best = clips(digital)
    source = torch.Generator().manual_seed(seed)
    exact = float(digital.log_likelihood(TEST).mean())
    rows = [row(seed, "a ideal", -1, DigitalSampler(digital, source), exact),
            row(seed, "a ideal, probit", -1, DigitalSampler(digital, source, "probit"), exact)]
    arms: list[tuple[str, Rbm, Calibration, bool]] = [
        ("b uncalibrated", digital, "none", True),
        ("b data sheet", digital, "data_sheet", True),
        ("c temperature", digital, "temperature", True),
        ("c units", digital, "units", True),
        ("d PINAT, temperature", on_chips(first, "temperature", best["temperature"], seed), "temperature", True),
        ("d PINAT, units", on_chips(first, "units", best["units"], seed), "units", True),
        ("e noise off", digital, "units", False),
    ]
    for name, rbm, calibration, noise in arms:
        bench = Bench.plan(rbm, TARGET, TRAIN[:512], clip=best[calibration], seed=seed)
        for chip in range(chips):
            sampler = bench.sampler(Conditions(chip=chip, time_s=TARGET.t0_s), calibration, seed=seed, noise=noise)
            rows.append(row(seed, name, chip, sampler, of_energy(sampler, bench) if noise else float("nan")))
    return rows


def on_chips(rbm: Rbm, calibration: Calibration, clip: float, seed: int) -> Rbm:
    machine = training.on_chips(TARGET, TRAIN, calibration=calibration, clip=clip, seed=seed)
    return trained_on(rbm, machine, seed)


if __name__ == "__main__":
    script(__doc__, PATH, lambda seed, chips, _: run(seed, chips), seeds="0,1,2,3", chips=6)
