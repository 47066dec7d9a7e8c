"""``compile``: import, lower, calibrate, plan."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pinat_compile.compiler.compiled import Compiled, Options
from pinat_compile.data import Dataset, Preprocess, as_dataset, load_data
from pinat_compile.errors import DataError, ModelError, OptionError
from pinat_compile.frontend import Reference, import_model
from pinat_compile.frontend.calibration import calibrate
from pinat_compile.graph import Array, Graph, TensorType
from pinat_compile.hardware.loader import load_target
from pinat_compile.hardware.schema import Target
from pinat_compile.passes import Observer, Pass, PassRecord, keeping, lowering, planning, preparing, run_passes

CALIBRATION_SAMPLES = 256
"""Samples taken from the calibration data."""
SYNTHETIC_NUMBERS = 1 << 26
"""Numbers in a random input, at most."""
LARGEST_INPUT = 1 << 40
"""Numbers in an input whose sizes the network itself fixes, at most."""
OPEN_SIZES = (1, 16, 64, 256, 1024, 16384)
"""Tried for sizes that the network leaves open, where random inputs are made."""
SYNTHETIC_SAMPLES = 8
"""Random inputs made where no data are given and none that is shipped fits."""


def compile(  # noqa: A001  the public name
    model: Any,
    target: str | Path | Target = "reram_128x128",
    *,
    calibration: Any = None,
    example_inputs: Any = None,
    digital: Sequence[str] = (),
    analog: Sequence[str] = (),
    bind: Mapping[str, int] | None = None,
    overrides: Sequence[str] = (),
    preprocess: Preprocess | None = None,
    share_weights: bool = True,
    repeat: Mapping[str, int] | None = None,
    observer: Observer | None = None,
) -> Compiled:
    """Compile a network onto a target.

    ``model``: a path, bytes or ModelProto in ONNX form, or a ``torch.nn.Module`` with ``example_inputs``.
    ``target``: a shipped name or a TOML file, which ``overrides`` change (``"adc.bits=6"``), or a `Target`.
    ``calibration``: a data set, its specification, arrays, or an iterable of input batches; without one a shipped
    sample is used where it fits the network's input, else random inputs (the result's calibration says which).
    ``digital``, ``analog``: nodes for which the caller decides; ``bind``: values of named dimensions. ``repeat``: how
    often nodes stand on arrays, whose mean goes on; devices of their own for each.

    Raises ModelError, TargetError, DataError or OptionError, each saying where, what, and what to try.
    """
    chosen = target if isinstance(target, Target) else load_target(target, overrides)
    source, sha256 = _imported(model, example_inputs, bind)
    _check_inputs(source)
    options = Options(
        model=_model_name(model, source),
        model_sha256=sha256,
        digital=tuple(digital),
        analog=tuple(analog),
        share_weights=share_weights,
        repeat=dict(repeat or {}),
        bind=dict(bind or {}),
        overrides=tuple(overrides),
        preprocess=preprocess or Preprocess(),
    )
    plain, prepared = prepare(source, options, observer)
    lowered, lower_records = run_passes(plain, _lowering(options, {}), observer)
    _check_weights(lowered)
    batches, origin = _calibration_batches(source, calibration, options)
    statistics = calibrate(plain, lowered, batches, source=origin)
    mapped, records = run_passes(lowered, planning(chosen, statistics), observer)
    return Compiled(source, mapped, chosen, options, statistics, (*prepared, *lower_records, *records))


def prepare(
    source: Graph, options: Options, observer: Observer | None = None
) -> tuple[Graph, tuple[PassRecord, ...]]:
    """The first part of the pipeline: from the imported graph to plain layers, each with its place."""
    return run_passes(source, preparing(digital=options.digital, analog=options.analog), observer)


def recompile(
    compiled: Compiled,
    *,
    trained: Mapping[str, Array] | None = None,
    target: Target | None = None,
    options: Options | None = None,
    keep_plan: bool = True,
    ranges: Mapping[str, Array] | None = None,
    observer: Observer | None = None,
) -> Compiled:
    """Run the pipeline again from what a compiled network holds: its source, its trained values (or ``trained``).

    ``keep_plan``: cut, scales, ranges and arrays stay as they are (``ranges`` replaces the numbers of some); otherwise
    everything is planned anew for ``target``. Nothing is calibrated again.
    """
    options = options or compiled.options
    chosen = target or compiled.target
    values = compiled.trained if trained is None else trained
    plain, first = prepare(compiled.source, options, observer)
    lowered, second = run_passes(plain, _lowering(options, values), observer)
    planned = compiled.graph
    if ranges:
        planned = planned.copy()
        planned.tensors.update(ranges)
    known = compiled.calibration.covering(lowered)
    passes = keeping(planned, chosen) if keep_plan else planning(chosen, known)
    mapped, third = run_passes(lowered, passes, observer)
    return Compiled(compiled.source, mapped, chosen, options, known, (*first, *second, *third))


def _lowering(options: Options, trained: Mapping[str, Array]) -> tuple[Pass, ...]:
    return lowering(share=options.share_weights, repeat=options.repeat, trained=trained)


def _imported(model: Any, example_inputs: Any, bind: Mapping[str, int] | None) -> tuple[Graph, str | None]:
    if hasattr(model, "state_dict"):
        if example_inputs is None:
            raise ModelError("a torch module needs example inputs to be exported", hint="give example_inputs=(tensor,)")
        from pinat_compile.frontend.torch_export import export_module

        model = export_module(model, example_inputs)
    sha256 = None
    if isinstance(model, str | Path) and Path(model).is_file():
        with open(model, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return import_model(model, bind=bind), sha256


def _check_inputs(source: Graph) -> None:
    """ModelError for a network that takes nothing, or that takes inputs of no or impossible size."""
    if not source.inputs:
        raise ModelError("the network has no inputs", hint="export it with its inputs as inputs, not as constants")
    for name in source.inputs:
        sizes = [size for size in source.type_of(name).shape or () if isinstance(size, int)]
        if min(sizes, default=1) < 1 or math.prod(sizes) > LARGEST_INPUT:
            raise ModelError(
                f"input {name!r} has shape {list(source.type_of(name).shape or ())}",
                hint="--bind NAME=SIZE gives an input its size; or export the network again",
            )


def _check_weights(lowered: Graph) -> None:
    """ModelError for infinite weights on arrays; elsewhere (masks) they have their use."""
    for matrix in lowered.matrices.values():
        if not np.isfinite(lowered.tensors[matrix.weight]).all():
            raise ModelError(
                f"matrix {matrix.name!r}: its weights are not all finite", hint="train or export the network again"
            )


def _model_name(model: Any, source: Graph) -> str:
    return Path(model).stem if isinstance(model, str | Path) else source.name


def _calibration_batches(
    source: Graph, calibration: Any, options: Options
) -> tuple[list[dict[str, Array]], str]:
    """Input batches, and where they come from in words."""
    if calibration is None:
        return _stand_in(source, options)
    if (whole := _whole_batches(calibration, source)) is not None:
        return whole, f"{len(whole)} input batches"
    data = as_dataset(calibration, inputs=source.inputs, preprocess=options.preprocess, split="train")
    size = min(len(data), CALIBRATION_SAMPLES)
    return _one_batch(data, size), f"{size} samples of {data.name}"


def _whole_batches(calibration: Any, source: Graph) -> list[dict[str, Array]] | None:
    """Batches whose inputs are not all counted by samples (states beside a sequence, say): they are run as they are."""
    batches = [calibration] if isinstance(calibration, Mapping) else calibration
    if not isinstance(batches, list | tuple) or not all(isinstance(batch, Mapping) for batch in batches):
        return None
    arrays = [{name: np.asarray(value) for name, value in batch.items()} for batch in batches]
    counts = [{x.shape[:1] for name, x in batch.items() if name in source.inputs} for batch in arrays]
    return arrays if any(len(sizes) > 1 for sizes in counts) else None


def _one_batch(data: Dataset, size: int) -> list[dict[str, Array]]:
    """``size`` samples, evenly over the data: they may be sorted by class."""
    return [dict(batch.inputs) for batch in data.spread(size).batches(size)]


def _stand_in(source: Graph, options: Options) -> tuple[list[dict[str, Array]], str]:
    """Calibration without data: the shipped sample where its shape fits, else random inputs."""
    kinds = {name: source.type_of(name) for name in source.inputs}
    if len(kinds) == 1 and _takes_fashion_mnist(next(iter(kinds.values()))):
        sample = load_data("fashion-mnist-mini@train", inputs=source.inputs, preprocess=options.preprocess)
        origin = f"{CALIBRATION_SAMPLES} shipped samples (fashion-mnist-mini), as no --calibrate was given"
        return _one_batch(sample, CALIBRATION_SAMPLES), origin
    origin = "random inputs, as no --calibrate was given: ranges do not fit real data"
    return [_random_batch(source, kinds, options)], origin


def _random_batch(source: Graph, kinds: Mapping[str, TensorType], options: Options) -> dict[str, Array]:
    """A random input that the network takes: sizes that it leaves open are tried in turn."""
    for open_size in OPEN_SIZES:
        generator = np.random.Generator(np.random.Philox(key=0))
        batch = {name: _random(kind, options.bind, generator, open_size) for name, kind in kinds.items()}
        if not _leaves_sizes_open(kinds, options) or _runs(source, batch):
            return batch
    raise DataError(
        f"calibration: the network takes random inputs of none of the sizes {', '.join(map(str, OPEN_SIZES))}",
        hint="--bind NAME=SIZE says how large a named dimension is, --calibrate DATA takes your samples",
    )


def _leaves_sizes_open(kinds: Mapping[str, TensorType], options: Options) -> bool:
    return any(None in (kind.bind(options.bind) or ())[1:] for kind in kinds.values())


def _runs(source: Graph, batch: Mapping[str, Array]) -> bool:
    try:
        Reference(source, threads=1).run(batch)
    except DataError:
        return False
    return True


def _takes_fashion_mnist(kind: TensorType) -> bool:
    return kind.dtype == "float32" and kind.shape is not None and kind.shape[1:] == (1, 28, 28)


def _random(kind: TensorType, bind: Mapping[str, int], generator: np.random.Generator, open_size: int) -> Array:
    """Random numbers in [0, 1) (integers: 0) of a shape whose unknown sizes are ``open_size``, the first one few."""
    bound = kind.bind(bind)
    sizes = (None,) if bound is None else bound
    shape = tuple(
        size if size is not None else (SYNTHETIC_SAMPLES if axis == 0 else open_size) for axis, size in enumerate(sizes)
    )
    if math.prod(shape) > SYNTHETIC_NUMBERS:
        raise OptionError(
            f"calibration: a random input {list(shape)} would have {math.prod(shape):,} numbers",
            hint="--bind NAME=SIZE makes a named dimension smaller, --calibrate DATA takes your samples",
        )
    if kind.dtype.startswith("float"):
        return generator.random(shape, dtype=np.float32).astype(kind.dtype)
    return np.zeros(shape, kind.dtype)
