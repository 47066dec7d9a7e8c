"""Any unitary matrix as a rectangular mesh of interferometers: Clements et al., Optica 3, 1460 (2016)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pinat_compile.physics.optics import mesh, passage

Complex = npt.NDArray[np.complex128]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Phases:
    """Settings of a mesh in rad: ``x`` and ``phi`` of its interferometers [..., N (N - 1) / 2], ``out`` [..., N]."""

    x: Tensor
    phi: Tensor
    out: Tensor


def decompose(unitary: Tensor) -> Phases:
    """The phases of a mesh that make ``unitary`` [..., N, N], x in [0, pi], phi and out in [0, 2 pi).

    Elements are nulled one after the other by rotations T(t, p) = [[e^{ip} cos t, -sin t], [e^{ip} sin t, cos t]] from
    the right and from the left, in double precision; those from the left are then moved through the diagonal that is
    left over. T(t, p) is the cell at x = pi - 2t, phi = p + pi. A real orthogonal matrix has p in {0, pi}.
    """
    modes, shape = unitary.shape[-1], unitary.shape[:-2]
    left = unitary.detach().reshape(-1, modes, modes).to("cpu", torch.complex128).numpy().copy()
    t, p = np.zeros((2, len(left), mesh.interferometers(modes)))
    schedule = _schedule(modes)
    for step in schedule:
        null = _null_column if step.from_right else _null_row
        t[:, step.place], p[:, step.place] = null(left, step.row, step.col)
    diagonal = left.diagonal(axis1=1, axis2=2).copy()  # [tile, mode]
    for step in reversed(schedule):
        if not step.from_right:
            p[:, step.place] = _move_through(diagonal, step.row - 1, p[:, step.place])
    flat = (math.pi - 2 * t, (p + math.pi) % math.tau, np.angle(diagonal) % math.tau)
    return Phases(*(torch.from_numpy(value).reshape(*shape, value.shape[-1]) for value in flat))


def reconstruct(phases: Phases) -> Tensor:
    """The matrix [..., N, N] of an ideal mesh set to ``phases``."""
    path = mesh.layers(phases.out.shape[-1])
    return passage.matrix(path, phases.x, phases.phi, mesh.turn(phases.out))


@dataclass(frozen=True, slots=True)
class _Step:
    """Null element (row, col); ``place``: the flat index of the interferometer that does it."""

    row: int
    col: int
    from_right: bool
    place: int


@lru_cache(maxsize=64)
def _schedule(modes: int) -> tuple[_Step, ...]:
    """The order of nulling, diagonal by diagonal, and where each rotation stands in the mesh."""
    order = []
    for i in range(modes - 1):
        for j in range(i + 1):
            order.append((modes - 1 - j, i - j, True) if i % 2 == 0 else (modes - 1 + j - i, j, False))
    tops = [col if from_right else row - 1 for row, col, from_right in order]
    first = [k for k, step in enumerate(order) if step[2]]
    last = [k for k, step in enumerate(order) if not step[2]]
    place = _places([(k, tops[k]) for k in (*first, *reversed(last))], modes)
    return tuple(_Step(*step, place[k]) for k, step in enumerate(order))


def _places(passed: list[tuple[int, int]], modes: int) -> dict[int, int]:
    """The flat index of each rotation (number, upper mode), given in the order in which light passes them."""
    structure = mesh.layers(modes)
    depth, found = [0] * modes, {}
    for number, top in passed:
        layer = max(depth[top], depth[top + 1])
        if (top - structure[layer].first) % 2:  # the brick pattern leaves this layer's place to its neighbours
            layer += 1
        found[number] = structure[layer].start + (top - structure[layer].first) // 2
        depth[top] = depth[top + 1] = layer + 1
    return found


def _null_column(left: Complex, row: int, col: int) -> tuple[Floats, Floats]:
    """Multiply columns (col, col + 1) by T^-1 from the right so that element (row, col) vanishes; its t and p."""
    a, b = left[:, row, col], left[:, row, col + 1]
    t, p = np.arctan2(np.abs(a), np.abs(b)), _angle(a * b.conj())
    columns = left[:, :, col : col + 2]
    left[:, :, col : col + 2] = columns @ _rotation(t, p).conj().swapaxes(1, 2)
    return t, p


def _null_row(left: Complex, row: int, col: int) -> tuple[Floats, Floats]:
    """Multiply rows (row - 1, row) by T from the left so that element (row, col) vanishes; its t and p."""
    a, b = left[:, row, col], left[:, row - 1, col]
    t, p = np.arctan2(np.abs(a), np.abs(b)), _angle(-a * b.conj())
    left[:, row - 1 : row + 1] = _rotation(t, p) @ left[:, row - 1 : row + 1]
    return t, p


def _rotation(t: Floats, p: Floats) -> Complex:
    """T(t, p) of every tile: [tile, 2, 2]."""
    made = np.empty((len(t), 2, 2), np.complex128)
    cosine, sine, turned = np.cos(t), np.sin(t), np.exp(1j * p)
    made[:, 0, 0], made[:, 0, 1] = turned * cosine, -sine
    made[:, 1, 0], made[:, 1, 1] = turned * sine, cosine
    return made


def _move_through(diagonal: Complex, top: int, p: Floats) -> Floats:
    """T^-1(t, p) diag(d1, d2) = diag(-e^{-ip} d2, d2) T(t, p'): changes the diagonal, returns p'."""
    d1, d2 = diagonal[:, top].copy(), diagonal[:, top + 1]
    diagonal[:, top] = -np.exp(-1j * p) * d2
    return np.asarray(np.angle(-d1 * d2.conj()))


def _angle(z: Complex) -> Floats:
    """The argument of z; 0 where z is 0, whatever the signs of its zeros."""
    return np.where(z == 0, 0.0, np.angle(z))
