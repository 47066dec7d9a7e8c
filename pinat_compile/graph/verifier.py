"""The verifier: what must hold of a graph after every pass."""

from __future__ import annotations

import math

from pinat_compile.errors import GraphError
from pinat_compile.graph.graph import Graph, Node
from pinat_compile.graph.matrix import Matrix
from pinat_compile.graph.ops.array import ArrayMvm


def verify(graph: Graph) -> None:
    """Raise GraphError where the graph is not valid.

    1. Every value is written once, and not by a node when it is an input or a tensor; no two nodes, in regions either,
       have the same name.
    2. Every name that is read exists: an input, a tensor, a node's output, or a value of an outer graph.
    3. There is no cycle.
    4. Every ArrayMvm names a matrix that exists and has as many gains and biases as the matrix has outputs.
    5. Every matrix has a weight tensor of its size; its cut covers rows and columns; its ranges have their shape.
    """
    _verify_scope(graph, outer=frozenset(), written=set(graph.tensors), names=set())
    for matrix in graph.matrices.values():
        _verify_matrix(graph, matrix)


def _verify_scope(graph: Graph, outer: frozenset[str], written: set[str], names: set[str]) -> None:
    nodes = graph.nodes  # raises on a cycle
    for name in graph.inputs:
        if name in written:
            raise GraphError(f"graph {graph.name!r}: {name!r} is defined twice")
        written.add(name)
    for node in nodes:
        if node.name in names:
            raise GraphError(f"node {node.name!r}: another node, in another region, has that name")
        names.add(node.name)
        for name in node.outputs:
            if name and name in written:
                raise GraphError(f"node {node.name!r}: writes {name!r}, which is defined already")
            if name:
                written.add(name)
    own = {name for node in nodes for name in node.outputs if name}
    known = outer | own | set(graph.inputs) | set(graph.tensors)
    for node in nodes:
        for name in node.inputs:
            if name and name not in known:
                raise GraphError(f"node {node.name!r}: reads {name!r}, which nothing defines")
        if isinstance(node.op, ArrayMvm):
            _verify_mvm(graph, node, node.op)
        for region in node.regions:
            _verify_scope(region, known, written, names)
    for name in graph.outputs:
        if name not in known:
            raise GraphError(f"graph {graph.name!r}: output {name!r} is defined nowhere")


def _verify_mvm(graph: Graph, node: Node, op: ArrayMvm) -> None:
    matrix = graph.matrices.get(op.matrix)
    if matrix is None:
        raise GraphError(f"node {node.name!r}: multiplies by matrix {op.matrix!r}, which does not exist")
    if len(node.inputs) != 3:
        raise GraphError(f"node {node.name!r}: an ArrayMvm has 3 operands (x, gain, bias), not {len(node.inputs)}")
    if op.group != matrix.groups:
        raise GraphError(f"node {node.name!r}: group {op.group}, but matrix {matrix.name!r} has {matrix.groups}")
    if op.transpose and op.has_window:
        raise GraphError(f"node {node.name!r}: a transposed matrix takes no window")
    outputs = matrix.inputs if op.transpose else matrix.outputs
    for role, name in (("gain", node.inputs[1]), ("bias", node.inputs[2])):
        if name not in graph.tensors:
            raise GraphError(f"node {node.name!r}: its {role} {name!r} is not a tensor")
        shape = graph.tensors[name].shape
        if shape != (outputs,):
            raise GraphError(f"node {node.name!r}: {role} {name!r} has shape {shape}, not ({outputs},)")
    if op.has_window:
        n = len(op.kernel_shape)
        if (len(op.strides), len(op.dilations), len(op.pads)) != (n, n, 2 * n):
            raise GraphError(f"node {node.name!r}: {n} window axes need {n} strides, {n} dilations, {2 * n} pads")


def _verify_matrix(graph: Graph, matrix: Matrix) -> None:
    where = f"matrix {matrix.name!r}"
    weight = graph.tensors.get(matrix.weight)
    if weight is None:
        raise GraphError(f"{where}: its weight {matrix.weight!r} is not a tensor")
    if matrix.view == "in_out" and matrix.groups != 1:
        raise GraphError(f"{where}: {matrix.groups} groups need a weight laid out out_in")
    expected = (matrix.inputs, matrix.cols) if matrix.view == "in_out" else (matrix.outputs, matrix.rows)
    got = weight.shape if matrix.view == "in_out" else (*weight.shape[:1], math.prod(weight.shape[1:]))
    if got != expected:
        raise GraphError(f"{where}: weight {matrix.weight!r} has shape {weight.shape}, which is not {expected}")
    if matrix.cut is not None:
        cut = matrix.cut
        if cut.blocks < 1 or matrix.groups % cut.blocks:
            raise GraphError(f"{where}: {matrix.groups} groups do not divide into {cut.blocks} blocks")
        _, rows, cols = matrix.block_shape
        checks = (("row", cut.row_cuts, cut.tile_rows, rows), ("column", cut.col_cuts, cut.tile_cols, cols))
        for axis, cuts, sizes, size in checks:
            if len(cuts) < 2 or cuts[0] != 0 or cuts[-1] != size or min(sizes) < 1:
                raise GraphError(f"{where}: {axis} cuts {list(cuts)} do not cover 0 to {size} in order")
    if matrix.ranges is not None:
        _verify_ranges(graph, matrix, where)


def _verify_ranges(graph: Graph, matrix: Matrix, where: str) -> None:
    ranges = matrix.ranges
    assert ranges is not None
    shapes: dict[str, tuple[tuple[int, ...], ...]] = {ranges.weight_scale: ((matrix.outputs,),)}
    if ranges.dac_range is not None:
        shapes[ranges.dac_range] = ((),)
    if ranges.adc_range is not None:
        if matrix.cut is None or matrix.cells is None:
            raise GraphError(f"{where}: has an ADC range but no cut or cells")
        cut = matrix.cut
        tiles, slices = (cut.blocks * cut.row_tiles, cut.col_tiles), matrix.cells.slices
        shapes[ranges.adc_range] = ((*tiles, slices), (*tiles, 1), (*tiles, slices, max(cut.tile_cols)))
    if ranges.parameters is not None:
        if matrix.cut is None or ranges.parameters not in graph.tensors:
            raise GraphError(f"{where}: parameters {ranges.parameters!r} have no tensor, or the matrix no cut")
        got = graph.tensors[ranges.parameters].shape
        tiles = (matrix.cut.blocks * matrix.cut.row_tiles, matrix.cut.col_tiles)
        if len(got) != 3 or got[:2] != tiles:
            raise GraphError(f"{where}: parameters {ranges.parameters!r} have shape {got}, not {(*tiles, 'count')}")
    for name, allowed in shapes.items():
        if name not in graph.tensors:
            raise GraphError(f"{where}: range {name!r} is not a tensor")
        if graph.tensors[name].shape not in allowed:
            expected = " or ".join(map(str, allowed))
            raise GraphError(f"{where}: range {name!r} has shape {graph.tensors[name].shape}, not {expected}")
