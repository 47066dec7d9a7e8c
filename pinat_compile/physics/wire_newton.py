"""Devices that do not obey Ohm's law behind resistive wires: the currents of one array, by Newton's method.

Two currents share the segments that both flow through. With u the voltages across the devices, i(u) = G u + N2 u² +
N3 u³ their currents, e what they would see if none conducted, and R the resistances that pairs of devices share,

    u + R i(u) = e,      R = row_ohm min(j, j') [same word line] + col_ohm min(k, k') [same bit line],

j and k counting segments to driver and ground. The Jacobian 1 + R diag(i'(u)) is well posed without resistance and with
open devices. It is dense, of rows x cols unknowns per input vector: exact, and for small arrays.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pinat_compile.errors import OptionError

STEPS = 50
"""Newton steps, at most; a handful is usual."""

LARGEST = 1 << 13
"""Devices of an array, at most: the Jacobian of one input vector then takes half a gigabyte."""

CHUNK = 1 << 25
"""Numbers in the Jacobians that are solved in one go."""


def currents(
    conductance_s: Tensor, square: Tensor, cube: Tensor, voltage_v: Tensor, row_ohm: float, col_ohm: float
) -> Tensor:
    """Amperes [..., batch, cols] at voltages [..., batch, rows]; all float64, arrays [..., rows, cols].

    Differentiable (once) with respect to all tensors. Raises OptionError for an array that is too large, and where
    Newton's method finds no solution.
    """
    rows, cols = conductance_s.shape[-2:]
    if rows * cols > LARGEST:
        what = f"conductance_s [..., {rows}, {cols}]: non-linear devices behind wires are solved up to {LARGEST} cells"
        raise OptionError(what, hint="take a smaller array, or leave the wires out")
    leading = torch.broadcast_shapes(conductance_s.shape[:-2], voltage_v.shape[:-2])  # type: ignore[no-untyped-call]
    batch = voltage_v.shape[-2]
    devices = [_per_vector(x, leading, batch) for x in (conductance_s, square, cube)]  # [vectors, devices]
    drive = voltage_v.expand(*leading, batch, rows).reshape(-1, rows).repeat_interleave(cols, dim=1)
    shared = _shared(rows, cols, row_ohm, col_ohm, drive)
    size = max(1, CHUNK // (rows * cols) ** 2)
    parts = zip(*(torch.split(x, size) for x in (*devices, drive)), strict=True)
    found = torch.cat([_solve(shared, *part) for part in parts])
    return found.reshape(*leading, batch, rows, cols).sum(dim=-2)


def _per_vector(x: Tensor, leading: torch.Size, batch: int) -> Tensor:
    return x.unsqueeze(-3).expand(*leading, batch, *x.shape[-2:]).reshape(-1, x.shape[-2] * x.shape[-1])


def _shared(rows: int, cols: int, row_ohm: float, col_ohm: float, like: Tensor) -> Tensor:
    """R [devices, devices] in ohms."""
    j = torch.arange(1, cols + 1, dtype=like.dtype, device=like.device)
    k = torch.arange(rows, 0, -1, dtype=like.dtype, device=like.device)
    word, bit = (torch.minimum(x[:, None], x[None, :]) for x in (j, k))
    same_word, same_bit = (torch.eye(n, dtype=like.dtype, device=like.device) for n in (rows, cols))
    return row_ohm * torch.kron(same_word, word) + col_ohm * torch.kron(bit, same_bit)


def _solve(shared: Tensor, g: Tensor, n2: Tensor, n3: Tensor, e: Tensor) -> Tensor:
    """Currents of the devices [vectors, devices]."""
    u = _newton(shared, g.detach(), n2.detach(), n3.detach(), e.detach())
    if any(x.requires_grad for x in (g, n2, n3, e)) and torch.is_grad_enabled():
        # one more step at the solution changes nothing, and carries the derivative (implicit function theorem)
        with torch.no_grad():
            jacobian = _jacobian(shared, g, n2, n3, u)
        u = u - torch.linalg.solve(jacobian, _residual(shared, g, n2, n3, e, u))
    return _current(g, n2, n3, u)


def _newton(shared: Tensor, g: Tensor, n2: Tensor, n3: Tensor, e: Tensor) -> Tensor:
    """The voltages across the devices [vectors, devices]: steps until they are as small as rounding makes them."""
    u = e.clone()
    scale = e.abs().amax(dim=1, keepdim=True)
    last = torch.full_like(scale, torch.inf)
    for _ in range(STEPS):
        step: Tensor = torch.linalg.solve(_jacobian(shared, g, n2, n3, u), _residual(shared, g, n2, n3, e, u))
        u = u - step
        size = step.abs().amax(dim=1, keepdim=True)
        if bool(((size <= 1e-14 * scale) | ((size <= 1e-11 * scale) & (size >= 0.5 * last))).all()):
            return u
        last = size
    raise OptionError(
        f"non-linear devices behind wires: no solution found in {STEPS} Newton steps",
        hint="lower the voltage: the devices' differential conductance must stay positive",
    )


def _current(g: Tensor, n2: Tensor, n3: Tensor, u: Tensor) -> Tensor:
    return u * (g + u * (n2 + u * n3))


def _residual(shared: Tensor, g: Tensor, n2: Tensor, n3: Tensor, e: Tensor, u: Tensor) -> Tensor:
    return u + torch.matmul(_current(g, n2, n3, u), shared) - e


def _jacobian(shared: Tensor, g: Tensor, n2: Tensor, n3: Tensor, u: Tensor) -> Tensor:
    """1 + R diag(i'(u)) [vectors, devices, devices]."""
    slope = g + u * (2.0 * n2 + 3.0 * n3 * u)
    return torch.eye(u.shape[1], dtype=u.dtype, device=u.device) + shared * slope[:, None, :]
