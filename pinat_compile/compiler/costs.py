"""``estimate``: what a compiled network costs, from its conductances and its measured inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import torch

from pinat_compile.compiler.compiled import Compiled
from pinat_compile.cost.estimate import NetworkCost, Programmed, estimate_network
from pinat_compile.cost.tiles import mean_square_drive
from pinat_compile.errors import OptionError
from pinat_compile.frontend.calibration import spread
from pinat_compile.graph import Matrix
from pinat_compile.graph.sizes import sample_shapes
from pinat_compile.physics import converters, crossbar
from pinat_compile.physics.limits import input_limit
from pinat_compile.physics.tiling import blocks_from_weight, columns_per_block, tensor_of

VECTORS = 1024
"""Input vectors of a matrix, of those that calibration kept, whose power is averaged."""


def estimate(compiled: Compiled, *, reads: int = 1) -> NetworkCost:
    """Energy per layer, tile and component of one sample's inference; dynamic sizes as bound, else 1.

    ``reads``: each product on arrays is read so often, and averaged.
    """
    return estimate_network(compiled.graph, compiled.target, sample_shapes(compiled.graph), _OnDemand(compiled), reads)


def costed_sizes(compiled: Compiled) -> dict[str, int]:
    """The dimensions that were left open, and the size that they are costed at."""
    shapes_of_inputs = (compiled.graph.type_of(name).shape or () for name in compiled.graph.inputs)
    return {dim: 1 for shape in shapes_of_inputs for dim in shape if isinstance(dim, str)}


class _OnDemand(Mapping[str, Programmed]):
    """Matrix by matrix, so that the conductances of a whole network never lie in memory together."""

    def __init__(self, compiled: Compiled) -> None:
        self.compiled = compiled

    def __getitem__(self, name: str) -> Programmed:
        return _programmed(self.compiled, self.compiled.graph.matrices[name])

    def __contains__(self, name: object) -> bool:
        return name in self.compiled.graph.matrices

    def __iter__(self) -> Iterator[str]:
        return iter(self.compiled.graph.matrices)

    def __len__(self) -> int:
        return len(self.compiled.graph.matrices)


def _programmed(compiled: Compiled, matrix: Matrix) -> Programmed:
    """Target conductances of ``matrix``, piece by piece, and how hard its calibration inputs drive it; or, on optics,
    what its parts are set to.
    """
    if matrix.cells is None or matrix.cut is None or matrix.ranges is None:
        raise OptionError(f"matrix {matrix.name!r}: has no plan yet", hint="estimate a compiled network")
    tensors = compiled.graph.tensors
    if matrix.ranges.parameters is not None:
        return Programmed((), torch.zeros(0), parameters=tensor_of(tensors[matrix.ranges.parameters]))
    weights = blocks_from_weight(tensor_of(tensors[matrix.weight]), matrix)
    scale = columns_per_block(tensor_of(tensors[matrix.ranges.weight_scale]), matrix)
    pieces = partial(crossbar.ideal_pieces, weights, scale, matrix.cells, compiled.target.device, matrix.cut)
    codes = tensor_of(spread(compiled.calibration.matrices[matrix.name].vectors, VECTORS))
    dac = compiled.target.dac
    if matrix.ranges.dac_range is not None:
        limit = input_limit(dac)
        codes = converters.quantise(codes, tensor_of(tensors[matrix.ranges.dac_range]) / limit, -limit, limit)
    else:
        codes = codes / codes.abs().max().clamp(min=torch.finfo(codes.dtype).tiny)
    blocks, rows, _ = matrix.block_shape
    references = (crossbar.targets_us(s.reference)[0] for _, _, s in pieces() if s.reference is not None)
    return Programmed(
        conductance_us=(crossbar.targets_us(state)[0] for _, _, state in pieces()),
        drive=mean_square_drive(codes, dac).reshape(blocks, rows),
        reference_us=references if matrix.cells.scheme == "offset" else None,
    )
