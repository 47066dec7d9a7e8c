"""``estimate``: what a compiled network costs, from its conductances and its measured inputs."""

from __future__ import annotations

from collections.abc import Callable

import torch

from pinat_compile.compiler.compiled import Compiled
from pinat_compile.cost.estimate import NetworkCost, Programmed, estimate_network
from pinat_compile.cost.tiles import mean_square_drive
from pinat_compile.errors import OptionError
from pinat_compile.graph import Matrix
from pinat_compile.physics import converters, crossbar
from pinat_compile.physics.limits import input_limit
from pinat_compile.physics.tiling import Tiling, blocks_from_weight, columns_per_block, tensor_of


def estimate(compiled: Compiled) -> NetworkCost:
    """Energy per layer, tile and component of one sample's inference; dynamic sizes as bound, else 1."""
    programmed = {name: _programmed(compiled, matrix) for name, matrix in compiled.graph.matrices.items()}
    return estimate_network(compiled.graph, compiled.target, shapes(compiled), programmed)


def shapes(compiled: Compiled) -> Callable[[str], tuple[int, ...] | None]:
    """The shape of each value for one sample; ``None`` where it is not known."""
    sizes = compiled.options.bind

    def shape_of(value: str) -> tuple[int, ...] | None:
        shape = compiled.graph.type_of(value).shape
        if shape is None or any(dim is None for dim in shape):
            return None
        return tuple(dim if isinstance(dim, int) else sizes.get(str(dim), 1) for dim in shape)

    return shape_of


def _programmed(compiled: Compiled, matrix: Matrix) -> Programmed:
    """Target conductances of ``matrix``, and how hard its calibration inputs drive it."""
    if matrix.cells is None or matrix.cut is None or matrix.ranges is None:
        raise OptionError(f"matrix {matrix.name!r}: has no plan yet", hint="estimate a compiled network")
    tensors = compiled.graph.tensors
    scale = columns_per_block(tensor_of(tensors[matrix.ranges.weight_scale]), matrix)
    steps = crossbar.parameters_from_weights(
        blocks_from_weight(tensor_of(tensors[matrix.weight]), matrix), scale, matrix.cells
    )
    state = crossbar.program(steps, matrix.cells, compiled.target.device, Tiling(matrix.cut), None)
    codes = tensor_of(compiled.calibration.matrices[matrix.name].vectors)
    dac = compiled.target.dac
    if matrix.ranges.dac_range is not None:
        limit = input_limit(dac)
        codes = converters.quantise(codes, tensor_of(tensors[matrix.ranges.dac_range]) / limit, -limit, limit)
    else:
        codes = codes / codes.abs().max().clamp(min=torch.finfo(codes.dtype).tiny)
    blocks, rows, _ = matrix.block_shape
    return Programmed(crossbar.targets_us(state), mean_square_drive(codes, dac).reshape(blocks, rows))
