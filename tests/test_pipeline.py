"""The pipeline holds every pass; the manager verifies, times, shows each step and names the guilty one."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pinat_compile.errors import GraphError, OptionError, PassError
from pinat_compile.frontend.calibration import Calibration
from pinat_compile.graph import Graph, dump, parse
from pinat_compile.hardware.loader import load_target
from pinat_compile.passes import Pass, PassRecord, keeping, lowering, planning, preparing, run_passes
from pinat_compile.passes.base import MatrixPass, ScopePass

FOLDER = Path(__file__).parents[1] / "passes"
INFRASTRUCTURE = {"__init__", "base", "building", "manager", "obstacles"}

GRAPH = '''graph "g"
  input %x: float32[2]
  output %y
  node "a" %a: float32[2] = Relu(%x)
  node "b" %y: float32[2] = Relu(%a)
'''


def pipeline() -> list[Pass]:
    target = load_target("ideal_128x128")
    plan = planning(target, Calibration("none", 0))
    return [*preparing(), *lowering(trained={}), *plan, *keeping(Graph("g", (), ()))]


def test_the_pipeline_holds_every_pass_file() -> None:
    files = {path.stem for path in FOLDER.glob("*.py")} - INFRASTRUCTURE
    assert {type(step).__module__.rpartition(".")[2] for step in pipeline()} == files


@pytest.mark.parametrize("step", pipeline(), ids=lambda step: step.name)
def test_a_pass_is_one_frozen_dataclass_named_like_its_file(step: Pass) -> None:
    kind: Any = type(step)
    module = kind.__module__.rpartition(".")[2]
    assert step.name == module.replace("_", "-") == re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()
    assert kind.__dataclass_params__.frozen
    assert re.search(r"^ {4}1\. ", kind.__doc__, re.MULTILINE), "its docstring is its specification: numbered cases"
    source = (FOLDER / f"{module}.py").read_text("utf-8")
    classes = re.findall(r"^class (\w+)\((?:Pass|ScopePass|MatrixPass)\)", source, re.MULTILINE)
    assert classes == [kind.__name__]


@dataclass(frozen=True)
class Rename(ScopePass):
    """Harmless."""

    name: ClassVar[str] = "rename"

    def rewrite(self, scope: Graph) -> None:
        scope.redirect("nothing", "at all")


@dataclass(frozen=True)
class DropFirst(ScopePass):
    """Breaks the graph: removes a node that others read."""

    name: ClassVar[str] = "drop-first"

    def rewrite(self, scope: Graph) -> None:
        scope.remove(scope.nodes[0].name)


@dataclass(frozen=True)
class Raises(Pass):
    """Fails itself."""

    name: ClassVar[str] = "raises"
    error: Exception

    def run(self, graph: Graph) -> Graph:
        raise self.error


def test_a_pass_that_breaks_the_graph_is_named_with_those_before_it() -> None:
    with pytest.raises(PassError) as caught:
        run_passes(parse(GRAPH), (Rename(), Rename(), DropFirst(), Rename()))
    assert caught.value.message == (
        "pass drop-first: node 'b': reads 'a', which nothing defines (passes before it: rename, rename)"
    )


def test_the_first_pass_may_be_guilty() -> None:
    with pytest.raises(PassError, match=r"^pass drop-first: .* \(passes before it: none\)$"):
        run_passes(parse(GRAPH), (DropFirst(),))


def test_what_a_pass_raises_of_the_graph_is_its_own_too() -> None:
    with pytest.raises(PassError, match=r"^pass raises: no such thing \(passes before it: rename\)") as caught:
        run_passes(parse(GRAPH), (Rename(), Raises(GraphError("no such thing", hint="look again"))))
    assert caught.value.hint == "look again"


def test_a_users_mistake_is_told_as_it_is() -> None:
    error = OptionError("--digital x: the network has no node of that name")
    with pytest.raises(OptionError) as caught:
        run_passes(parse(GRAPH), (Raises(error),))
    assert caught.value is error


def test_records_and_observer() -> None:
    seen: list[tuple[PassRecord, str]] = []

    @dataclass(frozen=True)
    class Cut(Pass):
        name: ClassVar[str] = "cut"

        def run(self, graph: Graph) -> Graph:
            graph = graph.copy()
            graph.redirect("y", "a")
            graph.remove("b")
            return graph

    before = parse(GRAPH)
    after, records = run_passes(before, (Rename(), Cut()), lambda record, graph: seen.append((record, dump(graph))))
    assert dump(before) == GRAPH
    assert [replace(record, seconds=0.0) for record in records] == [
        PassRecord("rename", 0.0, 2, 2), PassRecord("cut", 0.0, 2, 1),
    ]
    assert all(0.0 <= record.seconds < 10.0 for record in records)
    assert [record for record, _ in seen] == list(records)
    assert seen[0][1] == GRAPH and seen[1][1] == dump(after)


def test_no_passes() -> None:
    graph = parse(GRAPH)
    assert run_passes(graph, ()) == (graph, ())


def test_scopes_are_rewritten_inner_ones_first() -> None:
    seen: list[str] = []

    @dataclass(frozen=True)
    class Watch(ScopePass):
        name: ClassVar[str] = "watch"

        def rewrite(self, scope: Graph) -> None:
            seen.append(scope.name)

    text = '''graph "outer"
  input %x: float32[2]
  output %y
  node "if" %y: float32[2] = Identity(%x)
    region "then"
      output %z
      node "loop" %z: float32[2] = Identity(%x)
        region "body"
          output %x
    region "else"
      output %x
'''
    assert dump(Watch().run(parse(text))) == text
    assert seen == ["body", "then", "else", "outer"]


def test_a_matrix_pass_plans_every_matrix() -> None:
    seen: list[str] = []

    @dataclass(frozen=True)
    class Watch(MatrixPass):
        name: ClassVar[str] = "watch"

        def plan(self, graph: Graph, name: str) -> None:
            seen.append(name)

    text = 'graph "g"\n  matrix @a weight="w" view="in_out" rows=1 cols=1\n  matrix @b weight="w" view="in_out" ' \
           'rows=1 cols=1\n'
    Watch().run(parse(text))
    assert seen == ["a", "b"] and not Watch.preserves_values
