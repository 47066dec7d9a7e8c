"""AnalogVNN: clamp, 8-bit precision and Gaussian noise before and after each layer, and on its weights.

It has no tiles. Gradients pass clamp, rounding and noise as they are: its own backward functions, inside torch's
autograd.
"""

from __future__ import annotations

from analogvnn.nn.module.Layer import Layer
from analogvnn.nn.noise.GaussianNoise import GaussianNoise
from analogvnn.nn.normalize.Clamp import Clamp
from analogvnn.nn.precision.ReducePrecision import ReducePrecision
from analogvnn.parameter.PseudoParameter import PseudoParameter
from torch import nn

from benchmarks.speed.workloads import Job, Workload, inference, training

VARIANT = "whole layer at once"
LEVELS = 2**8
LEAKAGE = 0.2
"""The chance that noise moves a value to the next level."""


def variants(workload: Workload, *, train: bool) -> tuple[str, ...]:
    return (VARIANT,)


def job(workload: Workload, variant: str, *, train: bool) -> Job:
    network, x = with_analog_layers(nn.Sequential(workload.network())), workload.inputs()
    for module in network.modules():
        if isinstance(module, Layer):
            module.use_autograd_graph = True
    return training(network.train(), x, network.parameters()) if train else inference(network.eval(), x)


def with_analog_layers(network: nn.Module) -> nn.Module:
    """Every linear layer and convolution among converters and noise, in place."""
    for name, child in list(network.named_children()):
        if isinstance(child, nn.Linear | nn.Conv2d):
            PseudoParameter.parametrize_module(child, transformation=nn.Sequential(*converted()))
            setattr(network, name, nn.Sequential(*converted(), child, *converted()))
        else:
            with_analog_layers(child)
    return network


def converted() -> list[nn.Module]:
    return [Clamp(), ReducePrecision(LEVELS), GaussianNoise(leakage=LEAKAGE, precision=LEVELS)]
