"""Resistive arrays as networks with ports, joined two by two until one network is the whole array.

Rows count from the sensed end of the bit lines and columns from the driven end of the word lines, so that both kinds of
wire begin at 0. A block of cells meets its neighbours at four edges: the wires enter at its *near* edges, through a
segment, and leave at its *far* edges. A near port takes a voltage and answers with the current into the block; a far
port takes a current into the block and answers with its voltage, negated. A block then is a symmetric matrix:
answers = network @ inputs (reciprocity). Everything stays finite without resistance of wires and without conductance of
devices, and the system solved at each step, 1 + Z Y with Z and Y positive semidefinite, is well posed: errors stay near
rounding, in float32 too.

Joining two blocks eliminates the wires between them. An n x n array takes about n³ operations that way, where
eliminating one word line after the other (block Thomas) takes n⁴.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

LEAF = 4
"""Preferred side of the blocks that are solved densely."""

Wires = Literal["word", "bit"]
Ports = tuple[int, int, int, int]
"""Ports of a network in the order of its matrix, seen along the wires to be joined next: near, the near and the far
ports of the other wires, far."""


def transfer(conductance_s: Tensor, row_ohm: float, col_ohm: float) -> Tensor:
    """Amperes out of each grounded bit line per volt on each word line [tiles, rows, cols], in the dtype given.

    Plain differentiable torch. Word lines are driven before column 0, bit lines grounded after the last row.
    """
    rows, cols = conductance_s.shape[1:]
    leaf_rows, row_doublings = _leaf_side(rows)
    leaf_cols, col_doublings = _leaf_side(cols)
    plan = _plan(leaf_rows, leaf_cols, row_doublings, col_doublings)
    missing_rows, missing_cols = (leaf_rows << row_doublings) - rows, (leaf_cols << col_doublings) - cols
    # open devices on the open ends of the wires carry no current
    cells = F.pad(conductance_s.flip(-2), (0, missing_cols, 0, missing_rows))
    network, ports = _leaves(_in_order(cells, leaf_rows, leaf_cols, plan), row_ohm, col_ohm, (*plan, "word")[0])
    for step, along in enumerate(plan):
        rest = plan[step + 1 :]
        network, ports = _join(network, ports, open_end=along not in rest, turn=(*rest, "word")[0] != along)
    words = ports[0]
    return -network[:, :rows, words : words + cols].flip(-2)


def _leaf_side(length: int) -> tuple[int, int]:
    """(side of a leaf, number of doublings) that pad ``length`` least."""
    most = max(0, math.ceil(math.log2(length / LEAF)))
    cuts = [(-(-length // (1 << doublings)), doublings) for doublings in (most, max(0, most - 1))]
    return min(cuts, key=lambda cut: (cut[0] << cut[1], cut[0]))


def _plan(rows: int, cols: int, row_doublings: int, col_doublings: int) -> tuple[Wires, ...]:
    """Which wires are joined, step by step, such that blocks stay nearly square."""
    plan: list[Wires] = []
    while row_doublings or col_doublings:
        if col_doublings and (cols <= rows or not row_doublings):
            plan.append("word")
            cols, col_doublings = 2 * cols, col_doublings - 1
        else:
            plan.append("bit")
            rows, row_doublings = 2 * rows, row_doublings - 1
    return tuple(plan)


def _in_order(cells: Tensor, rows: int, cols: int, plan: tuple[Wires, ...]) -> Tensor:
    """[tiles, padded rows, padded cols] → leaves [tiles * leaves, rows, cols]; blocks to be joined are neighbours."""
    ups, rights = plan.count("bit"), plan.count("word")
    split = cells.reshape(-1, *(2,) * ups, rows, *(2,) * rights, cols)
    up, right = ups, ups + 1 + rights  # the axes of the lowest digits of a block's two binary numbers
    axes = []
    for along in plan:
        axes.append(right if along == "word" else up)
        right -= along == "word"
        up -= along == "bit"
    return split.permute(0, *reversed(axes), ups + 1, ups + rights + 2).reshape(-1, rows, cols)


def _leaves(cells: Tensor, row_ohm: float, col_ohm: float, along: Wires) -> tuple[Tensor, Ports]:
    """The networks of small blocks [leaves, rows, cols], by one dense solve each.

    With E x the voltages across the devices if none conducted, D the conductances, and R the resistance that the
    currents of two devices share, the devices see u = (1 + R D)⁻¹ E x; the network is the wires' own plus Eᵀ D u / x.
    """
    leaves, rows, cols = cells.shape
    like: dict[str, Any] = {"dtype": cells.dtype, "device": cells.device}
    word = torch.eye(rows, **like).repeat_interleave(cols, dim=0)  # [devices, rows]
    bit = torch.eye(cols, **like).repeat(rows, 1)  # [devices, cols]
    i = torch.arange(1, rows + 1, **like).repeat_interleave(cols)[:, None]  # segments from each device to the near edge
    j = torch.arange(1, cols + 1, **like).repeat(rows)[:, None]
    shared = row_ohm * torch.minimum(j, j.T) * (word @ word.T) + col_ohm * torch.minimum(i, i.T) * (bit @ bit.T)
    words, bits = (word, row_ohm * j * word), (-bit, -col_ohm * i * bit)
    first, other = (words, bits) if along == "word" else (bits, words)
    parts = (first[0], other[0], other[1], first[1])
    drive = torch.cat(parts, dim=1)  # E [devices, ports]
    near, side_near, side_far, far = ports = (rows, cols, cols, rows) if along == "word" else (cols, rows, rows, cols)
    d = cells.reshape(leaves, rows * cols)
    loads = torch.eye(rows * cols, **like) + shared * d[:, None, :]
    u = torch.linalg.solve(loads, drive.expand(leaves, -1, -1))  # [leaves, devices, ports]
    length, side_length = (row_ohm * cols, col_ohm * rows) if along == "word" else (col_ohm * rows, row_ohm * cols)
    own = torch.zeros(drive.shape[1], drive.shape[1], **like)
    ends = range(near), range(-far, 0)
    side_ends = range(near, near + side_near), range(-far - side_far, -far)
    for (a, b), ohm in ((ends, length), (side_ends, side_length)):
        own[a, b] = own[b, a] = -1.0
        own[b, b] = -ohm
    return own + drive.T @ (d[:, :, None] * u), ports


def _join(network: Tensor, ports: Ports, *, open_end: bool, turn: bool) -> tuple[Tensor, Ports]:
    """Join neighbours, far ports of the first to near ports of the second: [2 * blocks, P, P] → [blocks, Q, Q].

    ``open_end``: nothing is ever joined to the far ports of the result, which are left out. ``turn``: the next join is
    along the other wires; the ports come in that order.
    """
    near, side_near, side_far, far = ports
    a, b = network[0::2], network[1::2]
    if open_end:
        b = b[:, :-far, :-far]
    a_rest, a_far = a[:, :-far], a[:, -far:]
    b_near, b_rest = b[:, :near], b[:, near:]
    z, y = -a_far[:, :, -far:], b_near[:, :, :near]
    sources = torch.cat((-a_far[:, :, :-far], -z @ b_near[:, :, near:]), dim=-1)
    eye = torch.eye(far, dtype=network.dtype, device=network.device)
    volts = torch.linalg.solve(eye + z @ y, sources)  # of the wires between, per input [blocks, far, inputs]
    by_a, by_b = torch.split(volts, [near + side_near + side_far, b.shape[-1] - near], dim=-1)
    aa = a_rest[:, :, :-far] - a_rest[:, :, -far:] @ (y @ by_a)
    ba = b_rest[:, :, :near] @ by_a
    bb = b_rest[:, :, near:] + b_rest[:, :, :near] @ by_b
    sizes = [near, side_near, side_far], [side_near, side_far, 0 if open_end else far]

    def order(from_a: Tensor, from_b: Tensor, dim: int) -> Tensor:
        n, sn_a, sf_a = torch.split(from_a, sizes[0], dim)
        sn_b, sf_b, f = torch.split(from_b, sizes[1], dim)
        return torch.cat((sn_a, sn_b, n, f, sf_a, sf_b) if turn else (n, sn_a, sn_b, sf_a, sf_b, f), dim)

    joined = order(order(aa, ba.mT, -1), order(ba, bb, -1), -2)
    sides, end = (2 * side_near, 2 * side_far), 0 if open_end else far
    return joined, (sides[0], near, end, sides[1]) if turn else (near, *sides, end)
