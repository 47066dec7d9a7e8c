"""Editing a graph: order, readers and names stay right, in regions too, and copies are independent."""

from __future__ import annotations

import pytest

from pinat_compile.errors import GraphError
from pinat_compile.graph import Graph, Node, dump, parse, verify
from pinat_compile.graph.graph import reads
from pinat_compile.graph.ops.activation import Relu
from pinat_compile.graph.ops.shape import Identity

CHAIN = '''graph "chain"
  input %x: float32[n]
  output %c
  tensor %t: int64[1] = [1]
  node "a" %a: float32[*] = Relu(%x)
  node "b" %b: float32[*] = Relu(%a)
  node "c" %c: float32[*] = Relu(%b)
'''

NESTED = '''graph "nested"
  input %x: float32[n]
  output %y
  tensor %t: int64[1] = [1]
  node "a" %a: float32[*] = Relu(%x)
  node "if" %y: float32[*] = Identity(%x)
    region "then"
      input %i: float32[*]
      output %inner
      node "b" %b: float32[*] = Relu(%a)
      node "loop" %inner: float32[*] = Identity(%b)
        region "body"
          output %a
          output %t
    region "else"
      output %x
'''


def relu(name: str, x: str, y: str) -> Node:
    return Node(name, Relu(), (x,), (y,))


def names(graph: Graph) -> list[str]:
    return [node.name for node in graph.nodes]


def test_nodes_come_after_what_they_read_and_else_in_the_order_added() -> None:
    graph = Graph("g", ["x"], ["z"], nodes=[relu("2", "1", "2"), relu("z", "x", "z"), relu("1", "x", "1")])
    assert names(graph) == ["z", "1", "2"]
    graph.add(relu("0", "x", "0"))
    assert names(graph) == ["z", "1", "2", "0"]


def test_a_cycle_is_named() -> None:
    graph = Graph("g", ["x"], ["c"], nodes=[relu("a", "c", "a"), relu("b", "a", "b"), relu("c", "b", "c")])
    with pytest.raises(GraphError) as caught:
        _ = graph.nodes
    message = caught.value.message
    assert message.startswith("graph 'g' has a cycle: ")
    assert sorted(message.split(": ")[1].split(" -> ")) == ["a", "b", "c"]


def test_a_node_that_reads_its_own_result_through_a_region_is_a_cycle() -> None:
    text = 'graph "g"\n  output %y\n  node "if" %y = Identity(_)\n    region "r"\n      output %y\n'
    with pytest.raises(GraphError, match="cycle: if"):
        _ = parse(text).nodes


def test_producer_and_readers() -> None:
    graph = parse(CHAIN)
    producer = graph.producer("a")
    assert producer is not None and producer.name == "a"
    assert graph.producer("x") is None and graph.producer("t") is None
    assert [node.name for node in graph.readers("a")] == ["b"]
    assert graph.readers("c") == ()
    assert "a" in graph and "z" not in graph and len(graph) == 3
    with pytest.raises(GraphError, match="graph 'chain' has no node 'z'"):
        graph.node("z")


def test_readers_inside_regions_count() -> None:
    graph = parse(NESTED)
    assert reads(graph.node("if")) == ("x", "a", "t")
    assert [node.name for node in graph.readers("a")] == ["if"]
    assert [node.name for node in graph.readers("t")] == ["if"]
    assert list(graph.dag.edges) == [("a", "if")]
    assert [node.name for _, node in graph.walk()] == ["a", "if", "b", "loop"]
    then = graph.node("if").regions[0]
    assert [node.name for node in then.readers("a")] == ["b", "loop"] and then.producer("a") is None


def test_an_edit_of_a_region_is_seen_outside() -> None:
    graph = parse(NESTED)
    assert graph.readers("a")
    then = graph.node("if").regions[0]
    then.node("loop").regions[0].redirect("a", "x")
    assert graph.readers("a")  # "b" still reads it
    then.redirect("a", "x")
    assert not graph.readers("a") and not graph.dag.edges


def test_remove_replace_update() -> None:
    graph = parse(CHAIN)
    assert names(graph) == ["a", "b", "c"]
    graph.replace("b", relu("b1", "a", "m"), relu("b2", "m", "b"))
    assert names(graph) == ["a", "b1", "b2", "c"]
    assert [node.name for node in graph.readers("m")] == ["b2"]
    graph.update(Node("c", Identity(), ("m",), ("c",)))
    assert [node.name for node in graph.readers("m")] == ["b2", "c"] and graph.readers("b") == ()
    graph.remove("b2")
    assert names(graph) == ["a", "b1", "c"] and graph.producer("b") is None
    verify(graph)


def test_replacing_by_nothing_removes() -> None:
    graph = parse(CHAIN)
    graph.replace("c")
    assert names(graph) == ["a", "b"]


def test_names_of_nodes_stay_unique() -> None:
    graph = parse(CHAIN)
    with pytest.raises(GraphError, match="graph 'chain' has two nodes named 'a'"):
        graph.add(relu("a", "x", "z"))
    with pytest.raises(GraphError, match="would have two nodes named 'c'"):
        graph.replace("a", relu("c", "x", "a"))
    with pytest.raises(GraphError, match="has no node 'z'"):
        graph.replace("z")
    with pytest.raises(GraphError, match="has no node 'z'"):
        graph.update(relu("z", "x", "z"))
    assert dump(graph) == CHAIN


def test_redirect() -> None:
    graph = parse(CHAIN)
    graph.redirect("a", "x")
    graph.redirect("c", "b")
    assert graph.node("b").inputs == ("x",) and graph.outputs == ("b",)
    assert graph.node("c").inputs == ("b",), "what writes a value is left alone"


def test_redirect_reaches_regions() -> None:
    graph = parse(NESTED)
    graph.redirect("a", "x")
    graph.redirect("t", "x")
    then = graph.node("if").regions[0]
    assert then.node("b").inputs == ("x",)
    assert then.node("loop").regions[0].outputs == ("x", "x")


def test_a_copy_can_be_edited_alone() -> None:
    graph = parse(NESTED)
    copy = graph.copy()
    assert dump(copy) == dump(graph) == NESTED
    copy.redirect("a", "x")
    inner = copy.node("if").regions[0]
    inner.remove("loop")
    inner.types["b"] = graph.type_of("x")
    copy.tensors["new"] = copy.tensors.pop("t")
    copy.types["a"] = graph.type_of("x")
    copy.remove("a")
    assert dump(graph) == NESTED
    assert inner.store is copy.store and graph.node("if").regions[0].store is graph.store


def test_a_fresh_name_is_nobodys() -> None:
    graph = parse(NESTED)
    for taken in ("x", "a", "if", "t", "i", "b", "loop", "inner", "y"):
        assert graph.fresh(taken) == f"{taken}.1"
    assert graph.fresh("free") == "free"
    graph.add(relu("a.1", "x", "free"))
    assert graph.fresh("a") == "a.2" and graph.fresh("free") == "free.1"
    graph.node("if").regions[0].add(relu("later", "x", "a.2"))
    assert graph.fresh("a") == "a.3" and graph.fresh("later") == "later.1"


def test_types_of_values_tensors_and_strangers() -> None:
    graph = parse(CHAIN)
    assert graph.type_of("x").shape == ("n",) and graph.type_of("x").rank == 1
    assert (graph.type_of("t").dtype, graph.type_of("t").shape) == ("int64", (1,))
    assert (graph.type_of("z").dtype, graph.type_of("z").rank) == ("float32", None)
    assert graph.type_of("x").bind({"n": 4}) == (4,) and graph.type_of("x").bind({}) == (None,)
    assert graph.is_constant("t") and not graph.is_constant("x")


def test_users_of_a_matrix() -> None:
    text = '''graph "g"
  input %x: float32[2]
  output %z
  tensor %g: bool[1] = [true]
  matrix @w weight="w" view="in_out" rows=2 cols=2
  node "m" %y = ArrayMvm(%x, %g, %g) matrix="w"
  node "if" %z = Identity(%y)
    region "r"
      output %k
      node "n" %k = ArrayMvm(%x, %g, %g) matrix="w"
      node "o" %l = ArrayMvm(%x, %g, %g) matrix="v"
'''
    assert [node.name for node in parse(text).users("w")] == ["m", "n"]
