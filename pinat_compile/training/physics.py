"""L_physics: what a network's weights mean for the hardware, as penalties in conductance space.

With u = w / (scale weight_max) in [-1, 1], x in input steps, E over the calibration's sample, and means over matrices:

=============  =====================================================================================================
range          mean of max(0, |u| - 1): weights beyond what cells hold
dead_band      mean of max(0, min(|u|, r - |u|)), r = g_min / g_max: conductances that a device cannot hold
distribution   (mean ln|u| - log_mean)² + (std ln|u| - log_std)² of active cells: the moments of a log-normal
noise_power    sum_ij sigma²(u_ij) E[x_j²] / sum_i E[(W x)_i²]: expected noise of the outputs relative to their power,
               in closed form, with the devices' own sigma(u); pushes weights to states of little noise
saturation     mean of max(0, |z| / R - 0.95)²: column sums z near the end of their ADC's range R (both learn)
balance        mean over columns of ((sum u+ - sum u-) / sum |u|)²: the two arrays of pairs carry the same current
energy         sum g E[x²] / (g_max sum E[x²]), g of all devices of a row: the energy of reads, relative to the largest
=============  =====================================================================================================

Conventions and the factor 0.95 are this project's; the parts themselves are proposals without a published form, but
for noise_power, which is the first-order term of noisy training (Bishop, Neural Computation 7, 108 (1995)).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from pinat_compile.compiler.compiled import Compiled
from pinat_compile.frontend.calibration import spread
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.physics import converters, crossbar
from pinat_compile.physics.tiling import blocks_from_weight, columns_per_block, tensor_of
from pinat_compile.simulator.arrays import ArrayMatrix
from pinat_compile.simulator.module import Simulator
from pinat_compile.training.settings import PARTS, Settings

SAMPLE = 128
"""Input vectors of each matrix that expectations are taken over."""
OF_CELLS = ("dead_band", "noise_power", "energy")
"""Parts that only electronic cells have."""
NEAR = 0.95
"""Share of the ADC's range beyond which sums count as near its end."""


@dataclass(frozen=True)
class PhysicsLoss:
    """The parts for the present values of ``simulator``; a part is the mean over all matrices on arrays."""

    simulator: Simulator
    settings: Settings
    codes: dict[str, Tensor]

    @classmethod
    def of(cls, compiled: Compiled, simulator: Simulator, settings: Settings) -> PhysicsLoss:
        """With the calibration's input vectors in input steps [vectors, inputs], by matrix; on optics no part."""
        if simulator.target.optical:
            return cls(simulator, settings, {})
        names = dict.fromkeys(n.op.matrix for _, n in simulator.graph.walk() if isinstance(n.op, ArrayMvm))
        known = compiled.calibration.matrices
        codes = {name: _driven(simulator, name, known[name].vectors) for name in names if name in known}
        return cls(simulator, settings, codes)

    @property
    def wanted(self) -> tuple[str, ...]:
        """The parts that weigh something."""
        if not self.codes:
            return ()
        return tuple(part for part in PARTS if getattr(self.settings, f"lambda_{part}") > 0)

    def __call__(self) -> Tensor:
        """The weighted sum; 0 where no part weighs anything."""
        found = self.parts(self.wanted)
        total = torch.zeros((), device=self.settings.device)
        for part, value in found.items():
            total = total + getattr(self.settings, f"lambda_{part}") * value
        return total

    def parts(self, wanted: Collection[str] = PARTS) -> dict[str, Tensor]:
        """Each part, a number; those that a target has no place for are left out."""
        matrices = [_Matrix.of(self.simulator, name, codes) for name, codes in self.codes.items()] if wanted else []
        found: dict[str, Tensor] = {}
        for part in wanted:
            values = [value for matrix in matrices if (value := matrix.part(part, self.settings)) is not None]
            if values:
                found[part] = torch.stack(values).mean()
        return found


def _driven(simulator: Simulator, name: str, vectors: object) -> Tensor:
    """Calibration vectors in input steps, rounded and clipped as the DAC does."""
    arrays = simulator.arrays(name)
    x = tensor_of(spread(vectors, SAMPLE)).to(simulator.value(arrays.matrix.weight).device)  # type: ignore[arg-type]
    if arrays.ranges.dac_range is None:
        return x
    step = simulator.value(arrays.ranges.dac_range).detach() / arrays.input_limit
    return converters.quantise(x, step, -arrays.input_limit, arrays.input_limit)


@dataclass(frozen=True)
class _Matrix:
    """One matrix: ``u`` [blocks, rows, cols], not clipped; ``x`` [vectors, blocks, rows] in input steps."""

    arrays: ArrayMatrix
    simulator: Simulator
    u: Tensor
    x: Tensor

    @classmethod
    def of(cls, simulator: Simulator, name: str, codes: Tensor) -> _Matrix:
        arrays = simulator.arrays(name)
        blocks = blocks_from_weight(simulator.value(arrays.matrix.weight), arrays.matrix)
        scale = columns_per_block(simulator.value(arrays.ranges.weight_scale).detach(), arrays.matrix)
        x = codes.reshape(len(codes), blocks.shape[0], blocks.shape[1])
        return cls(arrays, simulator, blocks / (scale * arrays.cells.weight_max), x)

    def part(self, name: str, settings: Settings) -> Tensor | None:
        if name in OF_CELLS and self.arrays.target.cell is None:
            return None
        if name == "distribution":
            return self.distribution(settings.log_mean, settings.log_std)
        found: Tensor | None = getattr(self, name)()
        return found

    def _ideal(self) -> crossbar.State:
        """The levels asked for, on perfect devices."""
        return self.arrays.state(self.simulator.value, replace(self.simulator.conditions, chip=None))

    # --- the parts, by name ---

    def range(self) -> Tensor:
        return F.relu(self.u.abs() - 1.0).mean()

    def dead_band(self) -> Tensor:
        cell = self.arrays.target.device.cell
        size = self.u.abs()
        return F.relu(torch.minimum(size, cell.g_min_us / cell.g_max_us - size)).mean()

    def distribution(self, mean: float, std: float) -> Tensor | None:
        size = self.u.abs()
        least = 0.5 / self.arrays.cells.weight_max if self.arrays.cells.rounded else 1e-3
        logs = size[size > least].log()
        if logs.numel() < 2:
            return None
        return (logs.mean() - mean).square() + (logs.std() - std).square()

    def noise_power(self) -> Tensor:
        cells = self.arrays.cells
        steps = self.u.clamp(-1.0, 1.0) * cells.weight_max
        variance = _interpolated(steps.abs(), *crossbar.level_variance(cells, self.arrays.target.device))
        noise = torch.einsum("brc,br->bc", variance, self.x.square().mean(dim=0))  # [blocks, cols]
        signal = torch.einsum("nbr,brc->nbc", self.x, steps).square().mean(dim=0)
        return noise.sum() / signal.sum().clamp(min=1e-12)

    def saturation(self) -> Tensor | None:
        """Sums of the ideal levels, tile by tile; rows that are driven one group after the other count together."""
        arrays, ranges = self.arrays, self.arrays.ranges
        if ranges.adc_range is None or not arrays.target.dac.converted_at_once:
            return None
        held = crossbar.effective(self._ideal())
        full = self.simulator.value(ranges.adc_range)  # [row_tile, col_tile, slice or 1, *cols]
        rows = arrays.tiling.split_rows(self.x.movedim(0, -1))  # [row_tile, rows, vectors]
        sums = torch.einsum("trn,tqsrc->tqsnc", rows, held)
        limit = full[:, :, :, None, :] if full.ndim == 4 else full[:, :, :, None, None]
        return F.relu(sums.abs() / limit - NEAR).square().mean()

    def balance(self) -> Tensor | None:
        if self.arrays.cells.devices != 2:
            return None
        net, size = self.u.sum(dim=1), self.u.abs().sum(dim=1)  # [blocks, cols]
        return (net / size.clamp(min=1e-12)).square().mean()

    def energy(self) -> Tensor:
        state = self._ideal()
        share = crossbar.targets_us(state) / self.arrays.target.device.cell.g_max_us
        power = self.arrays.tiling.split_rows(self.x.square().mean(dim=0))  # [row_tile, rows]
        spent = torch.einsum("tr,tqsrcd->", power, share)
        _, col_tiles, slices, _, cols, devices = share.shape
        return spent / (power.sum() * (col_tiles * slices * cols * devices)).clamp(min=1e-12)


def _interpolated(x: Tensor, points: object, values: object) -> Tensor:
    """Piecewise linear through (``points``, ``values``), points evenly spaced from 0; differentiable in ``x``."""
    known = torch.as_tensor(values, dtype=x.dtype, device=x.device)
    step = float(torch.as_tensor(points)[1])
    place = (x / step).clamp(0.0, float(len(known) - 1))
    left = place.detach().floor().clamp(max=len(known) - 2).long()
    return known[left] + (place - left) * (known[left + 1] - known[left])
