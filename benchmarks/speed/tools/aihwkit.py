"""aihwkit (IBM), where it is installed: inference tiles, in C++ and in torch, 8-bit converters, output noise.

The noise does not depend on the state. Programming error is drawn only where it is asked for, which is not done here.
"""

from __future__ import annotations

from typing import Any

from aihwkit.nn.conversion import convert_to_analog
from aihwkit.optim import AnalogSGD
from aihwkit.simulator.configs import InferenceRPUConfig, TorchInferenceRPUConfig

from benchmarks.speed.workloads import LEARNING_RATE, Job, Workload, inference, training

ROWS = {"128 rows": 128, "512 rows": 512}
TILES = {"C++ tile": InferenceRPUConfig, "torch tile": TorchInferenceRPUConfig}
STEPS = 2**8 - 2
OUTPUT_NOISE = 0.06
OUTPUT_BOUND = 12.0


def variants(workload: Workload, *, train: bool) -> tuple[str, ...]:
    return tuple(f"{tile}, {rows}" for tile in TILES for rows in ROWS)


def job(workload: Workload, variant: str, *, train: bool) -> Job:
    tile, rows = variant.split(", ")
    network, x = convert_to_analog(workload.network(), config(TILES[tile], ROWS[rows])), workload.inputs()
    if not train:
        return inference(network.eval(), x)
    return training(network.train(), x, (), AnalogSGD(network.parameters(), lr=LEARNING_RATE))


def config(tile: Any, rows: int) -> Any:
    made = tile()
    made.mapping.max_input_size = made.mapping.max_output_size = rows
    made.forward.inp_res = made.forward.out_res = 1.0 / STEPS
    made.forward.out_bound = OUTPUT_BOUND
    made.forward.out_noise = OUTPUT_NOISE
    made.forward.w_noise = 0.0
    return made
