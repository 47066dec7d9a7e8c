"""Let layers that talk to each other stand close on the chip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import networkx as nx
import numpy as np
import numpy.typing as npt
from networkx.utils import reverse_cuthill_mckee_ordering

from pinat_compile.cost.traffic import places, transfers
from pinat_compile.graph import Graph
from pinat_compile.graph.arrays import count_arrays
from pinat_compile.graph.sizes import sample_shapes
from pinat_compile.hardware.chip import ChipSection
from pinat_compile.hardware.schema import Target
from pinat_compile.passes.base import Pass

Numbers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

TRIALS = 10_000
"""Exchanges that are tried at most."""


@dataclass(frozen=True)
class PlaceMatrices(Pass):
    """Renumber the arrays so that bytes travel fewer hops, where ``layout.place`` asks for it.

        @a, @b, @c in this order, @a feeds @c     ==>     @a, @c, @b

    Matrices stand one after the other along the line of tiles (see `pinat_compile.cost.traffic`); decided is in which
    order. What counts is bytes x hops of all values that one matrix's tiles take from another's, or from outside.

    1. Start with the better of two orders: that of the network, and the reverse Cuthill-McKee order of its traffic.
    2. Exchange two matrices wherever that makes it less, until no exchange does (or `TRIALS` are made).
    3. ``layout.place`` is off, or the network is larger than the board, whose rounds follow its order: nothing changes.
    """

    name: ClassVar[str] = "place-matrices"
    preserves_values: ClassVar[bool] = False
    target: Target

    def run(self, graph: Graph) -> Graph:
        graph = graph.copy()
        chip = self.target.chip
        if chip is None or not self.target.layout.place or count_arrays(graph) > chip.capacity:  # 3
            return graph
        traffic = Traffic.of(graph, self.target, chip)
        if len(traffic.names) < 2:
            return graph
        order = traffic.exchanged(min(traffic.starts(), key=traffic.hop_bytes))  # 1, 2
        following = 0
        for index in order:
            name = traffic.names[index]
            graph.matrices[name] = graph.matrices[name].with_plan(first_array=following)
            following += graph.matrices[name].arrays
        return graph

    def gain(self, before: Graph, after: Graph) -> str:
        chip = self.target.chip
        if chip is None or not self.target.layout.place or count_arrays(after) > chip.capacity:
            return ""
        was, now = (Traffic.of(graph, self.target, chip) for graph in (before, after))
        old, new = (traffic.hop_bytes(traffic.order) for traffic in (was, now))
        return f"{new:,.0f} bytes x hops per sample instead of {old:,.0f}" if new < old else "no better order found"


@dataclass(frozen=True)
class Traffic:
    """Who sends how much to whom. Ends of the ``edges`` [edges, 2] are indices of ``names``, -1 the outside."""

    chip: ChipSection
    names: tuple[str, ...]
    arrays: Numbers
    order: tuple[int, ...]
    edges: Numbers
    bytes: Floats

    @staticmethod
    def of(graph: Graph, target: Target, chip: ChipSection) -> Traffic:
        names = tuple(graph.matrices)
        index = {name: number for number, name in enumerate(names)}
        found = [t for t in transfers(graph, target, sample_shapes(graph)) if t.writer != t.reader]
        ends = [[-1 if home is None else index[home] for home in (t.writer, t.reader)] for t in found]
        first = [graph.matrices[name].first_array or 0 for name in names]
        return Traffic(
            chip,
            names,
            np.array([graph.matrices[name].arrays for name in names], np.int64),
            tuple(int(i) for i in np.argsort(first, kind="stable")),
            np.array(ends, np.int64).reshape(-1, 2),
            np.array([t.bytes for t in found]),
        )

    def starts(self) -> list[tuple[int, ...]]:
        """Orders to begin with."""
        links: nx.Graph[int] = nx.Graph()
        links.add_nodes_from(range(len(self.names)))
        links.add_edges_from((int(a), int(b)) for a, b in self.edges if a >= 0 and b >= 0)
        return [self.order, tuple(reverse_cuthill_mckee_ordering(links))]

    def hop_bytes(self, order: Sequence[int]) -> float:
        """Bytes times hops between the middles of the matrices' tiles, if they stand in this order."""
        at = np.array(order)
        ends = np.cumsum(self.arrays[at]) - 1
        first, last = (ends - self.arrays[at] + 1) // self.chip.arrays_per_tile, ends // self.chip.arrays_per_tile
        number, x, y = places(self.chip, np.stack([first, last]))
        middle = np.zeros((3, len(at) + 1))  # the last one, also -1, is outside: the corner of the first chip
        middle[:, at] = np.stack([number, x, y]).mean(axis=1)
        a, b = middle[:, self.edges[:, 0]], middle[:, self.edges[:, 1]]
        near = np.abs(a[1:] - b[1:]).sum(axis=0)
        through = a[1:].sum(axis=0) + b[1:].sum(axis=0)
        return float((self.bytes * np.where(np.abs(a[0] - b[0]) < 0.5, near, through)).sum())

    def exchanged(self, start: Sequence[int]) -> tuple[int, ...]:
        """The order after exchanges of two matrices that each make it less."""
        order, best, trials = list(start), self.hop_bytes(start), 0
        while trials < TRIALS:
            before = best
            for i, j in combinations(range(len(order)), 2):
                order[i], order[j] = order[j], order[i]
                found, trials = self.hop_bytes(order), trials + 1
                if found < best * (1 - 1e-12):
                    best = found
                else:
                    order[i], order[j] = order[j], order[i]
                if trials == TRIALS:
                    break
            if best == before:
                break
        return tuple(order)
