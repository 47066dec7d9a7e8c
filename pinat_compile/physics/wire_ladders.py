"""Wire resistance, approximately: every wire is a ladder of its own, and the wires do not see each other.

With D the conductances, A the voltage that unit voltages across the devices take from the word lines (r_row D, summed
along them), B the same for the bit lines, the voltages across the devices are (1 + A + B)⁻¹ times those applied. The
ladders replace that by ((1 + A)(1 + B))⁻¹: every power of A and of B alone is there, the product A B is missing (the
current that leaves a raised bit line for another word line and comes back elsewhere). The difference is exactly
P A B (1 + A + B)⁻¹ with P the ladders, which bounds the error without solving anything.
"""

from __future__ import annotations

import torch
from torch import Tensor


def transfer(conductance_s: Tensor, row_ohm: float, col_ohm: float) -> Tensor:
    """Amperes out of each bit line per volt on each word line [tiles, rows, cols]: g times what both its wires pass on.

    Differentiable; costs some additions per device, where the exact `wire_network.transfer` joins matrices.
    """
    return conductance_s * attenuation(conductance_s, row_ohm, col_ohm)


def attenuation(conductance_s: Tensor, row_ohm: float, col_ohm: float) -> Tensor:
    """What both wires of each device pass on, as a share of its current without wires: [tiles, rows, cols]."""
    return _word_share(conductance_s, row_ohm) * _bit_share(conductance_s, col_ohm)


def error_bound(conductance_s: Tensor, row_ohm: float, col_ohm: float) -> Tensor:
    """A bound [tiles] on |current - exact current| of `transfer`, over all columns and all voltages up to 1 V.

    As a share of the largest column current with every word line at 1 V; inf or nan where nothing can be promised. Of
    column j: sum_s |G - G_exact|_sj <= sum_i (g b)_ij (A B v)_ij, where b is what the bit line passes on and v bounds
    the sum over sources s of the voltage across a device: at most 1 from the word line and B 1 from the bit line.
    """
    g = conductance_s.detach()
    to_driver = row_ohm * _shared(g.shape[-1], g)  # [cols, cols]
    to_ground = col_ohm * _shared(g.shape[-2], g).flip(0, 1)  # [rows, rows]
    raised = to_ground @ (g * (1.0 + (to_ground @ g).clamp(max=1.0)))  # B v
    passed = g * _bit_share(g, col_ohm)
    missing = (passed * ((g * raised) @ to_driver)).sum(dim=-2)  # [tiles, cols]
    current = (passed * _word_share(g, row_ohm)).sum(dim=-2)
    most = missing.amax(dim=-1)
    bound = most / (current - missing).amax(dim=-1).clamp(min=0.0)
    return torch.where(most == 0.0, torch.zeros_like(bound), bound)


def _shared(length: int, like: Tensor) -> Tensor:
    """Segments that the currents of two positions share on a wire that ends before position 0: [length, length]."""
    position = torch.arange(1, length + 1, dtype=like.dtype, device=like.device)
    return torch.minimum(position[:, None], position)


def _word_share(g: Tensor, ohm: float) -> Tensor:
    """Voltage on each word line at each device, per volt of its driver, when all bit lines are at 0 V: [*g]."""
    return _ladder(g, ohm)


def _bit_share(g: Tensor, ohm: float) -> Tensor:
    """Share of a current into each bit line at each device that reaches its end, when all word lines are at 0 V: [*g].

    By reciprocity the voltage there, per volt at that end.
    """
    return _ladder(g.mT.flip(-1), ohm).flip(-1).mT


def _ladder(g: Tensor, ohm: float) -> Tensor:
    """Voltages [..., n] along wires driven with 1 V before position 0, with devices ``g`` [..., n] to ground."""
    if ohm == 0.0:
        return torch.ones_like(g)
    volt = torch.ones_like(g[..., 0])
    volts = [volt]
    *others, last = g.unbind(dim=-1)
    current = last * volt
    for conductance in reversed(others):
        volt = volt + ohm * current
        current = current + conductance * volt
        volts.append(volt)
    driver = volt + ohm * current
    return torch.stack(volts[::-1], dim=-1) / driver.unsqueeze(-1)
