"""This project: the whole physics of ``reram_128x128`` on tiles of several heights, and what designs add to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from torch import Tensor, nn

import pinat_compile as pc
from benchmarks.speed.workloads import Job, Workload, inference, training
from pinat_compile.frontend.torch_export import export_module
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.simulator.module import Simulator
from pinat_compile.training.methods import virtual_chips
from pinat_compile.training.settings import Settings

CHIPS = 4
STATE_DEPENDENT = (
    "read_noise.sigma_fraction=none",
    "read_noise.model=curve",
    "read_noise.q=[0.0123, 0.0211, -0.0280, 0.0069]",
    "read_noise.q_log=[-0.0117, -0.0069]",
    "read_noise.q_range=[0.015, 0.04]",
    "read_noise.q_below=0.16",
)
"""White read noise that depends on the conductance as in ``pcm_256x256``."""
TALL = ("array.rows=512", "array.cols=512")
BIT_SERIAL = ("dac.encoding=bit_serial", "dac.step_bits=1")
IDEAL = tuple(f"{name}=none" for name in ("programming", "mismatch", "stuck", "read_noise", "column"))


@dataclass(frozen=True, slots=True)
class Variant:
    """What is changed in ``reram_128x128``, and how many chips run the batch."""

    overrides: tuple[str, ...] = ()
    trains: bool = False
    chips: int = 1


VARIANTS = {
    "128 rows": Variant(trains=True),
    "512 rows": Variant(TALL, trains=True),
    "128 rows, state-dependent read noise": Variant(STATE_DEPENDENT, trains=True),
    "512 rows, state-dependent read noise": Variant((*TALL, *STATE_DEPENDENT), trains=True),
    "128 rows, four 2-bit slices": Variant(("cell.bits=2", "weights.bits=9")),
    "128 rows, bit-serial inputs, lossless ADC": Variant((*BIT_SERIAL, *IDEAL, "adc.bits=12", "adc.range=full")),
    "128 rows, bit-serial inputs (8 steps)": Variant(BIT_SERIAL),
    "128 rows, wires of 1 Ω": Variant(("wires.row_ohm=1.0", "wires.col_ohm=1.0")),
    f"128 rows, {CHIPS} chips, per chip": Variant(chips=CHIPS),
}


def variants(workload: Workload, *, train: bool) -> tuple[str, ...]:
    return tuple(name for name, found in VARIANTS.items() if found.trains or not train)


def runs(variant: str) -> int:
    """How many times plain torch would run for one job."""
    return VARIANTS[variant].chips


def job(workload: Workload, variant: str, *, train: bool) -> Job:
    chosen, x = VARIANTS[variant], workload.inputs()
    compiled = compiled_for(workload, chosen.overrides)
    if train:
        simulator = compiled.simulator()
        return training(chips_in_turn(simulator), x, trained(simulator))
    return inference(all_of([compiled.simulator(chip=number) for number in range(chosen.chips)]), x)


def compiled_for(workload: Workload, overrides: tuple[str, ...]) -> pc.Compiled:
    return pc.compile(exported(workload), "reram_128x128", calibration=[workload.inputs()], overrides=overrides)


@cache
def exported(workload: Workload) -> bytes:
    return export_module(workload.network(), workload.inputs())


def all_of(chips: list[Simulator]) -> Callable[[Tensor], object]:
    return chips[0] if len(chips) == 1 else lambda x: [chip(x) for chip in chips]


def chips_in_turn(simulator: Simulator) -> Callable[[Tensor], Tensor]:
    """Every step on a training chip of its own, programmed from the present weights: as fine-tuning does it."""
    simulator.train()
    settings = Settings(chips_per_batch=1)

    def chips() -> Iterator[Simulator]:
        step = 0
        while True:
            yield from virtual_chips(simulator, settings, step, [1])
            step += 1

    endless = chips()

    def forward(x: Tensor) -> Tensor:
        found = next(endless)(x)
        assert isinstance(found, Tensor)
        return found

    return forward


def trained(simulator: Simulator) -> list[nn.Parameter]:
    """What fine-tuning trains: weights, gains, biases, and ranges of the converters."""
    names: dict[str, None] = {}
    for _, node in simulator.graph.walk():
        if isinstance(node.op, ArrayMvm):
            matrix = simulator.graph.matrices[node.op.matrix]
            names.update(dict.fromkeys((matrix.weight, *node.inputs[1:], *matrix.range_names)))
    parameters = simulator.parameter_names()
    chosen = [parameters[name] for name in names]
    for parameter in chosen:
        parameter.requires_grad_(True)
    return chosen
