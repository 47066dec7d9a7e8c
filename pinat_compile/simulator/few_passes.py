"""A programmed matrix read in few passes: what `streamlined` needs, laid out once for all where it does not change."""

from __future__ import annotations

import torch
from torch import Tensor

from pinat_compile.simulator import streamlined
from pinat_compile.simulator.noise import Noise, Role
from pinat_compile.simulator.programming import Programmed
from pinat_compile.simulator.tiles import TileProducts


def read(
    products: TileProducts,
    x: Tensor,
    programmed: Programmed,
    noise: Noise | None,
    role: Role,
    limit: int,
    factor: Tensor,
    bias: Tensor | None,
    total: Tensor | None,
) -> Tensor:
    """[vectors, block * cols]: what the codes of one input step stand for, multiplied by ``factor`` and added up.

    ``x`` is the tensor of the operand that ``products`` was made of; ``limit`` the largest ADC code; ``factor``
    [block, slice, cols]. Added to ``total``, where there is one already, else to ``bias`` [block * cols].
    """
    assert programmed.from_codes is not None
    weights = _in_codes(programmed)
    found, spread = _read(products, programmed, noise, role, limit)
    sums = streamlined.run(
        found, x, weights, programmed.from_codes * factor, programmed.code_offset, spread,
        bias if total is None else None,
    )
    return sums if total is None else total + sums


def _lasts(programmed: Programmed) -> bool:
    """Whether what is laid out may be kept: nobody asks for a gradient that would go through it."""
    assert programmed.to_codes is not None
    learns = programmed.weights.requires_grad or programmed.to_codes.requires_grad
    return not (torch.is_grad_enabled() and learns)


def _in_codes(programmed: Programmed) -> Tensor:
    """Weights in ADC codes per input step: [tile, block, slice, rows, cols]."""
    assert programmed.to_codes is not None
    if not _lasts(programmed):
        return programmed.weights * programmed.to_codes.unsqueeze(3)
    if "weights" not in programmed.kept:
        with torch.inference_mode(False), torch.no_grad():  # it may serve other modes later
            programmed.kept["weights"] = programmed.weights * programmed.to_codes.unsqueeze(3)
    found: Tensor = programmed.kept["weights"]
    return found


def _read(
    products: TileProducts, programmed: Programmed, noise: Noise | None, role: Role, limit: int
) -> tuple[streamlined.Read, streamlined.Spread | None]:
    """How one input step is read, and its noise."""
    tiles, blocks, slices, _, cols = programmed.weights.shape
    kept = programmed.kept if _lasts(programmed) else None
    if noise is None or not programmed.fresh.of_columns:
        return streamlined.Read(products, limit, slices, (), kept), None
    units = [(tile, s) for tile in range(tiles) for s in range(slices)]
    takes = noise.vectors(role, units, products.count, blocks * cols, programmed.weights)
    found = streamlined.Read(products, limit, slices, takes, kept)
    if kept is None:
        return found, _spread(programmed)
    if "spread" not in kept:
        with torch.inference_mode(False), torch.no_grad():
            kept["spread"] = _spread(programmed)
    return found, kept["spread"]


def _spread(programmed: Programmed) -> streamlined.Spread:
    """The deviation of the noise of every conversion."""
    tiles, blocks, slices, _, cols = programmed.weights.shape
    assert programmed.to_codes is not None
    fresh, scale = programmed.fresh, programmed.to_codes.expand(tiles, blocks, slices, cols)
    variance = fresh.cells if isinstance(fresh.cells, Tensor) else scale.new_tensor(fresh.cells)
    columns = None if fresh.columns is None else fresh.columns.expand(scale.shape)
    return streamlined.Spread(scale, variance, columns, fresh.shot, fresh.sums)
