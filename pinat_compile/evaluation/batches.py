"""Data through a network in batches: of which size, and all outputs of one simulator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from pinat_compile.compiler.compiled import Compiled
from pinat_compile.data import Dataset
from pinat_compile.errors import DataError, PinatError
from pinat_compile.graph import Array
from pinat_compile.simulator.finite import check_finite
from pinat_compile.simulator.module import Simulator

BATCH_SIZE = 64
"""Samples that run together by default: small enough for their values to stay in the processor's caches."""

Watcher = Callable[[int, int], None]
"""Called with the samples done and the samples to do, counted once for every network that they run through."""


def outputs_of(
    compiled: Compiled, simulator: Simulator, data: Dataset, *, progress: Watcher | None = None
) -> dict[str, Array]:
    """All outputs of ``simulator`` for ``data``, by name; DataError where types or shapes do not fit."""
    expected = {name: compiled.graph.type_of(name).dtype for name in compiled.graph.inputs}
    parts: dict[str, list[Array]] = {}
    done = 0
    for batch in data.batches(fitting_batch_size(compiled, data)):
        for name, x in batch.inputs.items():
            if str(x.dtype) != expected[name] and (str(x.dtype), expected[name]) != ("float32", "float16"):
                raise DataError(
                    f"{data.name}: input {name!r} is {x.dtype}, the network takes {expected[name]}",
                    hint=f"convert it with .astype({expected[name]!r})",
                )
        inputs = {name: torch.from_numpy(np.ascontiguousarray(x)) for name, x in batch.inputs.items()}
        with torch.inference_mode():
            found = simulator.run(inputs)
            check_finite(simulator, found, inputs, data.name, first_sample=done)
        for name in compiled.graph.outputs:
            parts.setdefault(name, []).append(np.atleast_1d(found[name].numpy(force=True)))
        done += len(next(iter(inputs.values())))
        if progress is not None:
            progress(done, len(data))
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def fitting_batch_size(compiled: Compiled, data: Dataset, size: int = BATCH_SIZE) -> int:
    """``size``, unless the model's fixed batch is baked into it: then that batch."""
    shapes = [compiled.source.type_of(name).shape for name in compiled.source.inputs]
    fixed = shapes[0][0] if shapes and shapes[0] else None
    if not isinstance(fixed, int) or fixed < 1:
        return size
    if len(data) < 2 * fixed:
        return fixed
    return max(size // fixed, 1) * fixed if _takes_any_batch(compiled, data, fixed) else fixed


def _takes_any_batch(compiled: Compiled, data: Dataset, fixed: int) -> bool:
    """Whether two of the model's batches, run as one, give what they give one after the other."""
    batch = next(data.batches(2 * fixed))
    inputs = {name: torch.from_numpy(np.ascontiguousarray(x)) for name, x in batch.inputs.items()}
    try:
        with torch.inference_mode():
            exact = compiled.simulator(noise=False, analog=())
            found = exact.run(inputs)[compiled.graph.outputs[0]]
            apart = exact.run({name: x[:fixed] for name, x in inputs.items()})[compiled.graph.outputs[0]]
    except (RuntimeError, PinatError):
        return False
    return len(found) == 2 * len(apart) and bool(torch.isclose(found[: len(apart)], apart, rtol=1e-3, atol=1e-4).all())
