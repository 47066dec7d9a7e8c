"""``pinat-compile inspect``: the text form of the graph, as it is or as a pass left it."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pinat_compile.cli.options import common, folder_argument
from pinat_compile.errors import OptionError

if TYPE_CHECKING:
    from pinat_compile.compiler.compiled import Compiled
    from pinat_compile.graph import Graph


@click.command("inspect", short_help="The graph as text, also as each pass left it.")
@folder_argument
@click.option("--after", metavar="PASS", help="As this pass left it; a pass that runs twice is PASS.1 and PASS.2.")
@click.option("--node", metavar="N", help="Only this node and its matrix.")
@common
def inspect_command(folder: Path, after: str | None, node: str | None) -> None:
    """Print the mapped graph in DIR in its text form: nodes, where they run and why, matrices and their plan."""
    from pinat_compile.compiler.folder import load
    from pinat_compile.graph import dump

    compiled = load(folder)
    graph = compiled.graph if after is None else graph_after(compiled, after)
    text = dump(graph)
    click.echo(text.rstrip("\n") if node is None else "\n".join(lines_of(graph, text, node)))


def graph_after(compiled: Compiled, wanted: str) -> Graph:
    """Run the passes again from what the folder holds, and stop looking after ``wanted``."""
    from pinat_compile.compiler.build import recompile
    from pinat_compile.passes import PassRecord

    seen: list[tuple[str, Graph]] = []

    def watch(record: PassRecord, graph: Graph) -> None:
        seen.append((record.name, graph))

    recompile(compiled, keep_plan=compiled.options.training is not None, observer=watch)
    named = dict(zip(_unique([name for name, _ in seen]), (graph for _, graph in seen), strict=True))
    named.update(seen)  # the bare name of a pass that runs twice: its last run
    if wanted not in named:
        near = difflib.get_close_matches(wanted, named, n=1)
        guess = f"did you mean {near[0]}? " if near else ""
        passes = ", ".join(_unique([name for name, _ in seen]))
        raise OptionError(f"--after {wanted}: no pass of that name ran", hint=f"{guess}passes: {passes}")
    return named[wanted]


def _unique(names: list[str]) -> list[str]:
    """Names that occur more than once get the number of their run."""
    return [
        name if names.count(name) == 1 else f"{name}.{names[: index + 1].count(name)}"
        for index, name in enumerate(names)
    ]


def lines_of(graph: Graph, text: str, name: str) -> Iterator[str]:
    """The lines of a node, and of the matrix that it multiplies by, out of the graph's text."""
    from pinat_compile.graph.ops.array import ArrayMvm

    nodes = {node.name: node for _, node in graph.walk()}
    if name not in nodes:
        near = ", ".join(difflib.get_close_matches(name, nodes, n=3, cutoff=0.3)) or ", ".join([*nodes][:5])
        raise OptionError(f"--node {name}: the graph has no node of that name", hint=f"try {near}")
    lines = text.splitlines()
    op = nodes[name].op
    if isinstance(op, ArrayMvm):
        quoted = op.matrix if f"  matrix @{op.matrix} " in text else json.dumps(op.matrix)
        yield from _block(lines, f"matrix @{quoted} ")
    yield from _block(lines, f"node {json.dumps(name)} ")


def _block(lines: list[str], start: str) -> Iterator[str]:
    """The first line that starts so, and those indented below it, moved to the margin."""
    index = next(index for index, line in enumerate(lines) if line.lstrip().startswith(start))
    indent = len(lines[index]) - len(lines[index].lstrip())
    yield lines[index][indent:]
    for line in lines[index + 1 :]:
        if len(line) - len(line.lstrip()) <= indent:
            return
        yield line[indent:]
