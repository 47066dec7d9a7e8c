"""What is timed: networks of plain torch, a batch of inputs, and what an inference and a training step are.

Imported by every tool's process, so by environments that hold torch and that tool alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

Job = Callable[[], object]
"""One inference, or one training step."""

PLAIN = "plain"
"""The variant that every tool's process has: plain torch float32."""
LEARNING_RATE = 1e-6
"""So small that hundreds of steps leave the network as it is."""


class Unavailable(Exception):
    """A tool cannot do what was asked; the message says why."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A network by name, its width (of features or channels), and the inputs of one batch [batch, *shape]."""

    name: str
    title: str
    width: int
    batch: int
    shape: tuple[int, ...]
    whole_network: bool = False

    def network(self) -> nn.Module:
        """The same weights in every process."""
        torch.manual_seed(0)
        if self.name == "linear":
            return nn.Linear(self.width, self.width)
        if self.name == "conv":
            return nn.Conv2d(self.width, self.width, 3, padding=1)
        return resnet18(self.width)

    def inputs(self) -> Tensor:
        torch.manual_seed(1)
        return torch.randn(self.batch, *self.shape)


WORKLOADS = {
    found.name: found
    for found in (
        Workload("linear", "Linear 512 → 512, batch 128", 512, 128, (512,)),
        Workload("conv", "Conv 64 → 64, 3×3, on 32×32, batch 32", 64, 32, (64, 32, 32)),
        Workload("resnet18", "ResNet-18 for 32×32 images, batch 16", 64, 16, (3, 32, 32), whole_network=True),
    )
}


def smoke(workload: Workload) -> Workload:
    """The same kind of network, small enough for a test."""
    shape = {"linear": (32,), "conv": (8, 6, 6), "resnet18": (3, 8, 8)}[workload.name]
    return replace(workload, width=32 if workload.name == "linear" else 8, batch=4, shape=shape)


# --- ResNet-18 for small images, batch norm folded as it is deployed ---


class Block(nn.Module):
    """Two 3×3 convolutions and a shortcut, a 1×1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        changed = stride != 1 or inputs != outputs
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride) if changed else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(torch.relu(self.conv1(x)))
        return torch.relu(y + self.shortcut(x))


def resnet18(width: int) -> nn.Module:
    """Stem, eight blocks of ``width`` to 8 ``width`` channels, ten classes."""
    stages = [(width, 1), (2 * width, 2), (4 * width, 2), (8 * width, 2)]
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1), nn.ReLU()]
    inputs = width
    for outputs, stride in stages:
        layers += [Block(inputs, outputs, stride), Block(outputs, outputs, 1)]
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10))


# --- steps ---


def inference(network: Callable[[Tensor], Any], x: Tensor) -> Job:
    def run() -> object:
        with torch.inference_mode():
            return network(x)

    return run


def training(
    network: Callable[[Tensor], Tensor],
    x: Tensor,
    parameters: Iterable[nn.Parameter],
    optimiser: torch.optim.Optimizer | None = None,
) -> Job:
    """Forward, mean square as the loss, backward to weights and inputs, a step of SGD."""
    x = x.clone().requires_grad_()
    chosen = optimiser or torch.optim.SGD(parameters, lr=LEARNING_RATE)

    def step() -> object:
        chosen.zero_grad(set_to_none=True)
        x.grad = None
        network(x).square().mean().backward()  # type: ignore[no-untyped-call]
        return chosen.step()

    return step


def plain(workload: Workload, *, train: bool, memory_format: torch.memory_format = torch.contiguous_format) -> Job:
    """The network in plain torch float32: what everything else is compared with."""
    network, x = workload.network(), workload.inputs()
    if x.ndim == 4:
        x = x.contiguous(memory_format=memory_format)
        network.to(memory_format=memory_format)  # type: ignore[call-overload]
    return training(network, x, network.parameters()) if train else inference(network.eval(), x)
