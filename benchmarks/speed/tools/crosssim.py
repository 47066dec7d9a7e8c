"""CrossSim (Sandia), where it is installed: balanced arrays, 5-bit weights, 8-bit converters; inference.

Without noise it multiplies in one call. Read noise is drawn for every device and every vector, which takes a thousand
times as long: it is left to the linear layer.
"""

from __future__ import annotations

from simulator import CrossSimParameters
from simulator.algorithms.dnn.torch.convert import from_torch
from simulator.parameters.xbar_parameters import ADCRangeLimits

from benchmarks.speed.workloads import Job, Workload, inference

ROWS = {"128 rows": 128, "512 rows": 512}
NOISY = ", read noise of each device"
READ_NOISE = 0.01
LARGEST_INPUT = 4.0


def variants(workload: Workload, *, train: bool) -> tuple[str, ...]:
    if train:
        return ()
    return (*ROWS, f"512 rows{NOISY}") if workload.name == "linear" else tuple(ROWS)


def job(workload: Workload, variant: str, *, train: bool) -> Job:
    return inference(from_torch(workload.network(), parameters(variant)).eval(), workload.inputs())


def parameters(variant: str) -> CrossSimParameters:
    made = CrossSimParameters()
    made.core.rows_max = made.core.cols_max = ROWS[variant.removesuffix(NOISY)]
    made.core.weight_bits = 5
    made.core.mapping.inputs.mvm.min, made.core.mapping.inputs.mvm.max = -LARGEST_INPUT, LARGEST_INPUT
    made.core.mapping.inputs.mvm.clipping = True
    made.xbar.dac.mvm.model, made.xbar.dac.mvm.bits = "QuantizerDAC", 8
    made.xbar.adc.mvm.model, made.xbar.adc.mvm.bits = "QuantizerADC", 8
    made.xbar.adc.mvm.adc_range_option = ADCRangeLimits.MAX
    noise = made.xbar.device.read_noise
    if variant.endswith(NOISY):
        noise.enable, noise.model, noise.magnitude = True, "NormalIndependentDevice", READ_NOISE
    return made
