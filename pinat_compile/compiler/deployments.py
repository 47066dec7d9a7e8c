"""Deployments on disk: ``chips/<n>.safetensors`` in the compiled folder, one file per chip.

They are not named in the manifest: each stands for itself, says which network it belongs to, and carries a hash of its
tensors. A folder that is compiled again keeps the files; the new network refuses them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as from_safetensors
from safetensors.torch import save as to_safetensors
from torch import Tensor

from pinat_compile.compiler.folder import load
from pinat_compile.compiler.places import obstacle, write_aside
from pinat_compile.errors import FolderError
from pinat_compile.physics.placement import AT_G_MAX, AT_G_MIN, Placement
from pinat_compile.simulator.deployment import Deployment, Step

SCHEMA = "pinat-deployment/1"
_BY_NAME = ("drift_gains", "scales", "offsets", "mix_reads", "mix_writes")
"""Fields of a `Deployment` that hold a tensor per matrix or node."""
MOST_CELLS = 1 << 31
"""Of one matrix, at most."""
_STUCK = {"at_g_min": AT_G_MIN, "at_g_max": AT_G_MAX}
"""Cells known to be stuck are written by number, all others being healthy."""


def file_of(folder: str | Path, chip: int) -> Path:
    """Where the deployment of a chip lies."""
    return Path(folder) / "chips" / f"{chip}.safetensors"


def save_deployment(deployment: Deployment, folder: str | Path) -> Path:
    """Write ``deployment`` into the compiled folder it was made for; an earlier one of that chip is replaced.

    Raises FolderError where the folder cannot be written, OptionError where it holds another network.
    """
    compiled, path = load(folder), file_of(folder, deployment.chip)
    deployment.for_network(compiled.fingerprint, compiled.name)
    document, tensors = _parts(deployment)
    data = to_safetensors(tensors, {"deployment": json.dumps(document, allow_nan=False)})
    reason = obstacle(path.parent)
    try:
        if reason is None:
            path.parent.mkdir(exist_ok=True)
            write_aside(path, lambda file: file.write(data))
    except OSError as error:
        reason = error.strerror or str(error)
    if reason is not None:
        raise FolderError(f"{path}: cannot be written: {reason}", hint="check space and rights")
    return path


def load_deployment(folder: str | Path, chip: int) -> Deployment:
    """The deployment of ``chip`` that a compiled folder holds; FolderError where there is none or it is damaged."""
    path = file_of(folder, chip)
    if not path.is_file():
        raise FolderError(f"{path}: chip {chip} has no deployment", hint="evaluate DIR --deploy STEP,… --keep makes it")
    try:
        with safe_open(str(path), framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}
            document = json.loads((file.metadata() or {})["deployment"])
        if document["schema"] != SCHEMA:
            raise ValueError(f"its schema is {document['schema']}, this version reads {SCHEMA}")
        if document["tensors"] != _digest(tensors):
            raise ValueError("its tensors were changed")
        if document["chip"] != chip:
            raise ValueError(f"it is of chip {document['chip']}")
        return _deployment(document, tensors)
    except (
        SafetensorError, OSError, ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError
    ) as error:
        what = f"{path}: not a deployment that can be read: {error}"
        raise FolderError(what, hint="make it again: evaluate DIR --deploy STEP,… --keep") from None


def to_text(deployment: Deployment) -> str:
    """A deployment as text, for stores and for other processes."""
    document, tensors = _parts(deployment)
    return json.dumps({**document, "data": base64.b64encode(to_safetensors(tensors)).decode()}, allow_nan=False)


def from_text(text: str) -> Deployment:
    """The deployment that `to_text` wrote."""
    document = json.loads(text)
    return _deployment(document, from_safetensors(base64.b64decode(document["data"])))


def _parts(deployment: Deployment) -> tuple[dict[str, Any], dict[str, Tensor]]:
    tensors = {key: value.cpu().contiguous() for key, value in _tensors(deployment)}
    document = {"schema": SCHEMA, **deployment.to_dict(), "tensors": _digest(tensors), "cells": _shapes(deployment)}
    return document, tensors


def _tensors(deployment: Deployment) -> Iterator[tuple[str, Tensor]]:
    for field in _BY_NAME:
        yield from ((f"{field}:{name}", value) for name, value in getattr(deployment, field).items())
    for name, placement in deployment.placements.items():
        yield f"rows:{name}", placement.rows.int()
        yield f"cols:{name}", placement.cols.int()
        yield f"swapped:{name}", placement.swapped
        for state, code in _STUCK.items():
            yield f"{state}:{name}", (placement.known.flatten() == code).nonzero().flatten()


def _shapes(deployment: Deployment) -> dict[str, list[int]]:
    """[row_tile, col_tile, slice, rows, cols, device] of the cells of every placed matrix."""
    return {name: list(placement.known.shape) for name, placement in deployment.placements.items()}


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(repr((name, tuple(value.shape), str(value.dtype))).encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def _deployment(document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Deployment:
    parts: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        field, _, name = key.partition(":")
        parts.setdefault(field, {})[name] = value
    fields: dict[str, Any] = {
        key: document[key] for key in ("network", "chip", "time_s", "temperature_k", "severity", "seed")
    }
    fields["steps"] = tuple(Step(**step) for step in document["steps"])
    fields["placements"] = {name: _placement(name, shape, parts) for name, shape in document["cells"].items()}
    fields.update({field: parts.get(field, {}) for field in _BY_NAME})
    return Deployment(**fields)


def _placement(name: str, shape: list[int], parts: Mapping[str, Mapping[str, Tensor]]) -> Placement:
    if math.prod(shape) > MOST_CELLS:
        raise ValueError(f"{name} has {math.prod(shape):,} cells, at most {MOST_CELLS:,} are read")
    known = torch.zeros(shape, dtype=torch.int8)
    for state, code in _STUCK.items():
        known.view(-1)[parts[state][name]] = code
    return Placement(parts["rows"][name].long(), parts["cols"][name].long(), parts["swapped"][name], known)
