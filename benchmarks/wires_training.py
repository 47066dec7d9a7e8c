"""Fine-tuning with wires: what reusing their attenuation costs in accuracy of the physics, in time, and what it brings.

    python benchmarks/wires_training.py [error] [seconds] [top1] > benchmarks/results/wires_training.csv

The shipped network on ``reram_128x128`` with wires of 1 and 3 ohm per segment. Three tables, all unless some are named:

* ``error``: effective weights with attenuations that were solved for another chip, for weights of one epoch earlier, or
  both, against the exact ones; rms, as a share of what the wires take (1: as wrong as without wires);
* ``seconds``: processor time of a step of fine-tuning at several refresh intervals, at 1 ohm, one after the other in
  one run on one thread, and as multiples of no wires; ``fast path`` at a tolerance of 0.05, which all arrays keep
  (their largest bound is 0.003 at 1 ohm, 0.027 at 3 ohm);
* ``top1``: one epoch on 1,350 images; accuracy on 500 test images, 5 chips, all judged with exact wires.

The fast path's own error, without reusing anything, is in the rows ``the same chip and weights, fast path``.
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import pinat_compile as pc
from pinat_compile.physics import crossbar
from pinat_compile.physics.wires import Wires
from pinat_compile.simulator.conditions import TRAINING_CHIPS
from pinat_compile.training.settings import Progress

MODEL = Path(__file__).parents[1] / "examples" / "resnet8_fashion_mnist.onnx"
OHMS = (1.0, 3.0)
TRAIN, TEST = "fashion-mnist-mini@train[:1500]", "fashion-mnist-mini@test[:500]"
CHIPS = 5
SEEDS = (0, 1)
TABLES = ("error", "seconds", "top1")
BATCH = 32
"""Samples per step where steps are timed."""
TOLERANCE = 0.05
EXACT, FAST, NONE = "exact, with gradient", "every 1, fast path", "no wires"
STEPS = {EXACT: 4, "every 1": 8, FAST: 16, "every 8": 32, "every 64": 64, NONE: 16}
"""Steps over which the time is taken, by how wires are solved."""
Row = tuple[float, str, str, str]


def wired(ohm: float) -> pc.Compiled:
    return pc.compile(MODEL, target="reram_128x128", overrides=[f"wires.row_ohm={ohm}", f"wires.col_ohm={ohm}"])


def without(compiled: pc.Compiled) -> pc.Compiled:
    """The same plan on a target without wires."""
    return replace(compiled, target=replace(compiled.target, wires=None))


def settings(name: str) -> dict[str, Any]:
    """How wires are solved, as settings of fine-tuning."""
    if name in (EXACT, NONE):
        return {"wires_every": None}
    every = int(name.partition(",")[0].removeprefix("every "))
    return {"wires_every": every, "wires_tolerance": TOLERANCE if name == FAST else None}


def conductances(compiled: pc.Compiled, chip: int) -> dict[str, Tensor]:
    """What every matrix of a chip holds, in µS."""
    simulator = compiled.simulator(chip=TRAINING_CHIPS + chip)
    with torch.no_grad():
        return {
            name: crossbar.conductances_us(simulator.arrays(name).state(simulator.value, simulator.conditions))
            for name in simulator.graph.matrices
        }


def errors(ohm: float, before: pc.Compiled, after: pc.Compiled) -> Iterator[Row]:
    """Attenuations of chip 0 and the weights ``before``, used for others."""
    wires = Wires.of(before.target)
    assert wires is not None
    old = {name: wires.attenuation(g) for name, g in conductances(before, 0).items()}
    cases = {
        "the same chip and weights": conductances(before, 0),
        "another chip": conductances(before, 1),
        "weights of an epoch later": conductances(after, 0),
        "another chip, weights of an epoch later": conductances(after, 1),
    }
    fast = replace(wires, tolerance=TOLERANCE)
    yield from _shares(ohm, wires, "the same chip and weights, fast path", cases["the same chip and weights"], {
        name: fast.attenuation(g) for name, g in conductances(before, 0).items()
    })
    for case, held in cases.items():
        yield from _shares(ohm, wires, case, held, old)


def _shares(
    ohm: float, wires: Wires, case: str, held: dict[str, Tensor], attenuation: dict[str, Tensor]
) -> Iterator[Row]:
    """Mean and worst of the matrices."""
    shares = {}
    for name, g in held.items():
        exact = wires.felt(g)
        wrong, taken = net(g * attenuation[name] - exact), net(g - exact)
        shares[name] = float(wrong.double().norm() / taken.double().norm())
    worst = max(shares, key=lambda name: shares[name])
    mean = sum(shares.values()) / len(shares)
    yield ohm, "error", f"{case}, mean of {len(shares)} matrices", f"{mean:.4f}"
    yield ohm, "error", f"{case}, worst matrix ({worst})", f"{shares[worst]:.4f}"


def net(per_device: Tensor) -> Tensor:
    return per_device[..., 0] - per_device[..., 1]


def seconds_per_step(compiled: pc.Compiled, name: str) -> float:
    """Of processor time, over as many steps as `STEPS` says, refreshes included, after one step to warm up."""
    steps, told = STEPS[name], []

    def tell(progress: Progress) -> None:
        told.append(time.process_time())

    samples = -(-BATCH * (steps + 1) * 10 // 9)
    pc.finetune(
        compiled if name != NONE else without(compiled),
        f"fashion-mnist-mini@train[:{samples}]",
        progress=tell,
        epochs=1,
        batch_size=BATCH,
        validation_chips=1,
        **settings(name),
    )
    return (told[steps] - told[0]) / steps


def times(ohm: float, compiled: pc.Compiled) -> Iterator[Row]:
    found = {name: seconds_per_step(compiled, name) for name in STEPS}
    for name, seconds in found.items():
        ratio = seconds / found[NONE]
        yield ohm, "seconds per step", f"{name}, batches of {BATCH} on 2 chips", f"{seconds:.3f}"
        yield ohm, "times no wires", name, f"{ratio:.2f}"


def tuned(compiled: pc.Compiled, name: str, seed: int) -> pc.Compiled:
    """One epoch; the result stands on the target with wires, whatever it was trained on."""
    start = compiled if name != NONE else without(compiled)
    found = pc.finetune(start, TRAIN, epochs=1, seed=seed, validation_chips=4, **settings(name))
    return replace(found, target=compiled.target)


def judged(ohm: float, name: str, compiled: pc.Compiled) -> Row:
    found = pc.evaluate(compiled, TEST, chips=CHIPS)
    return ohm, "top1", name, f"{found.mean:.4f} worst {found.worst:.4f}"


def accuracies(ohm: float, compiled: pc.Compiled) -> Iterator[Row]:
    yield judged(ohm, "not fine-tuned", compiled)
    for seed in SEEDS:
        for name in (NONE, "every 64", "every 8", FAST):
            yield judged(ohm, f"fine-tuned: {name}, seed {seed}", tuned(compiled, name, seed))


def table(part: str) -> Iterator[Row]:
    """The rows of one table."""
    for ohm in OHMS if part != "top1" else reversed(OHMS):
        compiled = wired(ohm)
        if part == "error":
            yield from errors(ohm, compiled, tuned(compiled, "every 8", 0))
        elif part == "seconds" and ohm == OHMS[0]:
            yield from times(ohm, compiled)
        elif part == "top1":
            yield from accuracies(ohm, compiled)


def main() -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["ohm", "quantity", "case", "value"])
    for part in sys.argv[1:] or TABLES:
        for row in table(part):
            writer.writerow(row)
            sys.stdout.flush()


if __name__ == "__main__":
    main()
