"""Current that is not proportional to voltage."""

from __future__ import annotations

import torch
from torch import Tensor

from pinat_compile.hardware.device import Device
from pinat_compile.physics.devices.curves import polynomial

OPEN_S = 1e-9
"""A device below this conductance adds no non-linear current."""


def excess_currents(device: Device, g_us: Tensor) -> tuple[Tensor, Tensor] | None:
    """N2 in µA/V² and N3 in µA/V³ [*g] of I = G V + N2 V² + N3 V³; ``None`` for devices that obey Ohm's law.

    N2 and N3 are polynomials of log10(G / 1 S), for example of the HfO2 ReRAM of Milo et al., IRPS 2021, Fig. 1 (fit of
    CrossSim's RRAMMilo for 62.5 to 110 µS and up to 0.5 V). Their terms cancel but for a thousandth: in float64.
    """
    section = device.nonlinearity
    if section is None:
        return None
    conducts = g_us > OPEN_S * 1e6
    decades = (g_us.double().clamp(min=OPEN_S * 1e6) * 1e-6).log10()
    square, cube = ((1e6 * polynomial(row, decades)).to(g_us.dtype) for row in (section.square, section.cube))
    return torch.where(conducts, square, 0.0), torch.where(conducts, cube, 0.0)
