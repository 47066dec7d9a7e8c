"""Wire resistance of crossbars: what the resistance of word and bit lines makes of conductances and column currents.

Word line i is driven at column 0 through a segment of ``row_ohm``, bit line j is grounded after the last row through a
segment of ``col_ohm``; between neighbouring nodes lies one segment, and a device between word line i and bit line j. An
array of fixed conductances is linear, so it *is* a matrix, the effective conductance: exact, it is found once per
programmed array (`wire_network`) and a matrix-vector product then costs what it does without wires.

Everything is computed in float64 on the tensors' device and returned in float64.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import torch
from torch import Tensor

from pinat_compile.errors import OptionError
from pinat_compile.physics import wire_ladders, wire_network, wire_newton

CHUNK_CELLS = 1 << 14
"""Devices solved in one go on a CPU: larger working sets leave its caches."""

CHUNK_CELLS_GPU = 1 << 19


def column_currents(
    conductance_s: Tensor,
    voltage_v: Tensor,
    row_ohm: float,
    col_ohm: float,
    *,
    tolerance: float | None = None,
    square: Tensor | None = None,
    cube: Tensor | None = None,
) -> Tensor:
    """Amperes [..., batch, cols] out of the bit lines of arrays [..., rows, cols] at voltages [..., batch, rows].

    Exact unless a ``tolerance`` is given, see `effective_conductance`. Differentiable with respect to conductances (in
    siemens) and voltages. Zero resistance on either side and open devices (0 S) are legal. ``square`` and ``cube``
    [..., rows, cols]: N2 in A/V² and N3 in A/V³ of devices that carry G V + N2 V² + N3 V³; such an array is no matrix,
    and every vector is solved by itself (`wire_newton`). The simulator does not use that. Raises OptionError.
    """
    if voltage_v.shape[-1:] != conductance_s.shape[-2:-1]:
        raise OptionError(
            f"voltage_v {list(voltage_v.shape)}, conductance_s {list(conductance_s.shape)}: the array has "
            f"{conductance_s.shape[-2] if conductance_s.ndim > 1 else 'no'} word lines",
            hint="voltage_v is [..., batch, rows]",
        )
    if square is None and cube is None:
        return voltage_v.double() @ effective_conductance(conductance_s, row_ohm, col_ohm, tolerance=tolerance)
    g = _checked(conductance_s, row_ohm, col_ohm)
    n2, n3 = (_excess(coefficient, g) for coefficient in (square, cube))
    return wire_newton.currents(g, n2, n3, voltage_v.double(), float(row_ohm), float(col_ohm))


def _excess(coefficient: Tensor | None, g: Tensor) -> Tensor:
    if coefficient is None:
        return torch.zeros_like(g)
    if coefficient.shape != g.shape or not bool(coefficient.isfinite().all()):
        what = f"square and cube: finite, one number per device {list(g.shape)}; given {list(coefficient.shape)}"
        raise OptionError(what, hint="leave out what the devices do not have")
    return coefficient.double()


def effective_conductance(
    conductance_s: Tensor, row_ohm: float, col_ohm: float, *, tolerance: float | None = None
) -> Tensor:
    """The matrix [..., rows, cols] in siemens that arrays of ``conductance_s`` multiply voltages by, wires included.

    ``tolerance``: arrays whose error is provably at most that take a fast path (`wire_ladders`), the others the exact
    one. The error is that of any column current at any voltages up to 1 V, as a share of the largest column current
    with every word line at 1 V. Differentiable; a second derivative is not. Raises OptionError.

    Large problems are shared among as many threads as torch is set to use, each solving arrays of its own; the settings
    are left as they are, and the result does not depend on them.
    """
    g = _checked(conductance_s, row_ohm, col_ohm)
    tiles = g.reshape(-1, *g.shape[-2:])
    row_ohm, col_ohm = float(row_ohm), float(col_ohm)
    if tolerance is None:
        found = _exact(tiles, row_ohm, col_ohm)
    else:
        found = _within(tiles, row_ohm, col_ohm, tolerance)
    return found.reshape(g.shape)


def _checked(conductance_s: Tensor, row_ohm: float, col_ohm: float) -> Tensor:
    for name, ohm in (("row_ohm", row_ohm), ("col_ohm", col_ohm)):
        if not 0.0 <= ohm < math.inf:
            raise OptionError(f"{name} = {ohm}: the resistance of a wire segment is 0 or more", hint="try 1.0")
    if conductance_s.ndim < 2 or 0 in conductance_s.shape[-2:]:
        raise OptionError(f"conductance_s {list(conductance_s.shape)}: must be [..., rows, cols]")
    g = conductance_s.double()
    if g.numel() and not bool((g >= 0.0).all() & (g < math.inf).all()):
        raise OptionError("conductance_s: must be finite and 0 or more, in siemens", hint="0 is an open device")
    return g


def _within(tiles: Tensor, row_ohm: float, col_ohm: float, tolerance: float) -> Tensor:
    """Each tile by the fast path where it keeps the tolerance, else exactly."""
    if not tolerance >= 0.0:
        raise OptionError(f"tolerance = {tolerance}: a share of full scale, 0 or more", hint="try 1e-3")
    fast = wire_ladders.error_bound(tiles, row_ohm, col_ohm) <= tolerance  # false for nan
    if bool(fast.all()):
        return wire_ladders.transfer(tiles, row_ohm, col_ohm)
    if not bool(fast.any()):
        return _exact(tiles, row_ohm, col_ohm)
    parts = wire_ladders.transfer(tiles[fast], row_ohm, col_ohm), _exact(tiles[~fast], row_ohm, col_ohm)
    place = torch.cat((fast.nonzero(), (~fast).nonzero())).squeeze(-1)
    return torch.cat(parts)[place.argsort()]


def _exact(tiles: Tensor, row_ohm: float, col_ohm: float) -> Tensor:
    return cast(Tensor, _Transfer.apply(tiles, row_ohm, col_ohm))  # type: ignore[no-untyped-call]


class _Transfer(torch.autograd.Function):
    """`wire_network.transfer` in chunks; nothing but the conductances is kept, the backward pass solves again."""

    @staticmethod
    def forward(ctx: Any, tiles: Tensor, row_ohm: float, col_ohm: float) -> Tensor:
        ctx.save_for_backward(tiles)
        ctx.ohm = row_ohm, col_ohm

        def solve(part: Tensor) -> Tensor:
            with torch.no_grad():
                return wire_network.transfer(part, row_ohm, col_ohm)

        return _spread(solve, tiles)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (tiles,) = ctx.saved_tensors
        row_ohm, col_ohm = ctx.ohm

        def solve(part: Tensor, grad: Tensor) -> Tensor:
            with torch.enable_grad():
                part = part.detach().requires_grad_()
                return torch.autograd.grad(wire_network.transfer(part, row_ohm, col_ohm), part, grad)[0]

        return _spread(solve, tiles, grads[0]), None, None


def _spread(solve: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """``solve`` over chunks of the first axis.

    Joining small matrices with several threads each is far slower than with one: on a CPU each chunk is one thread's.
    """
    first = tensors[0]
    limit = CHUNK_CELLS if first.device.type == "cpu" else CHUNK_CELLS_GPU
    size = max(1, limit // first[0].numel()) if len(first) else 1
    chunks = list(zip(*(torch.split(tensor, size) for tensor in tensors), strict=True))
    if first.device.type != "cpu" or torch.get_num_threads() == 1:
        return torch.cat([solve(*chunk) for chunk in chunks])
    return torch.cat(_in_threads(solve, chunks))


def _in_threads(solve: Callable[..., Tensor], chunks: Sequence[tuple[Tensor, ...]]) -> list[Tensor]:
    """One chunk per thread at a time, torch's own threads off inside them.

    torch.set_num_threads sets the thread that calls it, and what threads to come begin with: the latter is set back as
    soon as ours have begun.
    """
    threads = torch.get_num_threads()
    workers = min(threads, len(chunks))
    begun = threading.Barrier(workers + 1)

    def begin() -> None:
        torch.set_num_threads(1)
        begun.wait()

    with ThreadPoolExecutor(workers, initializer=begin) as pool:
        futures = [pool.submit(solve, *chunk) for chunk in chunks]
        begun.wait()
        torch.set_num_threads(threads)
        return [future.result() for future in futures]
