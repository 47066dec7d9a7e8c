"""Linear layers of torch that multiply on a target's arrays while they are trained."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pinat_compile.errors import OptionError
from pinat_compile.frontend.calibration import VECTORS, Calibration, MatrixInputs, spread
from pinat_compile.graph import Graph, Matrix, Node, TensorType
from pinat_compile.graph.graph import Store
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.hardware.loader import load_target
from pinat_compile.hardware.schema import Target
from pinat_compile.passes import planning, run_passes
from pinat_compile.physics.randomness import Key, generator
from pinat_compile.simulator.conditions import TRAINING_CHIPS, Conditions
from pinat_compile.simulator.module import Simulator
from pinat_compile.simulator.noise import StreamNoise

MATRIX = "layer"


class _OnArrays(nn.Module):
    """What analog layers share: a plan, made from the first batch, and a chip for every call.

    ``target``: a shipped name, a TOML file or a `Target`; ``severity`` multiplies every deviation; ``seed`` of chips
    and read noise. The plan (scales, cut, ranges) is the compiler's own, from the inputs of the first training batch;
    `plan` makes it anew. Every training call meets another training chip, with gradients through its devices and
    straight through its converters.
    """

    weight: Tensor

    def _set_up(self, target: str | Target, severity: float, seed: int) -> None:
        if severity < 0.0:
            raise OptionError(f"severity = {severity}: must be 0 or more", hint="1 is nominal")
        self.target = target if isinstance(target, Target) else load_target(target)
        self.severity = severity
        self.seed = seed
        self.calls = 0
        self._planned: list[Simulator] = []  # a list, so that its parameters are not counted twice

    def _operation(self) -> ArrayMvm:
        raise NotImplementedError

    def _vectors(self, x: Tensor) -> Tensor:
        """The input vectors of ``x`` [vectors, inputs]."""
        raise NotImplementedError

    def _plain(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def _groups(self) -> int:
        return 1

    @torch.no_grad()
    def plan(self, x: Tensor) -> None:
        """Plan scales, cut and converter ranges for the present weights and the inputs ``x``."""
        outputs, groups = self.weight.shape[0], self._groups()
        rows = self.weight[0].numel()
        tensors = {
            "weight": self.weight.numpy(force=True).copy(),
            "gain": np.ones(outputs, np.float32),
            "bias": np.zeros(outputs, np.float32),
        }
        matrix = Matrix(MATRIX, "weight", "out_in", rows, outputs // groups, groups)
        node = Node(MATRIX, self._operation(), ("x", "gain", "bias"), ("y",))
        graph = Graph(MATRIX, ["x"], ["y"], types={"x": TensorType("float32")}, nodes=[node],
                      store=Store(tensors, {MATRIX: matrix}))
        vectors = spread(self._vectors(x).numpy(force=True).astype(np.float32), VECTORS)
        statistics = Calibration("the first batch", len(x), {MATRIX: MatrixInputs(vectors)})
        planned, _ = run_passes(graph, planning(self.target, statistics))
        made = Simulator(planned, self.target, Conditions(chip=TRAINING_CHIPS, time_s=self.target.t0_s), seed=self.seed)
        for name, held in self.named_parameters(recurse=False):
            made.tie(name, held)
        self._planned = [made.to(x.device).train()]

    def forward(self, x: Tensor) -> Tensor:
        """On the next training chip in training mode; else exactly, as torch does it."""
        if not self.training:
            return self._plain(x)
        if not self._planned:
            self.plan(x.detach())
        [planned] = self._planned
        key = Key(("nn", self.seed, self.calls))
        number = TRAINING_CHIPS + (self.seed << 32) + self.calls
        chip = planned.view(replace(planned.conditions, chip=number, severity=self.severity))
        chip.noise = StreamNoise(generator(key, x.device))
        self.calls += 1
        found = chip(x)
        assert isinstance(found, Tensor)
        return found


class AnalogLinear(_OnArrays, nn.Linear):
    """`torch.nn.Linear` on arrays: x [..., inputs] → [..., outputs]; see `_OnArrays` for the keywords."""

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, target: str | Target = "reram_128x128",
        severity: float = 1.0, seed: int = 0,
    ) -> None:
        nn.Linear.__init__(self, in_features, out_features, bias)
        self._set_up(target, severity, seed)

    def _operation(self) -> ArrayMvm:
        return ArrayMvm(MATRIX)

    def _vectors(self, x: Tensor) -> Tensor:
        return x.reshape(-1, x.shape[-1])

    def _plain(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


class AnalogConv2d(_OnArrays, nn.Conv2d):
    """`torch.nn.Conv2d` on arrays: x [batch, channels, height, width], padding by zeros given in numbers."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0,
        dilation: Any = 1, groups: int = 1, bias: bool = True, *, target: str | Target = "reram_128x128",
        severity: float = 1.0, seed: int = 0,
    ) -> None:
        if isinstance(padding, str):
            raise OptionError(f"AnalogConv2d: padding = {padding!r}", hint="give it in pixels")
        nn.Conv2d.__init__(self, in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)
        self._set_up(target, severity, seed)

    def _operation(self) -> ArrayMvm:
        pads = tuple(int(p) for p in self.padding)
        kernel, strides, dilations = (tuple(x) for x in (self.kernel_size, self.stride, self.dilation))
        return ArrayMvm(MATRIX, kernel, strides, pads + pads, dilations, self.groups)

    def _vectors(self, x: Tensor) -> Tensor:
        columns = F.unfold(x, self.kernel_size, self.dilation, self.padding, self.stride)  # type: ignore[arg-type]
        return columns.transpose(1, 2).flatten(0, 1)

    def _groups(self) -> int:
        return self.groups

    def _plain(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
