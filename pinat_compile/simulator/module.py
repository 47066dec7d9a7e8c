"""The mapped graph as a torch module: one chip that takes the network's inputs and gives its outputs."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from pinat_compile.errors import DataError, GraphError
from pinat_compile.graph import Graph, Node, TensorType
from pinat_compile.graph.graph import reads
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.hardware.schema import Target
from pinat_compile.physics.randomness import Key
from pinat_compile.physics.tiling import tensor_of
from pinat_compile.physics.wires import Felt
from pinat_compile.simulator.arrays import ArrayMatrix, Programmed, exact_product
from pinat_compile.simulator.conditions import Conditions, GainDrift, seconds
from pinat_compile.simulator.control import Body, IterationNoise, run_regions
from pinat_compile.simulator.deployment import Deployment
from pinat_compile.simulator.noise import BankNoise, Noise, SampleNoise
from pinat_compile.simulator.operands import Operand, operand
from pinat_compile.simulator.operators import execute, stays_on_cpu
from pinat_compile.simulator.shared import Shared

Disturb = Callable[[ArrayMatrix, Programmed], Programmed]
"""Changes a matrix after programming: how training methods that know no device add their noise."""

WiresOf = Callable[[str], Felt]
"""Another way to solve the wires of a matrix: how training does it less often."""
Alter = Callable[[Node, Tensor, Tensor], Tensor]
"""Of a node, its input and what its arrays gave [batch, *positions, outputs] before gain and bias: what counts instead.
How training methods that know no device add noise that differs from sample to sample."""
Steps = Generator[tuple[Node, Tensor], Tensor | None, dict[str, Tensor]]
"""A run that stops after every layer on arrays: see `Simulator.steps`."""

Values = ChainMap[str, Tensor]
"""Values by name: those of a region first, then those around it."""


class Simulator(nn.Module):
    """One chip running a mapped graph. Inputs in the network's order; one output is returned bare, several as a tuple.

    In evaluation a matrix is programmed once, and every call sees fresh read noise: draws are keyed by ``seed`` and by
    the number of the sample, which counts on from call to call (``reset`` starts again; ``first_sample`` sets it). In
    training mode matrices are programmed anew from the present parameters at every call.

    ``analog`` limits which MVM nodes run on arrays (the others run in floating point): ``None`` means all.
    ``draw_anew``, off unless set: read noise is drawn for every read, several times slower, instead of read from a bank
    of draws (`pinat_compile.simulator.noise`). ``deployment``: what was found for this chip after programming, applied
    to the layers that run on arrays; later views of the chip (`at`) keep it. ``shared``: what chips that run the same
    inputs have in common, set by who runs several.
    """

    def __init__(
        self,
        graph: Graph,
        target: Target,
        conditions: Conditions,
        *,
        seed: int = 0,
        device: torch.device | str = "cpu",
        analog: Collection[str] | None = None,
        deployment: Deployment | None = None,
    ) -> None:
        super().__init__()
        self.graph = graph
        self.target = target
        self.conditions = conditions
        self.seed = seed
        self.analog = None if analog is None else frozenset(analog)
        self.deployment = None if deployment is None else deployment.for_chip(conditions.chip)
        self.noise: Noise | None = None
        self.draw_anew = False
        self.disturb: Disturb | None = None
        self.wires: WiresOf | None = None
        self.alter: Alter | None = None
        self.sigma_gradient = False
        self.shared: Shared | None = None
        self.next_sample = 0
        self._schedules: dict[int, Schedule] = {}
        self._programmed: dict[str, Programmed] = {}
        self._keys = {name: f"t{index}" for index, name in enumerate(graph.tensors)}
        self.values = nn.ParameterDict()
        self._constants: dict[str, Tensor] = {}
        ranges = {name for matrix in graph.matrices.values() for name in matrix.plan_names}
        for name, array in graph.tensors.items():
            tensor = tensor_of(array)
            if tensor.is_floating_point() and (name in ranges or not stays_on_cpu(array)):
                self.values[self._keys[name]] = nn.Parameter(tensor.to(device, copy=True), requires_grad=False)
            else:
                self._constants[name] = tensor

    # --- parameters by the names of the graph ---

    def value(self, name: str) -> Tensor:
        """The present value of the graph's tensor ``name``."""
        constant = self._constants.get(name)
        return constant if constant is not None else self.values[self._keys[name]]

    def parameter_names(self) -> dict[str, nn.Parameter]:
        """The floating-point tensors of the graph, by name."""
        return {name: self.values[key] for name, key in self._keys.items() if key in self.values}

    def tie(self, name: str, parameter: nn.Parameter) -> None:
        """Read the tensor ``name`` from ``parameter``, which another module owns, from now on."""
        self._programmed.clear()
        self.values[self._keys[name]] = parameter

    # --- the same chip, otherwise ---

    def at(
        self,
        *,
        time: str | float | None = None,
        temperature: float | None = None,
        severity: float | None = None,
        gain_drift: GainDrift | None = None,
        reads: int | None = None,
    ) -> Simulator:
        """A new view of the same chip: later, hotter, with every deviation multiplied or its columns' gains drifted.

        ``time`` after programming is seconds or text such as ``"1h"``, ``temperature`` in kelvin, ``reads`` how often
        each product is read to be averaged; what is not given stays. Parameters are shared.
        """
        now = self.conditions
        return self.view(
            replace(
                now,
                time_s=now.time_s if time is None else seconds(time),
                temperature_k=now.temperature_k if temperature is None else temperature,
                severity=now.severity if severity is None else severity,
                gain_drift=now.gain_drift if gain_drift is None else gain_drift,
                reads=now.reads if reads is None else reads,
            ),
            deployment=self.deployment,
        )

    def view(
        self,
        conditions: Conditions,
        *,
        analog: Collection[str] | None = None,
        deployment: Deployment | None = None,
    ) -> Simulator:
        """The same parameters under other conditions, with other nodes on arrays, or with (or without) a deployment."""
        other = Simulator.__new__(Simulator)
        nn.Module.__init__(other)
        for name in ("graph", "target", "seed", "_schedules", "_keys", "_constants"):
            setattr(other, name, getattr(self, name))
        other.conditions = conditions
        other.analog = self.analog if analog is None else frozenset(analog)
        other.deployment = None if deployment is None else deployment.for_chip(conditions.chip)
        other.noise = None
        other.draw_anew = self.draw_anew
        other.disturb = None
        other.wires = None
        other.alter = None
        other.sigma_gradient = False
        other.shared = None
        other.next_sample = 0
        other._programmed = {}
        other.values = self.values
        other.training = self.training
        return other

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Simulator:
        """Moved or converted: what was programmed is forgotten."""
        self._programmed.clear()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def load_state_dict(self, *given: Any, **options: Any) -> Any:
        """Other parameters: what was programmed is forgotten."""
        self._programmed.clear()
        return super().load_state_dict(*given, **options)

    def train(self, mode: bool = True) -> Simulator:
        """Training mode programs at every call; leaving it forgets what was programmed."""
        self._programmed.clear()
        super().train(mode)
        return self

    def reset(self) -> None:
        """Count samples from 0 again: the next call sees the same read noise as the first one did."""
        self.next_sample = 0

    # --- running ---

    def forward(self, *inputs: Tensor, first_sample: int | None = None) -> Tensor | tuple[Tensor, ...]:
        if len(inputs) != len(self.graph.inputs):
            names = ", ".join(self.graph.inputs)
            raise DataError(f"{self.graph.name}: takes {len(self.graph.inputs)} inputs ({names}), not {len(inputs)}")
        found = self.run(dict(zip(self.graph.inputs, inputs, strict=True)), first_sample=first_sample)
        results = tuple(found[name] for name in self.graph.outputs)
        return results[0] if len(results) == 1 else results

    def run(
        self, inputs: Mapping[str, Tensor], *, first_sample: int | None = None, record: Sequence[str] = ()
    ) -> dict[str, Tensor]:
        """Outputs, and the values named in ``record``, by name.

        A network that was exported for a fixed batch takes any number of samples, piece by piece; the last piece is
        filled up with its last sample.
        """
        pieces, size = self._pieces(inputs)
        if first_sample is not None:
            self.next_sample = first_sample
        if size is None:
            return self._run(pieces[0], record)
        following = self.next_sample + size
        found = [self._run(piece, record) for piece in pieces]
        self.next_sample = following
        joined = {name: torch.cat([_with_axis(piece[name]) for piece in found]) for name in found[0]}
        total = len(pieces) * len(next(iter(pieces[0].values())))
        return {name: value[: len(value) * size // total] for name, value in joined.items()}

    def steps(self, inputs: Mapping[str, Tensor], *, first_sample: int = 0) -> list[Steps]:
        """Runs that stop after every layer on arrays, one per piece that `run` would cut ``inputs`` into.

        Each yields the node and its output [batch, *positions, outputs], corrected by the deployment, and goes on with
        what is sent in its place (``None``: with the same); layers inside loops and branches are not stopped at.
        Returns outputs by name; `next_sample` stays.
        """
        pieces, _ = self._pieces(inputs)
        length = len(next(iter(pieces[0].values()), ()))
        return [self._steps(piece, (), first_sample + i * length) for i, piece in enumerate(pieces)]

    def _pieces(self, inputs: Mapping[str, Tensor]) -> tuple[list[dict[str, Tensor]], int | None]:
        """The inputs in the network's types and batch, and how many samples they are where they had to be cut."""
        checked, batch = self._checked(inputs)
        if batch is None:
            return [checked], None
        size = next(iter(checked.values())).shape[0]
        pieces = -(-size // batch)
        cut = {name: _filled(value, pieces * batch).chunk(pieces) for name, value in checked.items()}
        return [{name: parts[i] for name, parts in cut.items()} for i in range(pieces)], size

    def _run(self, inputs: Mapping[str, Tensor], record: Sequence[str]) -> dict[str, Tensor]:
        found = _to_the_end(self._steps(inputs, record, self.next_sample))
        self.next_sample += _samples(inputs)
        return found

    def _steps(self, inputs: Mapping[str, Tensor], record: Sequence[str], first_sample: int) -> Steps:
        if self.training:
            self._programmed.clear()
        noise = self._noise(first_sample, _samples(inputs))
        return (yield from self._scope(self.graph, ChainMap(dict(inputs)), noise, record))

    def _scope(
        self, graph: Graph, known: Values, noise: Noise | None, record: Sequence[str] = ()
    ) -> Steps:
        """The nodes of ``graph``, the network or a region of it; ``known``: its inputs, and what is known around it."""
        schedule = self._schedule(graph)
        kept = set(graph.outputs) | set(record)
        for node, unread in zip(schedule.order, schedule.unread, strict=True):
            operands = [self._fetch(name, known) if name else None for name in node.inputs]
            if isinstance(node.op, ArrayMvm):
                results = yield from self._multiply(node, node.op, operands, noise)
            elif node.regions:
                results = run_regions(node, operands, self._body(known, noise))
            else:
                results = execute(node.op, operands, len(node.outputs))
            known.update({name: value for name, value in zip(node.outputs, results, strict=False) if name})
            for name in unread:
                if name not in kept:
                    known.maps[0].pop(name, None)
        return {name: self._fetch(name, known) for name in kept}

    def _body(self, around: Values, noise: Noise | None) -> Body:
        """How a region is run that may read the values ``around`` it; `steps` does not stop inside."""

        def run(region: Graph, inputs: Sequence[Tensor], iteration: int) -> list[Tensor]:
            given = dict(zip(region.inputs, inputs, strict=True))
            fresh = None if noise is None else IterationNoise(noise, iteration)
            found = _to_the_end(self._scope(region, around.new_child(given), fresh))
            return [found[name] for name in region.outputs]

        return run

    def _schedule(self, graph: Graph) -> Schedule:
        if id(graph) not in self._schedules:
            self._schedules[id(graph)] = Schedule.of(graph)
        return self._schedules[id(graph)]

    def programmed(self, matrix: str) -> Programmed:
        """The matrix as it stands on this chip: programmed once, in training once per call."""
        if matrix not in self._programmed:
            arrays = self.arrays(matrix)
            found = self.deployment
            placement, drift_gain = (None, None) if found is None else found.of_matrix(matrix)
            recorded = torch.is_grad_enabled()
            with torch.inference_mode(False), torch.set_grad_enabled(recorded):  # it may serve other modes later
                held = arrays.program(self.value, self.conditions, placement, drift_gain)
                self._programmed[matrix] = held if self.disturb is None else self.disturb(arrays, held)
        return self._programmed[matrix]

    def share_programmed(self, other: Simulator) -> None:
        """Use what ``other``, a view of the same chip under the same conditions, has programmed, and program for it."""
        self._programmed = other._programmed

    def arrays(self, matrix: str) -> ArrayMatrix:
        wires = None if self.wires is None else self.wires(matrix)
        return ArrayMatrix(self.graph.matrices[matrix], self.target, wires, self.sigma_gradient)

    def _multiply(
        self, node: Node, op: ArrayMvm, operands: Sequence[Tensor | None], noise: Noise | None
    ) -> Generator[tuple[Node, Tensor], Tensor | None, tuple[Tensor, ...]]:
        x, gain, bias = operands
        assert x is not None and gain is not None and bias is not None
        if op.transpose:
            raise GraphError(f"node {node.name!r}: transposed products are not simulated yet")
        matrix = self.graph.matrices[op.matrix]
        if self.analog is not None and node.name not in self.analog:
            vectors = operand(x, op, matrix.groups, (0, matrix.rows))
            columns = exact_product(replace(matrix, cut=None), vectors, self.value)
            return (vectors.output(columns * gain + bias),)
        arrays = self.arrays(op.matrix)
        codes = self._codes(node, op, arrays, x)
        held, reads = self.programmed(op.matrix), self.conditions.reads
        if self.alter is None:
            columns = arrays.multiply_codes(codes, self.value, held, noise, node.name, reads, gain=gain, bias=bias)
        else:
            columns = arrays.multiply_codes(codes, self.value, held, noise, node.name, reads)
            columns = self.alter(node, x, columns) * gain + bias
        if self.deployment is not None:
            columns = self.deployment.corrected(node.name, columns)
        instead = yield node, columns
        return (codes.output(columns if instead is None else instead),)

    def _codes(self, node: Node, op: ArrayMvm, arrays: ArrayMatrix, x: Tensor) -> Operand:
        """What drives the arrays of ``node``; that of the network's inputs may be there already."""

        def made() -> Operand:
            return arrays.encoded(operand(x, op, arrays.cut.blocks, arrays.reads.row_cuts), self.value)

        if self.shared is None or node.inputs[0] not in self.graph.inputs:
            return made()
        return self.shared.operand(node.name, x, made)

    def _noise(self, first_sample: int, samples: int) -> Noise | None:
        if self.noise is not None:
            return self.noise
        if self.conditions.chip is None:
            return None
        key = Key(("read", self.seed))
        return (SampleNoise if self.draw_anew else BankNoise)(key, first_sample, samples)

    def _fetch(self, name: str, known: Mapping[str, Tensor]) -> Tensor:
        if name in known:
            return known[name]
        if name in self._keys:
            return self.value(name)
        raise GraphError(f"{self.graph.name}: value {name!r} was not computed")

    def _checked(self, inputs: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], int | None]:
        """The inputs in the network's types; the batch that it is fixed to, where there are not as many samples."""
        missing = [name for name in self.graph.inputs if name not in inputs]
        if missing:
            wanted = ", ".join(self.graph.inputs)
            raise DataError(f"{self.graph.name}: input {missing[0]!r} is missing", hint=f"give {wanted}")
        fixed = {_fixed_batch(name, inputs[name], self.graph.type_of(name)) for name in self.graph.inputs}
        sizes = {inputs[name].shape[0] for name in self.graph.inputs if inputs[name].ndim}
        if len(fixed) > 1 or fixed != {None} and (len(sizes) > 1 or 0 in sizes):
            raise DataError(f"{self.graph.name}: inputs of different batch sizes", hint="give as many of each")
        made = {name: _as_type(name, inputs[name], self.graph.type_of(name).dtype) for name in self.graph.inputs}
        return made, fixed.pop() if fixed else None


def _samples(inputs: Mapping[str, Tensor]) -> int:
    first = next(iter(inputs.values()), None)
    return 0 if first is None or first.ndim == 0 else first.shape[0]


def _with_axis(x: Tensor) -> Tensor:
    return x.reshape(1) if x.ndim == 0 else x


def _filled(x: Tensor, size: int) -> Tensor:
    """``size`` samples: the last one repeated."""
    return x if len(x) == size else torch.cat([x, x[-1:].expand(size - len(x), *x.shape[1:])])


def _fixed_batch(name: str, value: Tensor, kind: TensorType) -> int | None:
    """The batch that ``kind`` is fixed to, where ``value`` has another; DataError where another axis does not fit."""
    if kind.shape is None:
        return None
    shape = tuple(value.shape)
    rest = zip(shape[1:], kind.shape[1:], strict=False)
    if len(shape) != len(kind.shape) or any(isinstance(want, int) and want != got for got, want in rest):
        wanted = ", ".join("?" if dim is None else str(dim) for dim in kind.shape)
        raise DataError(
            f"input {name!r} has shape {list(shape)}, the network takes [{wanted}]",
            hint="--preprocess layout=… or resize=… may help",
        )
    batch = kind.shape[0] if shape else None
    return batch if isinstance(batch, int) and batch > 0 and batch != shape[0] else None


def _as_type(name: str, value: Tensor, dtype: str) -> Tensor:
    """Floating point of another width is converted; integers for floats and the reverse are refused."""
    wanted: torch.dtype = getattr(torch, dtype)
    if value.dtype == wanted:
        return value
    if value.is_floating_point() and wanted.is_floating_point:
        return value.to(wanted)
    raise DataError(f"input {name!r} is {str(value.dtype).removeprefix('torch.')}, the network takes {dtype}")


@dataclass(frozen=True, slots=True)
class Schedule:
    """The nodes of a graph in order, and for each the values that nobody reads after it."""

    order: tuple[Node, ...]
    unread: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, graph: Graph) -> Schedule:
        order, last = graph.nodes, {}
        for index, node in enumerate(order):
            last.update(dict.fromkeys((*reads(node), *filter(None, node.outputs)), index))
        unread: list[list[str]] = [[] for _ in order]
        for name, index in last.items():
            if name not in graph.outputs:
                unread[index].append(name)
        return cls(order, tuple(map(tuple, unread)))


def _to_the_end(steps: Steps) -> dict[str, Tensor]:
    """What a run comes to that nobody stops."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: dict[str, Tensor] = end.value
            return found
