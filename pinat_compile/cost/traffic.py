"""What moves between tiles, and how far.

Tiles of a chip form a mesh, numbered along a line that turns at every edge, so that neighbours in number are neighbours
in place; chips stand in a line, each reached through the corner of tile 0. A hop is a step in the mesh. A digital
operator runs in the tiles of the array layer whose result it reads first; before any, where the data come in.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pinat_compile.cost.work import Work, bytes_per_value
from pinat_compile.graph.arrays import standing
from pinat_compile.graph.graph import Graph, Node, reads
from pinat_compile.graph.matrix import Matrix
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.graph.sizes import ShapeOf
from pinat_compile.hardware.chip import ChipSection
from pinat_compile.hardware.schema import Target

Numbers = npt.NDArray[np.int64]
Home = str | None
"""The matrix in whose tiles a node runs; None where the data come in."""

PARTIAL_BYTES = 4
"""Of a partial sum on its way to the tile where it is added."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """``bytes`` per sample that ``reader`` takes from where ``writer`` made them."""

    value: str
    writer: Home
    reader: Home
    node: str
    bytes: float


@dataclass(frozen=True, slots=True)
class Moved:
    """Per sample: bytes times hops between tiles, and bytes over the edge of a chip."""

    hop_bytes: float = 0.0
    io_bytes: float = 0.0
    hops: float = 0.0

    def __add__(self, other: Moved) -> Moved:
        return Moved(self.hop_bytes + other.hop_bytes, self.io_bytes + other.io_bytes, max(self.hops, other.hops))


def homes(graph: Graph) -> dict[str, Home]:
    """Where every node runs."""
    found: dict[str, Home] = {}
    made: dict[str, Home] = {}
    for _, node in graph.walk():
        home = node.op.matrix if isinstance(node.op, ArrayMvm) else _first_home(node, made)
        found[node.name] = home
        made.update(dict.fromkeys(node.outputs, home))
    return found


def _first_home(node: Node, made: Mapping[str, Home]) -> Home:
    return next((home for name in reads(node) if (home := made.get(name)) is not None), None)


def transfers(graph: Graph, target: Target, shape_of: ShapeOf) -> Iterator[Transfer]:
    """Every value that one node takes from another's tiles, from the outside, or gives to it."""
    where = homes(graph)
    each = bytes_per_value(target)
    made: dict[str, Home] = {}
    for _, node in graph.walk():
        for name in reads(node):
            shape = shape_of(name)
            if not graph.is_constant(name) and shape is not None:
                yield Transfer(name, made.get(name), where[node.name], node.name, math.prod(shape) * each)
        made.update(dict.fromkeys(node.outputs, where[node.name]))
    for name in graph.outputs:
        shape, last = shape_of(name), graph.producer(name)
        if shape is not None and last is not None:
            yield Transfer(name, where[last.name], None, last.name, math.prod(shape) * each)


# --- distances ---


def places(chip: ChipSection, tiles: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Chip, column and row of every tile of the board."""
    number, inside = np.divmod(tiles, chip.tiles)
    y, x = np.divmod(inside, chip.mesh_width)
    return number, np.where(y % 2 == 0, x, chip.mesh_width - 1 - x), y


def tiles_of(chip: ChipSection, matrix: Matrix) -> Numbers:
    """The tiles on which a matrix stands, each once."""
    return np.unique(standing(matrix) // chip.arrays_per_tile)


@dataclass(frozen=True, slots=True)
class Distances:
    """Between the middles of matrices (of their first and last tile), in hops, and in chips crossed."""

    chip: ChipSection
    middle: Mapping[str, tuple[float, ...]]
    spread: Mapping[str, int]

    @staticmethod
    def of(chip: ChipSection, matrices: Mapping[str, Matrix]) -> Distances:
        found = {name: tiles_of(chip, matrix) for name, matrix in matrices.items()}
        middle = {
            name: tuple(float(axis.mean()) for axis in places(chip, tiles[[0, -1]])) for name, tiles in found.items()
        }
        return Distances(chip, middle, {name: len(tiles) for name, tiles in found.items()})

    def move(self, transfer: Transfer) -> Moved:
        """What a transfer costs: the way between the middles, then once along the tiles that need the value."""
        if transfer.writer == transfer.reader:
            return Moved()
        (a, ax, ay), (b, bx, by) = self._at(transfer.writer), self._at(transfer.reader)
        outside = transfer.writer is None or transfer.reader is None
        same = abs(a - b) < 0.5 and not outside
        hops = abs(ax - bx) + abs(ay - by) if same else ax + ay + bx + by
        further = 0 if transfer.reader is None else self.spread[transfer.reader] - 1
        crossed = transfer.bytes * (max(round(abs(a - b)), 1 if outside else 0))
        return Moved(transfer.bytes * (hops + further), crossed, hops)

    def _at(self, home: Home) -> tuple[float, ...]:
        return (0.0, 0.0, 0.0) if home is None else self.middle[home]


def partial_sums(chip: ChipSection, matrix: Matrix, mvms: float) -> Moved:
    """Sums of row tiles that stand on other tiles than the first one, where they are added."""
    cut = matrix.cut
    assert cut is not None
    if cut.row_tiles == 1:
        return Moved()
    shape = matrix.replicas, cut.blocks, cut.row_tiles, cut.col_tiles
    tiles = (standing(matrix) // chip.arrays_per_tile).reshape(shape)
    number, x, y = places(chip, tiles)
    hops = sum(np.abs(axis - axis[:, :, :1]) for axis in (x, y))
    other = number != number[:, :, :1]
    sizes = np.array(cut.tile_cols, np.float64) * PARTIAL_BYTES * mvms / matrix.replicas
    return Moved(float((hops * ~other * sizes).sum()), float((other * sizes).sum()))


def moved_by(graph: Graph, target: Target, shape_of: ShapeOf, works: Mapping[str, Work]) -> dict[str, Moved]:
    """What every node moves, by its name; empty where the target has no [chip]."""
    if target.chip is None:
        return {}
    distances = Distances.of(target.chip, graph.matrices)
    found: dict[str, Moved] = {}
    for transfer in transfers(graph, target, shape_of):
        found[transfer.node] = found.get(transfer.node, Moved()) + distances.move(transfer)
    for name, work in works.items():
        if work.matrix is not None and work.mvms is not None:
            moved = partial_sums(target.chip, graph.matrices[work.matrix], work.mvms)
            found[name] = found.get(name, Moved()) + moved
    return found


