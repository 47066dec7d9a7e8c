"""What a sweep costs: joules of one chain's step there and back, on an array and on a digital machine.

On the array, counted by `pinat_compile.cost`: reading the devices, driving rows and columns, converting, and one
digital comparison per unit. The source of the neurons' noise is not counted, for want of a constant.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pinat_compile.cost.baseline import ADD_32, LARGE_BYTE, NODE_NM, SHARED_BY, SMALL_BYTE, Constant, mac_pj
from pinat_compile.cost.tiles import PJ, mean_square_drive, tile_costs
from pinat_compile.cost.value import Cost
from pinat_compile.ebm.array import TwoWayArray
from pinat_compile.errors import OptionError

RANDOM_32 = Constant("32 random bits", 0.6, "pJ", "assumption: xorshift, six operations like an int32 addition, 45 nm")
SIGMOID = Constant("look-up of the logistic function", SMALL_BYTE.value, "pJ", f"one {SMALL_BYTE.name}")


def sweep_cost(array: TwoWayArray, weights: Tensor, rows: Tensor, cols: Tensor) -> Cost:
    """Joules of driving the rows with ``rows`` and the columns with ``cols``, each once, mean over the samples.

    ``weights`` [rows, cols]; ``rows`` [samples, rows] and ``cols`` [samples, cols] are typical inputs.
    """
    held = array.conductances_us(weights)  # [row_tile, col_tile, slice, rows, cols, device]
    found = Cost()
    for transpose, x in ((False, rows), (True, cols)):
        tiles = held.permute(1, 0, 2, 4, 3, 5) if transpose else held
        drive = mean_square_drive(array.input_codes(x, transpose=transpose), array.target.dac)
        matrix = array.matrix_of(transpose)
        found += tile_costs(array.target, matrix, mvms=1, conductance_us=iter(tiles), drive=drive[None]).total
        found += Cost(digital=_compared(array, matrix.outputs))
    return found


def _compared(array: TwoWayArray, units: int) -> float | None:
    energy = array.target.energy
    return None if energy is None or energy.digital_add_pj is None else units * energy.digital_add_pj * PJ


def digital_sweep_j(visible: int, hidden: int, active: tuple[float, float], bits: int, node_nm: float) -> float:
    """Joules of one sweep on a digital machine that adds the weights of active units only.

    ``active``: mean number of visible and of hidden units that are on. An addition and a weight of ``bits`` from a
    small memory for every weight of an active unit; a random number, a look-up and a comparison for every unit; unit
    states are not counted. Constants of `pinat_compile.cost.baseline`, 45 nm, scaled to ``node_nm``.
    """
    if bits < 1 or not node_nm > 0.0:
        raise OptionError(f"digital_sweep_j: bits = {bits}, node_nm = {node_nm}: must be above 0", hint="8 and 32.0")
    per_weight = ADD_32.value + bits / 8 * SMALL_BYTE.value / SHARED_BY
    per_unit = RANDOM_32.value + SIGMOID.value + ADD_32.value
    total = per_weight * (active[0] * hidden + active[1] * visible) + per_unit * (visible + hidden)
    return total * node_nm / NODE_NM * PJ


def digital_dense_sweep_j(visible: int, hidden: int, bits: int, node_nm: float) -> float:
    """The same on a machine that multiplies everything by everything, its weights from the large memory every time."""
    macs = 2 * visible * hidden
    moved = macs * bits / 8 * LARGE_BYTE.value * node_nm / NODE_NM
    units = (RANDOM_32.value + SIGMOID.value) * (visible + hidden) * node_nm / NODE_NM
    return (macs * mac_pj(bits, node_nm) + moved + units) * PJ


def mean_active(units: Tensor) -> float:
    """Units that are on, mean over samples [samples, units]."""
    return float(units.to(torch.float64).sum(dim=1).mean())
