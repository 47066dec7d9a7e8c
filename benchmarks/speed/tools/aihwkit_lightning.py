"""aihwkit-lightning (IBM): 8-bit DAC and ADC with static ranges; output noise, which it adds in training only.

Inference there has no noise at all, and neither mode has programming error, mismatch or errors of columns.
"""

from __future__ import annotations

from aihwkit_lightning.nn.conversion import convert_to_analog
from aihwkit_lightning.optim import AnalogOptimizer
from aihwkit_lightning.simulator.configs import TorchInferenceRPUConfig
from torch.optim import SGD

from benchmarks.speed.workloads import LEARNING_RATE, Job, Workload, inference, training

ROWS = {"128 rows": 128, "512 rows": 512}
STEPS = 2**8 - 2
OUTPUT_NOISE = 0.06
OUTPUT_BOUND = 12.0


def variants(workload: Workload, *, train: bool) -> tuple[str, ...]:
    return tuple(ROWS)


def job(workload: Workload, variant: str, *, train: bool) -> Job:
    network, x = convert_to_analog(workload.network(), config(ROWS[variant])), workload.inputs()
    if not train:
        return inference(network.eval(), x)
    network.train()
    optimiser = AnalogOptimizer(SGD, network.analog_layers, network.parameters(), lr=LEARNING_RATE)
    return training(network, x, (), optimiser)


def config(rows: int) -> TorchInferenceRPUConfig:
    made = TorchInferenceRPUConfig()
    made.mapping.max_input_size = rows
    made.pre_post.input_range.enable = True
    made.pre_post.input_range.init_from_data = 0
    made.forward.inp_res = STEPS
    made.forward.out_res = STEPS
    made.forward.out_bound = OUTPUT_BOUND
    made.forward.out_noise = OUTPUT_NOISE
    return made
