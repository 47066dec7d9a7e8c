"""Copies of layers: never more arrays than the board has, and as fast as exhaustive search finds."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinat_compile.cost.timeline import timeline
from pinat_compile.graph.sizes import sample_shapes
from pinat_compile.hardware.loader import load_target
from pinat_compile.passes.replicate_matrices import Demand, demands, fastest, shortest
from tests.mapping.planning import lowered, mapped
from tests.zoo import resnet18_imagenet

NETWORKS = st.lists(st.builds(Demand, st.integers(1, 12), st.sampled_from([1.0, 2.5]), st.integers(1, 4)), min_size=1,
                    max_size=3)  # fmt: skip


def test_resnet18_on_one_isaac_chip() -> None:
    """The optimum of capacity-bounded integer replication is 66 windows with 15,956 arrays; one copy takes 12,544."""
    target = load_target("isaac", ["layout.replicate=throughput"])
    graph, records = mapped(lowered(resnet18_imagenet()), target)
    needed = demands(graph, target)
    windows = {name: -(-demand.products // graph.matrices[name].replicas) for name, demand in needed.items()}
    arrays = sum(matrix.arrays for matrix in graph.matrices.values())
    assert max(windows.values()) == 66 and arrays == 15_956 <= 16_128
    assert max(demand.products for demand in needed.values()) == 12_544
    one_less = sum(-(-demand.products // 65) * demand.tiles for demand in needed.values())
    assert one_less > 16_128
    [gain] = [record.gain for record in records if record.name == "replicate-matrices"]
    found = timeline(graph, target, sample_shapes(graph))
    assert found is not None and found.bottleneck.startswith("arrays of")
    assert found.interval_ns == pytest.approx(66 * 16 * 100.0)  # 16 bits, 100 ns each
    assert gain.startswith("15,956 arrays instead of 5,724; the slowest matrix works 190.1 times shorter (66 products)")


@settings(max_examples=60, deadline=None)
@given(NETWORKS, st.integers(0, 20))
def test_fastest_is_optimal(network: list[Demand], spare: int) -> None:
    needed = {str(index): demand for index, demand in enumerate(network)}
    copies = fastest(needed, spare)
    assert sum((count - 1) * needed[name].tiles for name, count in copies.items()) <= spare
    best = min(
        max(demand.time(count) for demand, count in zip(network, counts, strict=True))
        for counts in product(*(range(1, demand.products + 1) for demand in network))
        if sum((count - 1) * demand.tiles for demand, count in zip(network, counts, strict=True)) <= spare
    )
    assert max(needed[name].time(count) for name, count in copies.items()) == pytest.approx(best)


@settings(max_examples=60, deadline=None)
@given(NETWORKS, st.integers(0, 20))
def test_shortest_fits_and_never_hurts(network: list[Demand], spare: int) -> None:
    needed = {str(index): demand for index, demand in enumerate(network)}
    copies = shortest(needed, spare)
    assert sum((count - 1) * needed[name].tiles for name, count in copies.items()) <= spare
    assert all(1 <= copies[name] <= demand.products for name, demand in needed.items())
    if any(demand.products > 1 and demand.tiles <= spare for demand in network):
        assert sum(needed[name].time(count) for name, count in copies.items()) < sum(d.time(1) for d in network)


def test_modes_trade_interval_for_latency() -> None:
    graph = lowered(resnet18_imagenet())
    total, slowest = {}, {}
    for mode in ("throughput", "latency"):
        target = load_target("isaac", [f"layout.replicate={mode}"])
        found, _ = mapped(graph, target)
        times = [demand.time(found.matrices[name].replicas) for name, demand in demands(found, target).items()]
        total[mode], slowest[mode] = sum(times), max(times)
    assert total["latency"] < total["throughput"] and slowest["throughput"] < slowest["latency"]
