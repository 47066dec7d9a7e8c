"""Schedules of small networks, worked out by hand."""

from typing import Any

import pytest

from pinat_compile.cost.buffers import fit, waiting
from pinat_compile.cost.timeline import timeline
from pinat_compile.graph import Graph
from pinat_compile.graph.sizes import sample_shapes
from pinat_compile.hardware.loader import load_target
from pinat_compile.hardware.schema import Target
from tests.mapping.planning import lowered, mapped
from tests.zoo import NETWORKS, Builder

QUIET = ["timing.latency_ns=0", "timing.hop_ns=0", "timing.digital_gops=none", "timing.buffer_gb_s=none",
         "timing.io_gb_s=none"]  # fmt: skip
"""Nothing takes time but arrays: 64 conversions at 1 GS/s, or the step of 10 ns, per product."""


def two_layers(rows: int = 8) -> Graph:
    """Two 3 x 3 convolutions of 4 and 6 channels on rows x 5, with a shortcut between."""
    b = Builder("two")
    x = b.conv(b.input("x", ["n", 4, rows, 5]), "a", (4, 4, 3, 3), pads=[1, 1, 1, 1])
    y = b.conv(x, "b", (4, 4, 3, 3), pads=[1, 1, 1, 1])
    return lowered(b.model(b.node("Add", x, y, name="s")))


def schedule(graph: Graph, *overrides: str) -> tuple[Graph, Target, Any]:
    target = load_target("reram_128x128", [*QUIET, *overrides])
    found, _ = mapped(graph, target)
    return found, target, timeline(found, target, sample_shapes(found))


PRODUCT_NS = 10.0
"""Four outputs: four conversions, shorter than the step."""


def test_a_layer_starts_when_its_input_is_complete() -> None:
    _, _, found = schedule(two_layers())
    a, b = found.slots["a"], found.slots["b"]
    assert (a.start_ns, a.end_ns) == (0.0, 40 * PRODUCT_NS)
    assert (b.start_ns, b.end_ns) == (a.end_ns, 80 * PRODUCT_NS)
    assert found.interval_ns == 40 * PRODUCT_NS and found.latency_ns == 80 * PRODUCT_NS


def test_by_rows_it_starts_with_its_first_window() -> None:
    """Two of eight rows: the third row of the first window is padding."""
    _, _, found = schedule(two_layers(), "layout.pipeline=rows")
    assert found.slots["b"].start_ns == 0.25 * 40 * PRODUCT_NS
    assert found.slots["b"].end_ns == 50 * PRODUCT_NS == found.latency_ns
    assert found.interval_ns == 40 * PRODUCT_NS


def test_one_sample_at_a_time() -> None:
    _, _, found = schedule(two_layers(), "layout.pipeline=off")
    assert found.interval_ns == found.latency_ns == 80 * PRODUCT_NS and found.bottleneck == "one sample at a time"


def test_copies_share_the_products() -> None:
    graph, _, found = schedule(two_layers(), "layout.replicate=throughput", "chip.tiles=1", "chip.cores_per_tile=1")
    assert sum(matrix.arrays for matrix in graph.matrices.values()) <= 8
    assert graph.matrices["a"].replicas == 4 and found.interval_ns == 10 * PRODUCT_NS


def test_conversions_that_take_longer_than_the_step() -> None:
    """One converter at 0.1 GS/s: four conversions take 40 ns."""
    _, _, found = schedule(two_layers(), "converter.rate_gs_s=0.1")
    assert found.interval_ns == 40 * 40.0


def test_bits_one_after_the_other_and_rows_in_groups() -> None:
    serial = ("dac.encoding=bit_serial", "dac.step_bits=1")
    assert schedule(two_layers(), *serial)[2].interval_ns == 40 * 8 * PRODUCT_NS
    assert schedule(two_layers(), "array.rows_on=18")[2].interval_ns == 40 * 2 * PRODUCT_NS  # 36 rows


def test_a_network_larger_than_the_board_does_not_overlap() -> None:
    """Two arrays on a board of one: both written in every inference, 128 rows of 5440 ns in each of two rounds."""
    small = ["chip.tiles=1", "chip.cores_per_tile=1", "chip.arrays_per_core=1"]
    _, target, found = schedule(two_layers(), *small)
    assert target.timing is not None
    assert found.reload_ns == 2 * 128 * 5440.0
    assert found.interval_ns == found.latency_ns == pytest.approx(80 * PRODUCT_NS + found.reload_ns)


def test_tiles_that_share_an_array_take_turns() -> None:
    _, _, found = schedule(two_layers(), "layout.pack=true")
    assert found.interval_ns == 80 * PRODUCT_NS and found.bottleneck.startswith("arrays of")


@pytest.mark.parametrize("name", ["residual", "transformer", "shared_weights", "conv_bn_chain"])
@pytest.mark.parametrize("pipeline", ["samples", "rows", "off"])
def test_nothing_starts_before_its_operands_and_the_bottleneck_bounds_all(name: str, pipeline: str) -> None:
    target = load_target("reram_128x128", [f"layout.pipeline={pipeline}"])
    graph, _ = mapped(lowered(NETWORKS[name]()), target)
    found = timeline(graph, target, sample_shapes(graph))
    assert found is not None
    makers = {value: node.name for node in graph.nodes for value in node.outputs}
    for node in graph.nodes:
        slot = found.slots[node.name]
        assert slot.end_ns - slot.start_ns >= slot.busy_ns - 1e-6
        for value in node.inputs:
            if value in makers:
                before = found.slots[makers[value]]
                assert before.start_ns <= slot.start_ns and before.end_ns <= slot.end_ns
    assert found.latency_ns >= found.interval_ns > 0.0


def test_the_more_overlaps_the_sooner() -> None:
    for name in ("residual", "conv_bn_chain"):
        graph = lowered(NETWORKS[name]())
        rows, samples, off = (
            schedule(graph, f"layout.pipeline={mode}")[2].latency_ns for mode in ("rows", "samples", "off")
        )
        assert rows < samples <= off, name


# --- buffers ---


def test_line_buffers_and_the_shortcut_that_waits() -> None:
    """8 rows x 5 x 4 bytes: two rows wait for b, and the sum waits with three more eighths of a map for b's rows."""
    graph, target, _ = schedule(two_layers(), "layout.pipeline=rows")
    found = {(part.node, part.operand): part for part in waiting(graph, target)}
    assert found["b", 0].bytes == 2 * 20 and not found["b", 0].skewed
    assert found["s", 0].skewed and found["s", 0].bytes == 3 * 20
    assert not found["s", 1].skewed and found["s", 1].bytes == 1 * 20


@pytest.mark.parametrize("name", ["residual", "transformer", "conv_bn_chain"])
def test_places_in_a_buffer_are_used_by_one_at_a_time(name: str) -> None:
    graph, target, _ = schedule(lowered(NETWORKS[name]()), "layout.pipeline=off")
    parts = [part for part in waiting(graph, target) if part.bytes]
    shared, apart = fit(parts, True), fit(parts, False)
    for one in parts:
        for other in parts:
            if one is other or one.home != other.home:
                continue
            for at, together in ((shared, one.begin_ns < other.end_ns and other.begin_ns < one.end_ns), (apart, True)):
                a, b = at[one.node, one.operand], at[other.node, other.operand]
                assert not together or a + one.bytes <= b or b + other.bytes <= a
    tops = [max(at[p.node, p.operand] + p.bytes for p in parts) for at in (shared, apart)]
    assert tops[0] <= tops[1]
