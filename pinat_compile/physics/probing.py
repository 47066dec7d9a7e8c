"""Reading known vectors to see how far an array has drifted: global drift compensation.

Joshi et al., Nature Communications 11, 2473 (2020), Methods; Le Gallo et al., Nature Electronics 6, 680 (2023): the
summed currents of a few known inputs, measured right after programming and again later, give one factor for all
columns. It undoes what all devices have in common, a common drift exponent or a temperature; the spread stays.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pinat_compile.physics import converters, crossbar
from pinat_compile.physics.randomness import Key, generator


def probe(
    state: crossbar.State,
    x: Tensor,
    source: torch.Generator,
    *,
    unit: Tensor | None = None,
    codes: tuple[int, int] | None = None,
    time_s: float | None = None,
    temperature_k: float = 300.0,
    severity: float = 1.0,
) -> Tensor:
    """The sum of |column sum| over vectors and columns of every tile and slice, in steps: [row_tile, col_tile, slice].

    ``x`` [vectors, row_tile, rows] in input steps, read once with fresh read noise. ``unit`` [row_tile, col_tile,
    slice] (columns may follow), steps per ADC code, and ``codes`` (lowest, highest) convert the sums; without them they
    are exact. Ohm's law is taken to hold, and the offsets of the columns to be trimmed.
    """
    when = {"time_s": time_s, "temperature_k": temperature_k, "severity": severity}
    sums = torch.einsum("nrx,rqsxc->nrqsc", x, crossbar.effective(state, **when))  # type: ignore[arg-type]
    if not state.ideal:
        variance = torch.as_tensor(crossbar.read_variance(state, **when))  # type: ignore[arg-type]
        shape = (*state.levels.shape[:-1],)
        power = torch.einsum("nrx,rqsxc->nrqsc", x.square(), variance.to(x).expand(shape))
        drawn = torch.randn(sums.shape, generator=source, device=source.device, dtype=sums.dtype)
        sums = sums + drawn.to(sums.device) * power.sqrt()
    if unit is not None and codes is not None:
        per_code = unit if unit.ndim == 4 else unit[..., None]
        sums = converters.round_clip(sums / per_code, *codes, own=True) * per_code
    return (sums.abs() * _columns(state)).sum(dim=(0, -1))


def _columns(state: crossbar.State) -> Tensor:
    """1 for the columns of a tile, 0 for the padding: [row_tile, col_tile, 1, cols]."""
    assert state.tiling is not None
    ones = torch.ones(state.tiling.dense_shape, device=state.levels.device)
    return state.tiling.split(ones).amax(dim=2).unsqueeze(2)


def drift_gains(
    state: crossbar.State,
    x: Tensor,
    key: Key,
    *,
    unit: Tensor | None = None,
    codes: tuple[int, int] | None = None,
    time_s: float,
    temperature_k: float = 300.0,
    severity: float = 1.0,
    per_tile: bool = False,
) -> Tensor:
    """What the sums must be multiplied by to stand as they did right after programming: [row_tile, col_tile, slice].

    sum |I(t0)| / sum |I(t)| over the probe vectors ``x`` [vectors, row_tile, rows]: one number for the whole matrix, or
    one per tile and slice. The first reading is taken at the devices' t0 and 300 K. 1 where nothing flows.
    """
    first, later = (
        probe(
            state, x, generator(key.at(role), x.device), unit=unit, codes=codes,
            time_s=when, temperature_k=kelvin, severity=severity,
        )
        for role, when, kelvin in (("first", state.device.t0_s, 300.0), ("later", time_s, temperature_k))
    )
    if not per_tile:
        first, later = (sums.sum().expand(sums.shape) for sums in (first, later))
    flows = (first > 0.0) & (later > 0.0)
    return torch.where(flows, first / torch.where(flows, later, 1.0), 1.0)
