"""Give slow layers copies of their matrices, as far as the board has arrays to spare."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pinat_compile.cost.timing import product_ns
from pinat_compile.cost.work import works
from pinat_compile.graph import Graph
from pinat_compile.graph.sizes import sample_shapes
from pinat_compile.hardware.schema import Target
from pinat_compile.passes.base import Pass


@dataclass(frozen=True, slots=True)
class Demand:
    """What a matrix does per sample: ``products``, each of ``each_ns``, on ``tiles`` arrays per copy."""

    products: int
    each_ns: float
    tiles: int

    def time(self, copies: int) -> float:
        """How long its arrays work, the products shared evenly."""
        return -(-self.products // copies) * self.each_ns

    def copies_for(self, time: float) -> int:
        """The fewest copies with which it is done within ``time``, which holds at least one product."""
        return max(1, -(-self.products // math.floor(time / self.each_ns * (1 + 1e-12))))


Copies = dict[str, int]


@dataclass(frozen=True)
class ReplicateMatrices(Pass):
    """Copy matrices within the board's arrays, where ``layout.replicate`` asks for it.

        @conv1 8 arrays, 12,544 products; @fc 252 arrays, 1 product     ==>     @conv1 replicas=191

    A copy takes an equal share of its layer's products. Never more arrays than the board has.

    1. throughput: the slowest matrix becomes as fast as it can be, each with the fewest copies that this takes.
    2. latency: the sum of all times becomes small: again and again the copies that save most time per array.
    3. The network does not fit on the board even once, or ``layout.replicate`` is not given: no copies.
    4. A matrix of which no products are known (its shapes are not) has one copy; one with fewer products than copies
       would do has one for each product at most.
    """

    name: ClassVar[str] = "replicate-matrices"
    preserves_values: ClassVar[bool] = False
    target: Target

    def run(self, graph: Graph) -> Graph:
        graph = graph.copy()
        mode, chip = self.target.layout.replicate, self.target.chip
        if mode is None or chip is None:  # 3
            return graph
        needed = demands(graph, self.target)
        spare = chip.capacity - sum(matrix.tiles for matrix in graph.matrices.values())
        if spare <= 0 or not needed:  # 3, 4
            return graph
        copies = fastest(needed, spare) if mode == "throughput" else shortest(needed, spare)  # 1, 2
        for name, count in copies.items():
            graph.matrices[name] = graph.matrices[name].with_plan(replicas=count)
        return graph

    def gain(self, before: Graph, after: Graph) -> str:
        needed = demands(after, self.target)
        copies = {name: after.matrices[name].replicas for name in needed}
        if max(copies.values(), default=1) == 1:
            return ""
        arrays = sum(matrix.arrays for matrix in after.matrices.values())
        once = sum(matrix.tiles for matrix in after.matrices.values())
        times = {name: demand.time(copies[name]) for name, demand in needed.items()}
        slowest = max(times, key=times.__getitem__)
        most = max(demand.time(1) for demand in needed.values())
        products = -(-needed[slowest].products // copies[slowest])
        return (
            f"{arrays:,} arrays instead of {once:,}; the slowest matrix works {most / times[slowest]:,.1f} times "
            f"shorter ({products:,} products), all together {_sum_once(needed) / sum(times.values()):,.1f} times"
        )


def _sum_once(needed: Mapping[str, Demand]) -> float:
    return sum(demand.time(1) for demand in needed.values())


def demands(graph: Graph, target: Target) -> dict[str, Demand]:
    """What every matrix with known products does; where the target gives no times, a product takes 1."""
    products: dict[str, int] = {}
    for work in works(graph, target, sample_shapes(graph)):
        if work.matrix is not None and work.mvms:
            products[work.matrix] = products.get(work.matrix, 0) + work.mvms
    matrices = {name: graph.matrices[name] for name in products}
    return {
        name: Demand(products[name], product_ns(target, matrix) or 1.0, matrix.tiles)
        for name, matrix in matrices.items()
    }


def fastest(needed: Mapping[str, Demand], spare: int) -> Copies:
    """Copies, in ``spare`` arrays beyond the first ones, for which the largest time is least."""

    def copies(time: float) -> Copies:
        return {name: demand.copies_for(time) for name, demand in needed.items()}

    def fits(time: float) -> bool:
        return sum((count - 1) * needed[name].tiles for name, count in copies(time).items()) <= spare

    shortest_time = max(demand.each_ns for demand in needed.values())
    steps = sorted({
        count * demand.each_ns
        for demand in needed.values()
        for count in range(1, demand.products + 1)
        if count * demand.each_ns >= shortest_time
    })  # fmt: skip
    low, high = 0, len(steps) - 1  # with the largest, every matrix needs one copy
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(steps[middle]) else (middle + 1, high)
    return copies(steps[low])


def shortest(needed: Mapping[str, Demand], spare: int) -> Copies:
    """Copies, in ``spare`` arrays beyond the first ones, that make the sum of the times small (greedily)."""
    copies = dict.fromkeys(needed, 1)
    waiting = [offer for name in needed if (offer := _offer(name, needed[name], 1)) is not None]
    heapq.heapify(waiting)
    while waiting:
        _, name, count = heapq.heappop(waiting)
        arrays = (count - copies[name]) * needed[name].tiles
        if arrays > spare:
            continue
        spare -= arrays
        copies[name] = count
        if (offer := _offer(name, needed[name], count)) is not None:
            heapq.heappush(waiting, offer)
    return copies


def _offer(name: str, demand: Demand, copies: int) -> tuple[float, str, int] | None:
    """The next number of copies that saves time: (minus time saved per array, name, copies)."""
    rounds = -(-demand.products // copies)
    if rounds == 1:
        return None
    more = -(-demand.products // (rounds - 1))
    saved = demand.time(copies) - demand.time(more)
    return -saved / ((more - copies) * demand.tiles), name, more
