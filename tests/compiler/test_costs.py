"""Costs are of one sample, whatever batch a network was exported for; what was assumed is said."""

from __future__ import annotations

import pytest

from pinat_compile.compiler.build import compile
from pinat_compile.compiler.costs import estimate
from pinat_compile.compiler.summary import report_document
from tests.zoo import Builder, Shape


def network(batch: int | str, *middle: int | str) -> Builder:
    builder = Builder("mlp")
    shape: Shape = [batch, *middle, 8]
    x = builder.node("Relu", builder.input("x", shape), name="relu")
    builder.node("MatMul", x, builder.random("w", 8, 4), name="fc")
    return builder


@pytest.mark.parametrize("batch", [1, 8])
def test_a_fixed_batch_counts_once(batch: int) -> None:
    free = estimate(compile(network("n").model("fc.out"), "reram_128x128"))
    fixed = estimate(compile(network(batch).model("fc.out"), "reram_128x128"))
    assert fixed.macs == free.macs == 32
    assert [layer.cost.digital for layer in fixed.layers] == [layer.cost.digital for layer in free.layers]


def test_open_sizes_are_said() -> None:
    document = report_document(compile(network("n", "length").model("fc.out"), "reram_128x128"))
    assert document["costed_sizes"] == {"n": 1, "length": 1}
    bound = compile(network("n", "length").model("fc.out"), "reram_128x128", bind={"length": 6})
    assert report_document(bound)["costed_sizes"] == {"n": 1} and report_document(bound)["totals"]["ops"] == 2 * 6 * 32
