"""Joules of one sweep of both machines, on arrays and on digital machines, in examples/results/boltzmann_energy.csv.

    python -m examples.energy_based.energies

Trained for a moment only: what an array takes hangs on its conductances by a few percent.
"""

from __future__ import annotations

import csv

import torch
from torch import Tensor

from examples.energy_based.data import RESULTS, binary, digits, fashion
from pinat_compile.ebm import energy, training
from pinat_compile.ebm.chips import Bench
from pinat_compile.ebm.rbm import initial
from pinat_compile.ebm.samplers import DigitalSampler
from pinat_compile.hardware.loader import load_target

PATH = RESULTS / "boltzmann_energy.csv"
ARRAYS = {
    "array, 8-bit drivers and ADCs": ["dac.bits=8"],
    "array, 2-bit drivers, 4-bit ADCs": ["dac.bits=2", "adc.bits=4"],
}
"""Units are binary, but a driver of one bit has no sign, which inputs of the targets have; below 4 bits the survey of
ADCs has no data."""


def of(data: Tensor, hidden: int) -> list[tuple[str, str, float]]:
    start = initial(data, hidden, torch.Generator().manual_seed(0))
    rbm = training.train(start, data, training.digital(0), training.Settings(updates=300))
    h = DigitalSampler(rbm, torch.Generator().manual_seed(0)).hidden(data)
    found = []
    for name, overrides in ARRAYS.items():
        bench = Bench.plan(rbm, load_target("reram_128x128", overrides), data[:512])
        cost = energy.sweep_cost(bench.array, rbm.weights, data, h)
        found += [(name, part, x) for part, x in cost.energy_j.items() if x is not None]
    active = energy.mean_active(data), energy.mean_active(h)
    found.append(("digital, weights of active units",
                  "total", energy.digital_sweep_j(rbm.visible, rbm.hidden, active, 8, 32.0)))
    found.append(("digital, dense, weights from a large memory",
                  "total", energy.digital_dense_sweep_j(rbm.visible, rbm.hidden, 8, 32.0)))
    return found


def main() -> None:
    with PATH.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("machine", "how", "component", "joules"))
        for name, images, hidden in (("64 x 16", digits()[0], 16), ("784 x 128", fashion(2000, 10)[0], 128)):
            for how, part, joules in of(binary(images), hidden):
                writer.writerow((name, how, part, f"{joules:.4g}"))
                if part == "total":
                    print(f"{name}: {how}: {1e9 * joules:.3g} nJ per sweep", flush=True)


if __name__ == "__main__":
    main()
