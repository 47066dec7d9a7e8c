"""The text form: every graph reads back equal; what is not understood is told with its line."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinat_compile.errors import GraphError
from pinat_compile.graph import Cells, Cut, Graph, Matrix, Node, Placement, Ranges, Store, TensorType, dump, parse
from pinat_compile.graph.ops.activation import Elu, Relu
from pinat_compile.graph.ops.array import ArrayMvm
from tests.graph.graphs import assert_equal, graphs

EXAMPLE = '''graph "net"
  input %x: float32[batch, 3, ?, "2 * n"]
  input %"a \\u00fc": float64[*]
  output %y
  output %x
  tensor %w: float32[4, 3]
  tensor %axes: int64[2] = [1, -2]
  tensor %flag: bool[] = true
  tensor %none: int64[0] = []
  matrix @fc weight="w" view="out_in" rows=3 cols=4 first_array=0
    cells scheme="bias" weight_max=7 cell_max=3 slice_bits=[2, 2] flip=true
    cut blocks=1 row_cuts=[0, 3] col_cuts=[0, 2, 4]
    ranges weight_scale="s" dac_range="d"
  node "fc" %h: float32[batch, 4] = ArrayMvm(%x, %g, %b) matrix="fc"
    analog "constant \\"weights\\""
  node "clip" %y: float32[batch, 4], _ = LeakyRelu(%h, _, %b) alpha=-inf
    digital "no weights"
    region "then"
      input %i: float32[]
      output %o
      node "inner" %o: float32[*] = Relu(%i)
        region "deeper"
          output %i
    region "else"
      output %h
'''


def example() -> Graph:
    return parse(EXAMPLE, {"w": np.ones((4, 3), np.float32)})


def test_the_example_reads_back_letter_by_letter() -> None:
    assert dump(example()) == EXAMPLE


def test_what_the_example_says() -> None:
    graph = example()
    assert graph.types["x"] == TensorType("float32", ("batch", 3, None, "2 * n"))
    assert graph.types["a ü"] == TensorType("float64", None)
    assert graph.tensors["axes"].tolist() == [1, -2] and graph.tensors["axes"].dtype == np.int64
    assert graph.tensors["flag"].shape == () and bool(graph.tensors["flag"])
    assert graph.tensors["none"].shape == (0,)
    assert graph.matrices["fc"] == Matrix(
        "fc", "w", "out_in", 3, 4, first_array=0, cells=Cells("bias", 7, 3, (2, 2), flip=True),
        cut=Cut(1, (0, 3), (0, 2, 4)), ranges=Ranges("s", "d"),
    )
    clip = graph.node("clip")
    assert clip.inputs == ("h", "", "b") and clip.outputs == ("y", "")
    assert clip.placement == Placement("digital", "no weights")
    then, other = clip.regions
    assert then.node("inner").regions[0].outputs == ("i",)
    assert other.outputs == ("h",) and then.store is graph.store


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_any_graph_reads_back_equal(graph: Graph) -> None:
    text = dump(graph)
    again = parse(text, graph.tensors)
    assert_equal(again, graph)
    assert dump(again) == text


@settings(max_examples=100, deadline=None)
@given(graphs())
def test_with_floats_written_out_the_text_holds_everything(graph: Graph) -> None:
    small = [tensor for tensor in graph.tensors.values() if tensor.size > 16]
    if not small:
        assert_equal(parse(dump(graph, inline_floats=16)), graph)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_text_is_a_graph_error_and_nothing_else(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(EXAMPLE)))
    stop = data.draw(st.integers(start, min(start + 20, len(EXAMPLE))))
    junk = data.draw(st.text(alphabet='%@[]()=,:"\\\n x1?*_-.', max_size=6))
    try:
        parse(EXAMPLE[:start] + junk + EXAMPLE[stop:], {"w": np.ones((4, 3), np.float32)})
    except GraphError as error:
        assert error.message


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e30, 1e-45, -0.0, float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floats_keep_every_bit(value: float, dtype: str) -> None:
    graph = Graph("g", [], ["t"], store=Store({"t": np.array([value], dtype)}))
    again = parse(dump(graph, inline_floats=1)).tensors["t"]
    assert again.tobytes() == graph.tensors["t"].tobytes()


def test_large_integer_tensors_stand_elsewhere() -> None:
    graph = Graph("g", [], ["t"], store=Store({"t": np.arange(17)}))
    assert "=" not in dump(graph)
    assert_equal(parse(dump(graph), graph.tensors), graph)


def test_contents_may_come_from_a_function() -> None:
    graph = parse('graph "g"\n  tensor %w: float32[2, 3]\n', lambda name, kind: np.zeros((2, 3), np.float32))
    assert graph.tensors["w"].shape == (2, 3)


@pytest.mark.parametrize(("text", "message"), [
    ("", "expected 'graph \"name\"' on the first line"),
    ("hello", "expected 'graph \"name\"' on the first line"),
    ('graph\n', "line 1: expected string, found the end of the line"),
    ('graph "g"\n  input x: float32[]\n', "line 2: expected name, found x"),
    ('graph "g"\n  input %x float32[]\n', "line 2: expected ':', found float32"),
    ('graph "g"\n  input %x: float32[1 2]\n', "line 2: expected ',', found 2"),
    ('graph "g"\n\n  magic %x\n', "line 3: expected input, output, tensor, matrix or node, found magic"),
    ('graph "g"\n  output %y %z\n', "line 2: expected the end of the line, found %z"),
    ('graph "g"\n  output %y\n      output %z\n', "line 3: indented too far"),
    ('graph "g"\n  input %x: float32[~]\n', "line 2: cannot read '~]'"),
    ('graph "g"\n  tensor %w: float32[2]\n', "line 2: no contents for tensor 'w'"),
    ('graph "g"\n  tensor %w: int64[3] = [1, 2]\n', "line 2: tensor 'w'"),
    ('graph "g"\n  tensor %w: int65[1] = [1]\n', "line 2: tensor 'w'"),
    ('graph "g"\n  tensor %w: int64[n] = [1]\n', "line 2: tensor 'w'"),
    ('graph "g"\n  node "a" %y = Magic(%x)\n', "line 2: unknown operation 'Magic'"),
    ('graph "g"\n  node "a" %y = Relu(%x) slope=1\n', "line 2: "),
    ('graph "g"\n  node "a" %y = Relu(%x\n', "line 2: expected ',', found the end of the line"),
    ('graph "g"\n  node "a" %y = Relu(%x)\n    beside "x"\n', "line 3: expected analog, digital or region"),
    ('graph "g"\n  node "a\\q" %y = Relu(%x)\n', "line 2: not a string"),
    ('graph "g"\n  matrix @m weight="w"\n', "line 2: "),
    ('graph "g"\n  matrix @m weight="w" view="out_in" rows=1 cols=1\n    colour x=1\n', "line 3: a matrix has no part"),
    ('graph "g"\n  node "a" %y = Relu(%x)\n  node "a" %z = Relu(%x)\n', "two nodes named 'a'"),
])
def test_errors_name_the_line(text: str, message: str) -> None:
    with pytest.raises(GraphError) as caught:
        parse(text)
    assert message in caught.value.message


def test_contents_of_another_shape_are_named() -> None:
    text = 'graph "g"\n  tensor %w: float32[2]\n'
    with pytest.raises(GraphError, match=r"'w': the graph says float32\[2\], the contents are float64\[3\]"):
        parse(text, {"w": np.zeros(3)})


def test_attributes_at_their_default_are_left_out() -> None:
    nodes = [Node("r", Relu(), ("x",), ("y",)), Node("c", Elu(), ("y",), ("z",)),
             Node("m", ArrayMvm("w"), ("z", "g", "b"), ("o",))]
    lines = dump(Graph("g", ["x"], ["o"], nodes=nodes)).splitlines()
    assert lines[3].endswith("= Relu(%x)") and lines[4].endswith("= Elu(%y)") and lines[5].endswith(' matrix="w"')


def test_minus_zero_is_not_the_default() -> None:
    """-0.0 == 0.0, but it is another number, and stays one."""
    text = 'graph "g"\n  input %x: float32[2]\n  output %y\n  node "s" %y = Shrink(%x) bias=-0.0\n'
    graph = parse(text, {})
    assert "bias=-0.0" in dump(graph)
    assert math.copysign(1.0, getattr(graph.node("s").op, "bias")) == -1.0  # noqa: B009
