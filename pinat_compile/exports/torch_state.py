"""The trained values as the state dict of the torch module that was compiled.

Between a module's parameters and the network's tensors stand torch's exporter and our passes, which transpose, cut,
reorder and join. Instead of undoing them, the module is exported once more with numbers in place of its parameters:
where a number comes out, that parameter's value went in.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pinat_compile.compiler.build import prepare
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.errors import ModelError
from pinat_compile.exports.network import trained_graph
from pinat_compile.frontend import Reference, import_model
from pinat_compile.frontend.torch_export import export_module
from pinat_compile.graph import Array, Graph

FIRST = 1 << 17
"""The first number: constants of the network are smaller, or not whole."""
LAST = 1 << 24
"""Up to here every whole number is a float32."""
TOLERANCE = 1e-4
"""Largest error, relative to the largest output, of the module with the state dict against the trained network."""


def state_dict(compiled: Compiled, module: nn.Module, example_inputs: Any) -> dict[str, Tensor]:
    """The trained values of ``compiled``, as a state dict that ``module.load_state_dict`` takes.

    ``module`` and ``example_inputs`` are those that were compiled; the module is left as it is. Batch norms, which are
    folded into the layers before them, get mean 0, variance 1 and weight 1 and keep a bias. The result is tried out on
    the example inputs.

    Raises ModelError where the module is another one, has more than 16 million parameters, or has no place for a
    trained value (a bias that a layer did not have, say).
    """
    numbered = _neutral(module)
    ranges = _number(numbered)
    tracks, _ = prepare(_imported(numbered, example_inputs, compiled), compiled.options)
    plain, _ = prepare(compiled.source, compiled.options)
    state = {name: value.clone() for name, value in _neutral(module).state_dict().items()}
    flat = np.concatenate([np.zeros(0, np.float32), *(state[name].numpy().reshape(-1) for name in ranges)])
    trained = trained_graph(compiled) if compiled.trained else plain
    for old, new in _trained_tensors(plain, trained):
        if old not in tracks.tensors or tracks.tensors[old].shape != new.shape:
            raise _no_place(compiled, old)
        places = tracks.tensors[old].astype(np.int64) - FIRST
        inside = (places >= 0) & (places < len(flat)) & (tracks.tensors[old] == places + FIRST)
        if inside.all():
            flat[places] = new
        elif inside.any() or not np.array_equal(new, plain.tensors[old]):
            raise _no_place(compiled, old)
    for name, (first, last) in ranges.items():
        state[name] = torch.from_numpy(flat[first:last]).reshape(state[name].shape).to(state[name].dtype)
    _try_out(module, state, trained, example_inputs)
    return state


def _no_place(compiled: Compiled, tensor: str) -> ModelError:
    return ModelError(
        f"{compiled.name}: the module has no parameter for the trained value {tensor!r}",
        hint="give the module and the inputs that were compiled; export(…) writes every network as ONNX",
    )


def _neutral(module: nn.Module) -> nn.Module:
    """A copy in which batch norms only add."""
    copy = deepcopy(module).eval()
    with torch.no_grad():
        for part in copy.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_var is not None:
                part.running_var.fill_(1 - part.eps)
                assert part.running_mean is not None
                part.running_mean.zero_()
                if part.weight is not None:
                    part.weight.fill_(1)
    return copy


def _kept(name: str, module: nn.Module) -> bool:
    """Whether `_neutral` has given the entry its value."""
    owner, _, last = name.rpartition(".")
    part = module.get_submodule(owner)
    return isinstance(part, nn.modules.batchnorm._BatchNorm) and last != "bias"


def _number(module: nn.Module) -> dict[str, tuple[int, int]]:
    """Put whole numbers in the place of all floating-point entries; where each begins and ends, from 0."""
    ranges: dict[str, tuple[int, int]] = {}
    first = 0
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if value.is_floating_point() and not _kept(name, module):
                ranges[name] = first, first + value.numel()
                first += value.numel()
                value.copy_(torch.arange(*ranges[name]).reshape(value.shape) + FIRST)
    if first + FIRST > LAST:
        raise ModelError(f"the module has {first:,} values; a state dict is made of up to {LAST - FIRST:,}")
    return ranges


def _imported(module: nn.Module, example_inputs: Any, compiled: Compiled) -> Graph:
    return import_model(export_module(module, example_inputs), bind=compiled.options.bind)


def _trained_tensors(plain: Graph, trained: Graph) -> Iterator[tuple[str, Array]]:
    """The name of every floating-point tensor that nodes read, and its trained value."""
    before = {node.name: node for _, node in plain.walk()}
    seen: set[str] = set()
    for _, found in trained.walk():
        node = before.get(found.name)
        if node is None or len(found.inputs) > len(node.inputs):
            raise ModelError(
                f"node {found.name!r}: is or has a bias that was learnt, for which the module has no parameter",
                hint="give the layer a bias before it is compiled; export(…) writes every network as ONNX",
            )
        for old, new in zip(node.inputs, found.inputs, strict=False):
            if old in plain.tensors and old not in seen and plain.tensors[old].dtype.kind == "f":
                seen.add(old)
                yield old, trained.tensors[new]


def _try_out(module: nn.Module, state: dict[str, Tensor], trained: Graph, example_inputs: Any) -> None:
    """Raise ModelError unless the module with ``state`` computes what the trained network computes."""
    inputs = example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)
    copy = deepcopy(module).eval()
    copy.load_state_dict(state)
    named = {name: value.detach().cpu().numpy() for name, value in zip(trained.inputs, inputs, strict=True)}
    expected = Reference(trained).run(named)[trained.outputs[0]]
    with torch.no_grad():
        got = copy(*inputs)
    first = (got if isinstance(got, Tensor) else got[0]).cpu().numpy()
    error = float(np.abs(first - expected).max() / max(float(np.abs(expected).max()), 1e-30))
    if first.shape != expected.shape or not error <= TOLERANCE:
        raise ModelError(
            f"{trained.name}: the module with the trained values deviates from the network by {error:.1e}",
            hint="give the module and the inputs that were compiled; export(…) writes every network as ONNX",
        )
