"""One read of a programmed matrix: what its columns carry, before any converter.

The definition, tile by tile, for whoever wants to look at an array; the simulator computes the same in fewer products.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pinat_compile.errors import OptionError
from pinat_compile.physics import crossbar


def read(
    x: Tensor,
    weights: Tensor,
    state: crossbar.State,
    generator: torch.Generator,
    *,
    transpose: bool = False,
    time_s: float | None = None,
    temperature_k: float = 300.0,
    severity: float = 1.0,
) -> Tensor:
    """Sums of one read in steps, with fresh read noise: [batch, row_tile, col_tile, slice, cols].

    ``x`` [batch, row_tile, rows] in input steps; ``weights`` [row_tile, col_tile, slice, rows, cols] is
    `crossbar.effective` of ``state`` under the same conditions. ``transpose`` drives the columns instead: ``x``
    [batch, col_tile, cols] gives [batch, row_tile, col_tile, slice, rows]. Noise of independent devices adds up to a
    Gaussian of variance sum(x² sigma²); draws are made on the generator's device. Differentiable.
    """
    if state.device.nonlinearity is not None and not state.ideal:
        raise OptionError("read: devices that do not obey Ohm's law need volts", hint="use a simulator, or excess()")
    rule = "bqc,rqsxc->brqsx" if transpose else "brx,rqsxc->brqsc"
    sums = torch.einsum(rule, x, weights)
    if state.ideal:
        return sums
    variance = crossbar.read_variance(state, time_s=time_s, temperature_k=temperature_k, severity=severity)
    if isinstance(variance, float) and variance == 0.0:
        return sums
    spread = torch.as_tensor(variance, dtype=sums.dtype, device=sums.device).expand(weights.shape)
    total = torch.einsum(rule, x.square(), spread)
    drawn = torch.randn(sums.shape, generator=generator, device=generator.device, dtype=sums.dtype).to(sums.device)
    return sums + drawn * total.clamp(min=1e-20).sqrt()
