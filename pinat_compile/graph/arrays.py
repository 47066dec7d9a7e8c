"""Which arrays a network's matrices stand on, and how much of each array is whose."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from pinat_compile.graph.graph import Graph
from pinat_compile.graph.matrix import Matrix

Numbers = npt.NDArray[np.int64]


def array_numbers(matrix: Matrix) -> Numbers:
    """The array of every tile [replica, row_tile, col_tile] as planned; `standing` says where it lies on a board."""
    cut = matrix.cut
    assert cut is not None and matrix.first_array is not None
    shape = matrix.replicas, cut.blocks * cut.row_tiles, cut.col_tiles
    if matrix.packed is not None:
        return np.array(matrix.packed.arrays, np.int64).reshape(shape)
    return matrix.first_array + np.arange(matrix.arrays, dtype=np.int64).reshape(shape)


def standing(matrix: Matrix) -> Numbers:
    """The board's array under every tile [replica, row_tile, col_tile]; one array may hold several in turn."""
    numbers = array_numbers(matrix)
    return numbers if matrix.capacity is None else numbers % matrix.capacity


def allocated(graph: Graph) -> list[Matrix]:
    """The matrices that have a place."""
    return [matrix for matrix in graph.matrices.values() if matrix.cut is not None and matrix.first_array is not None]


def count_arrays(graph: Graph) -> int:
    """Arrays that hold anything; what stands on one array in turn counts each time."""
    return len(_uses(allocated(graph)))


def owned_arrays(graph: Graph) -> dict[str, float]:
    """How many arrays each matrix owns; of an array that several tiles share, each owns an equal part."""
    matrices = allocated(graph)
    uses = _uses(matrices)
    if not any(matrix.packed is not None for matrix in matrices):
        return {matrix.name: float(matrix.arrays) for matrix in matrices}
    return {matrix.name: float((1.0 / uses[array_numbers(matrix).reshape(-1)]).sum()) for matrix in matrices}


class _Counts:
    """Tiles on each array, by number."""

    def __init__(self, numbers: Numbers) -> None:
        self.values, self.counts = np.unique(numbers, return_counts=True)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, numbers: Numbers) -> Numbers:
        found: Numbers = self.counts[np.searchsorted(self.values, numbers)]
        return found


def _uses(matrices: Iterable[Matrix]) -> _Counts:
    numbers = [array_numbers(matrix).reshape(-1) for matrix in matrices]
    return _Counts(np.concatenate(numbers) if numbers else np.zeros(0, np.int64))


def rounds(graph: Graph) -> int:
    """How many contents the array with most of them holds in turn; 1 where the network fits on the board."""
    matrices = allocated(graph)
    capacity = next((matrix.capacity for matrix in matrices if matrix.capacity is not None), None)
    return 1 if capacity is None else -(-_following(matrices) // capacity)


def reloaded(graph: Graph) -> dict[str, Numbers]:
    """By matrix: 1 for every tile [row_tile, col_tile] that is written anew in every inference, as its array holds
    others too, 0 for those that stay; empty where the network fits on the board."""
    matrices = allocated(graph)
    following = _following(matrices)
    return {
        matrix.name: (standing(matrix)[0] < following - matrix.capacity).astype(np.int64)
        for matrix in matrices
        if matrix.capacity is not None
    }


def _following(matrices: Iterable[Matrix]) -> int:
    """The number behind the last array."""
    return max((1 + int(array_numbers(matrix).max()) for matrix in matrices), default=0)
