"""The reference: a graph executed by onnxruntime."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from pinat_compile.errors import DataError, ModelError
from pinat_compile.frontend.exporter import model_of
from pinat_compile.frontend.importer import describe
from pinat_compile.frontend.normalise import first_line
from pinat_compile.frontend.regions import graphs_in
from pinat_compile.graph.graph import Array, Graph, Node, Store
from pinat_compile.graph.types import TensorType

_LARGE = 1024
"""Tensors with more elements are handed to onnxruntime as they are; smaller ones go into the model's protobuf."""


class Reference:
    """A source graph in onnxruntime, quiet and deterministic (sequential, one inter-op thread).

    ``threads`` is the number of threads within an operator (default: onnxruntime's choice), ``taps`` names inner values
    that `run` returns beside the outputs. ``prepack``: weights are copied into the order that operators like best,
    which pays where there are many runs.

    A model whose inputs have a fixed first axis (a batch of 1, say) also accepts other numbers of samples: `run` feeds
    it piece by piece, the last piece filled up with its last sample, and joins the outputs along the first axis.
    """

    def __init__(
        self, graph: Graph, threads: int | None = None, *, taps: Sequence[str] = (), prepack: bool = True
    ) -> None:
        self.inputs = {name: graph.type_of(name) for name in graph.inputs}
        self.outputs = tuple(dict.fromkeys((*graph.outputs, *taps)))
        self._fixed = _fixed_batch(self.inputs)
        self._session = _session(graph, self.outputs, threads, prepack)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs and taps by name; raises DataError where an input is missing, unknown, or of wrong type or shape.

        float32 is converted where the model takes float16.
        """
        inputs = {name: _narrowed(array, self.inputs.get(name)) for name, array in inputs.items()}
        size = self._foreign_batch(inputs)
        if size is None or self._fixed is None:
            check_inputs(self.inputs, inputs)
            return self._run(inputs)
        pieces = -(-size // self._fixed)
        parts = list(_split({name: _fill(array, pieces * self._fixed) for name, array in inputs.items()}, pieces))
        check_inputs(self.inputs, parts[0])
        results = [self._run(part) for part in parts]
        joined = {name: np.concatenate([np.atleast_1d(r[name]) for r in results]) for name in self.outputs}
        return {name: array[: len(array) * size // (pieces * self._fixed)] for name, array in joined.items()}

    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        try:
            values = self._session.run(list(self.outputs), dict(inputs))
        except Exception as error:  # onnxruntime's own exception classes share no base
            raise DataError(f"onnxruntime cannot run the model on these inputs: {first_line(error)}") from None
        return dict(zip(self.outputs, values, strict=True))

    def _foreign_batch(self, inputs: Mapping[str, Array]) -> int | None:
        """The number of samples, where all inputs have as many and the model is fixed to another number."""
        sizes = {array.shape[0] if array.ndim else 0 for array in inputs.values()}
        if self._fixed is None or len(sizes) != 1 or sizes <= {0, self._fixed}:
            return None
        return sizes.pop()


def check_inputs(expected: Mapping[str, TensorType], inputs: Mapping[str, Array]) -> None:
    """Raise DataError unless ``inputs`` has exactly the arrays ``expected`` describes; equal names mean equal sizes."""
    names = ", ".join(f"{name} {describe(kind)}" for name, kind in expected.items())
    for name in inputs:
        if name not in expected:
            raise DataError(f"the model has no input {name!r}", hint=f"its inputs are: {names}")
    sizes: dict[str, int] = {}
    for name, kind in expected.items():
        if name not in inputs:
            raise DataError(f"input {name!r} is missing", hint=f"the model's inputs are: {names}")
        array = inputs[name]
        if not _fits(array, kind, sizes):
            got = describe(TensorType(str(array.dtype), array.shape))
            raise DataError(f"input {name!r} is {got}, the model expects {describe(kind)}", hint=_advice(array, kind))


def _narrowed(array: Array, kind: TensorType | None) -> Array:
    """float32, which data sets give, as float16 where the model takes that; everything else stays as it is."""
    narrow = kind is not None and kind.dtype == "float16" and array.dtype == np.float32
    return array.astype(np.float16) if narrow else array


def evaluate_constants(graph: Graph, nodes: Iterable[Node]) -> dict[str, Array]:
    """The values that ``nodes`` compute from tensors alone, by name; the nodes may read each other's results."""
    chosen = list(nodes)
    results = [name for node in chosen for name in node.outputs if name]
    if not results:
        return {}
    needed = {name for node in chosen for name in node.inputs} & graph.tensors.keys()
    store = Store({name: array for name, array in graph.tensors.items() if name in needed})
    constants = Graph("constants", (), results, nodes=chosen, store=store)
    return Reference(constants, threads=1).run({})


def _fits(array: Array, kind: TensorType, sizes: dict[str, int]) -> bool:
    if str(array.dtype) != kind.dtype:
        return False
    if kind.shape is None:
        return True
    if array.ndim != len(kind.shape):
        return False
    for size, dim in zip(array.shape, kind.shape, strict=True):
        wanted = sizes.setdefault(dim, size) if isinstance(dim, str) else dim
        if wanted is not None and wanted != size:
            return False
    return True


def _advice(array: Array, kind: TensorType) -> str | None:
    if str(array.dtype) != kind.dtype:
        return f"convert it with .astype({kind.dtype!r})"
    if kind.shape is not None and array.ndim == len(kind.shape) - 1:
        return "add the batch axis in front: array[None]"
    return None


def _fixed_batch(inputs: Mapping[str, TensorType]) -> int | None:
    firsts = {kind.shape[0] if kind.shape else None for kind in inputs.values()}
    first = firsts.pop() if len(firsts) == 1 else None
    return first if isinstance(first, int) and first > 0 else None


def _fill(array: Array, size: int) -> Array:
    """``size`` samples: the last one repeated."""
    return array if len(array) == size else np.concatenate([array, np.repeat(array[-1:], size - len(array), axis=0)])


def _split(inputs: Mapping[str, Array], pieces: int) -> Iterator[dict[str, Array]]:
    parts = {name: np.split(array, pieces) for name, array in inputs.items()}
    for index in range(pieces):
        yield {name: part[index] for name, part in parts.items()}


def _session(graph: Graph, outputs: Sequence[str], threads: int | None, prepack: bool) -> ort.InferenceSession:
    large = {name: array for name, array in graph.tensors.items() if array.size > _LARGE}
    small = [numpy_helper.from_array(a, name) for name, a in graph.tensors.items() if name not in large]
    model = model_of(graph, outputs, small + [_stub(name, array) for name, array in large.items()])
    for inner in graphs_in(model.graph):
        del inner.value_info[:]  # onnxruntime infers types itself and warns where ours are less exact
        if inner is not model.graph:
            for value in inner.output:  # of another shape in every branch or iteration, perhaps
                value.type.tensor_type.ClearField("shape")
    options = ort.SessionOptions()
    options.log_severity_level = 4  # fatal only: what goes wrong is raised
    options.use_deterministic_compute = True
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.inter_op_num_threads = 1
    if not prepack:
        options.add_session_config_entry("session.disable_prepacking", "1")
    if threads is not None:
        options.intra_op_num_threads = threads
    if large:
        values = [ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array)) for array in large.values()]
        options.add_external_initializers(list(large), values)
    try:
        return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exception classes share no base
        raise ModelError(f"onnxruntime does not accept the model: {first_line(error)}") from None


def _stub(name: str, array: Array) -> TensorProto:
    """An initialiser whose data onnxruntime takes from memory: it looks like external data."""
    tensor = TensorProto(name=name, data_type=helper.np_dtype_to_tensor_dtype(array.dtype), dims=array.shape)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="memory")
    return tensor
