"""The cost of a mapped network, layer by layer: arrays by their tiles, digital operators by what they do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

from pinat_compile.cost.baseline import digital_energy_j
from pinat_compile.cost.operations import OpCount
from pinat_compile.cost.photonics import holding_cost, photonic_tile_costs
from pinat_compile.cost.static import area_per_array_mm2, leakage_per_array_w
from pinat_compile.cost.tiles import PJ, TileCosts, tile_costs
from pinat_compile.cost.timeline import Timeline, timeline
from pinat_compile.cost.traffic import Moved, moved_by
from pinat_compile.cost.value import Cost
from pinat_compile.cost.work import Work, works
from pinat_compile.cost.work import bytes_per_value as bytes_per_value
from pinat_compile.errors import OptionError
from pinat_compile.graph.arrays import Numbers, owned_arrays, reloaded
from pinat_compile.graph.graph import Graph
from pinat_compile.graph.matrix import Matrix
from pinat_compile.graph.sizes import ShapeOf
from pinat_compile.hardware.schema import EnergySection, Target
from pinat_compile.tables import dataframe, html

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, slots=True)
class Programmed:
    """What the energy of one matrix depends on besides its plan.

    ``conductance_us`` [col_tile, slice, rows, cols, device], piece by piece: some or all column tiles of a row tile,
    row tile first; ``drive`` [blocks, rows of a block], the `mean_square_drive` of its inputs; ``reference_us``
    likewise [col_tile, slice, rows, 1, device], reference columns. Pieces may be made as they are asked for, once.
    ``parameters`` [row_tile, col_tile, count]: on optics, instead of conductances.
    """

    conductance_us: Iterable[Tensor]
    drive: Tensor
    reference_us: Iterable[Tensor] | None = None
    parameters: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCost:
    """One node. ``macs`` and ``mvms`` per sample, None where they do not apply; ``tiles`` of its matrix where analog.

    ``cost`` is empty (all None) where ``counted`` is false: a shape was not known.
    """

    name: str
    op: str
    where: Literal["analog", "digital"]
    why: str
    cost: Cost
    ops: OpCount
    matrix: str | None = None
    macs: int | None = None
    mvms: int | None = None
    tiles: TileCosts | None = None
    counted: bool = True


@dataclass(frozen=True, slots=True)
class NetworkCost:
    """All layers, their sum, the schedule, and the keys that the target leaves out (not in the sums).

    ``timeline``: None where the target says nothing of time, or a shape is not known. ``baseline_j``: the same sample
    on digital hardware of the same node and precision.
    """

    layers: tuple[LayerCost, ...]
    uncounted: tuple[str, ...] = field(default=())
    timeline: Timeline | None = None
    baseline_j: float | None = None

    @property
    def total(self) -> Cost:
        return sum((layer.cost for layer in self.layers), Cost())

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values: totals, and layer by layer; energies in joules per sample, times in seconds, areas in mm².
        """
        times, total = self.timeline, self.total
        return {
            "energy_j": total.energy_j, "write_energy_j": total.write, "area_mm2": total.area_mm2, "macs": self.macs,
            "latency_s": None if times is None else 1e-9 * times.latency_ns,
            "interval_s": None if times is None else 1e-9 * times.interval_ns,
            "digital_energy_j": self.baseline_j, "uncounted": list(self.uncounted),
            "layers": [{**record, "energy_j": layer.cost.energy_j}
                       for record, layer in zip(self._records(), self.layers, strict=True)],
        }  # fmt: skip

    def to_dataframe(self) -> pandas.DataFrame:
        """A row per layer: where it runs, products, time and area, joules in total and by component. Needs pandas."""
        parts = [{f"{key}_j": value for key, value in layer.cost.energy_j.items() if key != "total"}
                 for layer in self.layers]  # fmt: skip
        return dataframe([{**record, **each} for record, each in zip(self._records(), parts, strict=True)])

    def _repr_html_(self) -> str:
        energy = self.total.energy_total
        known = "energy not counted" if energy is None else f"{energy:.4g} J per sample"
        return html(known, self._records())

    def _records(self) -> list[dict[str, Any]]:
        return [
            {"layer": layer.name, "op": layer.op, "where": layer.where, "macs": layer.macs, "mvms": layer.mvms,
             "energy_j": layer.cost.energy_total, "latency_s": layer.cost.latency_s, "area_mm2": layer.cost.area_mm2}
            for layer in self.layers
        ]  # fmt: skip

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the matrix products, analog and digital, per sample."""
        return sum(layer.macs for layer in self.layers if layer.macs is not None)


def estimate_network(
    graph: Graph, target: Target, shape_of: ShapeOf, programmed: Mapping[str, Programmed], reads: int = 1
) -> NetworkCost:
    """The cost of one sample through the mapped ``graph``; ``programmed`` by matrix name.

    ``reads``: each product on arrays is read so often, and averaged.
    A matrix that several nodes use is written once: its first user bears writing, leakage and area.
    """
    found = list(works(graph, target, shape_of))
    placed = all(matrix.first_array is not None for matrix in graph.matrices.values())
    times = timeline(graph, target, shape_of, reads) if placed else None
    moved = moved_by(graph, target, shape_of, {work.node.name: work for work in found}) if placed else {}
    arrays, anew = owned_arrays(graph), reloaded(graph)
    standing = 1.0 if target.chip is None else min(1.0, target.chip.capacity / max(1.0, sum(arrays.values())))
    written: set[str] = set()
    layers = []
    for work in found:
        cost, tiles = digital_cost(target, work.ops), None
        if work.matrix is not None:
            matrix = graph.matrices[work.matrix]
            cost, tiles = _array_cost(work, matrix, target, programmed, first=matrix.name not in written, reads=reads)
            if matrix.name not in written:
                cost += owner_cost(target, arrays.get(matrix.name), times)
                held = programmed[matrix.name].parameters if target.optical else None
                if held is not None:
                    interval = None if times is None else times.interval_ns
                    cost += holding_cost(target, matrix, held, interval, standing)
                cost += reload_cost(target, matrix, tiles, anew.get(matrix.name))
            written.add(matrix.name)
        cost += moving_cost(target, work, moved.get(work.node.name))
        if times is not None:
            cost += Cost(latency_s=1e-9 * times.slots[work.node.name].busy_ns)
        layers.append(_layer(work, cost, tiles))
    digital = sum(layer.cost.energy_total or 0.0 for layer in layers if layer.where == "digital")
    baseline = digital_energy_j(graph, target, shape_of, found, digital)
    return NetworkCost(tuple(layers), uncounted_keys(target), times, baseline)


def uncounted_keys(target: Target) -> tuple[str, ...]:
    """Keys of the energy section that the target leaves out."""
    energy = target.energy or EnergySection()
    names = [item.name for item in fields(energy) if getattr(energy, item.name) is None]
    return tuple(f"energy.{name}" for name in names if not (target.optical and name in ELECTRONIC))


ELECTRONIC = frozenset({"read_voltage_v", "read_pulse_ns", "sample_hold_pj", "write_pj"})
"""Keys of the energy section that are of electronic arrays alone."""


def _array_cost(
    work: Work, matrix: Matrix, target: Target, programmed: Mapping[str, Programmed], *, first: bool, reads: int
) -> tuple[Cost, TileCosts | None]:
    """An array layer: its tiles and the digital affine. ``first``: it bears the writing of all copies."""
    if matrix.name not in programmed:
        raise OptionError(f"node {work.node.name!r}: no conductances and inputs of matrix {matrix.name!r} are given")
    if work.mvms is None:
        return Cost(), None
    given = programmed[matrix.name]
    if given.parameters is not None:
        tiles = photonic_tile_costs(target, matrix, mvms=work.mvms, parameters=given.parameters, reads=reads)
    else:
        tiles = tile_costs(
            target, matrix, mvms=work.mvms, reads=reads,
            conductance_us=given.conductance_us, drive=given.drive, reference_us=given.reference_us,
        )  # fmt: skip
    total = tiles.total
    write = None if total.write is None or not first else total.write * matrix.replicas
    return replace(total, write=write) + digital_cost(target, work.ops), tiles


def digital_cost(target: Target, ops: OpCount) -> Cost:
    """Additions and multiplications as ``digital``, bytes as ``buffer``; None where the target has no constant."""
    energy = target.energy or EnergySection()
    digital = None
    if energy.digital_add_pj is not None and energy.digital_mul_pj is not None:
        digital = PJ * (ops.adds * energy.digital_add_pj + ops.muls * energy.digital_mul_pj)
    return Cost(digital=digital, buffer=_each(energy.buffer_pj_per_byte, ops.bytes))


def moving_cost(target: Target, work: Work, moved: Moved | None) -> Cost:
    """``bus``: what an array layer's buffers send and take; ``link`` and ``io``: what its operands travel."""
    energy = target.energy or EnergySection()
    bus = None if work.matrix is None or not work.counted else _each(energy.bus_pj_per_byte, work.ops.bytes)
    if moved is None or not work.counted:
        return Cost(bus=bus)
    return Cost(
        bus=bus, link=_each(energy.hop_pj_per_byte, moved.hop_bytes), io=_each(energy.io_pj_per_byte, moved.io_bytes)
    )


def owner_cost(target: Target, arrays: float | None, times: Timeline | None) -> Cost:
    """What a matrix costs by standing there: area and leakage of its arrays' share of the chip."""
    if arrays is None:
        return Cost()
    area, leakage = area_per_array_mm2(target), leakage_per_array_w(target)
    return Cost(
        area_mm2=None if area is None else area * arrays,
        leakage=None if leakage is None or times is None else leakage * arrays * 1e-9 * times.interval_ns,
    )


def reload_cost(target: Target, matrix: Matrix, tiles: TileCosts | None, anew: Numbers | None) -> Cost:
    """Writing of the tiles ``anew`` [row_tile, col_tile] in every inference, and their weights' way onto the chip."""
    if anew is None or tiles is None:
        return Cost()
    energy = target.energy or EnergySection()
    share = float(anew.mean())
    bits = matrix.weights * (32 if target.weights.bits is None else target.weights.bits)
    written = None if tiles.write is None else float((tiles.write.sum(axis=2) * anew).sum())
    return Cost(reload=written, io=_each(energy.io_pj_per_byte, share * bits / 8))


def _each(picojoules: float | None, count: float) -> float | None:
    return None if picojoules is None else PJ * picojoules * count


def _layer(work: Work, cost: Cost, tiles: TileCosts | None) -> LayerCost:
    node = work.node
    return LayerCost(
        name=node.name,
        op=node.op.type_name(),
        where="digital" if work.matrix is None else "analog",
        why=node.placement.why if node.placement is not None else "",
        cost=cost if work.counted else Cost(),
        ops=work.ops,
        matrix=work.matrix,
        macs=work.macs,
        mvms=work.mvms,
        tiles=tiles,
        counted=work.counted,
    )
