"""A noisy training step through the phases of meshes, as a multiple of a plain linear layer's.

    python benchmarks/photonic_speed.py

A square layer on 8 x 8 blocks, batch 128: every step sets the meshes of another chip (loss, couplers, phases, detector
noise, 10-bit converters), multiplies, and goes back to phases and inputs. Processor seconds of one thread, each job
and the plain layer in turn, median of the ratios of eleven rounds. AnalogVNN, where it is installed, with its
converters and Gaussian noise on weights and outputs, but without phases.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time

import torch
from torch import nn

from pinat_compile.graph.matrix import Cut
from pinat_compile.hardware.loader import load_target
from pinat_compile.physics.optics.chip import OpticalChip
from pinat_compile.physics.optics.technology import technology_of
from pinat_compile.physics.randomness import Key
from pinat_compile.physics.tiling import Tiling

BATCH, BLOCK, ROUNDS, REPEATS = 128, 8, 11, 3
OVERRIDES = [f"array.rows={BLOCK}", f"array.cols={BLOCK}", "heaters.pitch_um=none", "heaters.arm_um=none",
             "heaters.compensated=false"]
Job = Callable[[], None]


def plain(size: int) -> Job:
    layer, x = nn.Linear(size, size, bias=False), torch.randn(BATCH, size, requires_grad=True)

    def step() -> None:
        layer(x).square().mean().backward()

    return step


def through_phases(size: int) -> Job:
    technology = technology_of(load_target("photonic_mzi_16x16", OVERRIDES))
    cuts = tuple(range(0, size + 1, BLOCK))
    tiling = Tiling(Cut(1, cuts, cuts))
    tiles = tiling.split(torch.randn(1, size, size) / size**0.5)
    parameters = nn.Parameter(technology.parameters_from_weights(tiles).float())
    x, number = torch.randn(BATCH, size, requires_grad=True), iter(range(10**9))

    def step() -> None:
        reading = technology.read(parameters, (BLOCK, BLOCK), OpticalChip(Key(("chip", next(number)), banked=True)))
        assert reading.constant is not None
        y = x @ tiling.join(reading.weights)[0]
        deviation = reading.constant.sum(dim=0).flatten().sqrt()  # of the partial sums of all row tiles
        (y + torch.randn_like(y) * deviation).square().mean().backward()  # type: ignore[no-untyped-call]

    return step


def analogvnn(size: int) -> Job | None:
    try:
        from benchmarks.speed.tools.analogvnn import with_analog_layers  # noqa: PLC0415
    except ImportError:
        return None
    network = with_analog_layers(nn.Sequential(nn.Linear(size, size, bias=False))).train()
    for module in network.modules():
        if hasattr(module, "use_autograd_graph"):
            setattr(module, "use_autograd_graph", True)  # noqa: B010
    x = torch.rand(BATCH, size, requires_grad=True)

    def step() -> None:
        network(x).square().mean().backward()

    return step


def seconds(job: Job) -> float:
    started = process_time()
    for _ in range(REPEATS):
        job()
    return (process_time() - started) / REPEATS


def main() -> None:
    torch.set_num_threads(1)
    rows = []
    for size in (64, 256):
        base = plain(size)
        for name, job in (("through phases", through_phases(size)), ("AnalogVNN", analogvnn(size))):
            if job is None:
                continue
            seconds(base), seconds(job)
            pairs = [(seconds(base), seconds(job)) for _ in range(ROUNDS)]
            rows.append({
                "size": size,
                "what": name,
                "plain_ms": f"{1e3 * median(a for a, _ in pairs):.3f}",
                "step_ms": f"{1e3 * median(b for _, b in pairs):.3f}",
                "ratio": f"{median(b / a for a, b in pairs):.1f}",
            })
            print(rows[-1], flush=True)
    with (Path(__file__).parent / "results" / "photonic_speed.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
