"""Noise that knows no device: on weights, or on outputs, the same for all samples or varying from one to the next."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pinat_compile.errors import OptionError
from pinat_compile.graph import Matrix, Node
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.simulator.arrays import ArrayMatrix, Programmed, exact_product
from pinat_compile.simulator.module import Simulator
from pinat_compile.simulator.operands import operand
from pinat_compile.training.settings import Settings


@dataclass(frozen=True, slots=True)
class WeightNoise:
    """w + eta w_ref epsilon: Gaussian noise on every weight, the same for all samples that run together.

    w_ref, the largest weight: that the plan lets the same output hold, or the largest of the layer.
    """

    chip: Simulator
    eta: float
    of_layer: bool
    source: torch.Generator

    def __call__(self, arrays: ArrayMatrix, held: Programmed) -> Programmed:
        """On arrays: in weight steps, on the top slice, which carries the noise of the whole weight."""
        cells = arrays.cells
        top = held.weights[:, :, -1:]  # [read, block, 1, rows, cols]
        sigma = self.eta * self._reference_steps(arrays, top) / cells.slice_weights[-1]
        draws = torch.randn(top.shape, generator=self.source, device=top.device, dtype=top.dtype)
        noisy = torch.cat((held.weights[:, :, :-1], top + sigma * draws), dim=2)
        return replace(held, weights=noisy, whole=None)

    def _reference_steps(self, arrays: ArrayMatrix, like: Tensor) -> Tensor | float:
        """w_ref in weight steps: one number, or per column [1, block, 1, 1, cols]."""
        if not self.of_layer:
            return float(arrays.cells.weight_max)
        weight, scale = (self.chip.value(name).detach() for name in (arrays.matrix.weight, arrays.ranges.weight_scale))
        blocks = arrays.cut.blocks
        return (weight.abs().max() / scale).reshape(1, blocks, 1, 1, -1).to(like)


@dataclass(frozen=True, slots=True)
class SampleNoise:
    """Noise whose deviation is each sample's own: what arrays give, plus sigma_b times a product with noise weights.

    ``deviations`` [batch], in units of the setting. The noise weights are drawn once for all samples that run together,
    so that y_b = (W + sigma_b E) x_b exactly; they are added behind the converters.
    """

    chip: Simulator
    settings: Settings
    deviations: Tensor
    source: torch.Generator

    def __call__(self, node: Node, x: Tensor, columns: Tensor) -> Tensor:
        op = node.op
        assert isinstance(op, ArrayMvm)
        matrix = self.chip.graph.matrices[op.matrix]
        weight = self.chip.value(matrix.weight).detach()
        draws = torch.randn(weight.shape, generator=self.source, device=weight.device, dtype=weight.dtype)
        noise = draws * self.settings.eta * largest_weights(self.chip, matrix, of_layer=self.settings.eta_of == "layer")

        def values(name: str) -> Tensor:
            return noise if name == matrix.weight else self.chip.value(name)

        vectors = operand(x, op, matrix.groups, (0, matrix.rows))
        added = exact_product(replace(matrix, cut=None), vectors, values)
        return columns + added * per_sample(self.deviations, added)


@dataclass(frozen=True, slots=True)
class OutputNoise:
    """y + eta R epsilon: Gaussian noise on every output, fresh for every number (arXiv 2501.14531).

    R is the ADC's full scale in the output's units; where an output is the sum of several conversions, the root of the
    sum of their squares. ``deviations`` [batch] scale it sample by sample; ``None``: not.
    """

    chip: Simulator
    eta: float
    deviations: Tensor | None
    source: torch.Generator

    def __call__(self, node: Node, x: Tensor, columns: Tensor) -> Tensor:
        op = node.op
        assert isinstance(op, ArrayMvm)
        full = full_scale(self.chip, op.matrix)
        draws = torch.randn(columns.shape, generator=self.source, device=columns.device, dtype=columns.dtype)
        noise = draws * (self.eta * full)
        return columns + (noise if self.deviations is None else noise * per_sample(self.deviations, noise))


def largest_weights(chip: Simulator, matrix: Matrix, *, of_layer: bool) -> Tensor:
    """w_ref, shaped to multiply the weight: per output what the plan lets it hold, or the largest of the layer."""
    weight = chip.value(matrix.weight).detach()
    if of_layer:
        return weight.abs().max()
    assert matrix.ranges is not None and matrix.cells is not None
    held = chip.value(matrix.ranges.weight_scale).detach() * matrix.cells.weight_max  # [outputs]
    return held if matrix.view == "in_out" else held.reshape(-1, *(1,) * (weight.ndim - 1))


def full_scale(chip: Simulator, name: str) -> Tensor:
    """The ADC's full scale for each output [outputs], in the units of the output before its gain."""
    arrays = chip.arrays(name)
    if arrays.ranges.adc_range is None:
        raise OptionError(
            f"fine-tuning: noise = 'outputs': matrix {name!r} has no ADC range to measure it by",
            hint="noise = 'weights', or a target with adc.bits",
        )
    ranges = chip.value(arrays.ranges.adc_range).detach()
    if ranges.ndim == 3:  # per tile or slice: [row_tile, col_tile, slice]
        columns = arrays.tiling.columns(ranges.expand(-1, -1, arrays.cells.slices))
    else:
        columns = arrays.tiling.join_columns(ranges)
    weights = torch.tensor(arrays.cells.slice_weights, dtype=ranges.dtype, device=ranges.device)
    squares = (columns * weights.view(1, -1, 1)).square().sum(dim=1)  # [blocks * row_tiles, cols]
    total = squares.reshape(arrays.cut.blocks, arrays.cut.row_tiles, -1).sum(dim=1).sqrt().flatten()
    step = 1.0 if arrays.ranges.dac_range is None else chip.value(arrays.ranges.dac_range).detach() / arrays.input_limit
    return total * chip.value(arrays.ranges.weight_scale).detach() * step


def per_sample(deviations: Tensor, like: Tensor) -> Tensor:
    """[batch] to multiply ``like`` [batch * n, *positions, outputs], n rows of each sample standing together."""
    rows = deviations.repeat_interleave(like.shape[0] // len(deviations)).to(like)
    return rows.reshape(-1, *(1,) * (like.ndim - 1))
