"""Checkpoints: one file that holds all that a run has found so far; a run that goes on from it ends the same.

Every draw is keyed by seed and step, so there is no state of a random generator to keep. The file is safetensors, its
header the rest as JSON; it is written aside and put in its place at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor

from pinat_compile.compiler.places import write_aside
from pinat_compile.errors import FolderError

SCHEMA = "pinat-checkpoint/1"


@dataclass
class Standing:
    """Where a run stands: steps done, losses since the last judgement, judgements, the best of them and when it was.

    ``stale``: judgements since the best one. ``stopped``: early.
    """

    step: int = 0
    losses: list[float] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    best: float = 0.0
    kept: float = 0
    stale: int = 0
    stopped: bool = False


def save_checkpoint(path: Path, standing: Standing, groups: Mapping[str, Mapping[str, Tensor]], run: str) -> None:
    """Write where a run stands and its groups of tensors; ``run`` says which run it is."""
    tensors = {f"{group}:{name}": value.detach().cpu().contiguous().clone()
               for group, held in groups.items() for name, value in held.items()}
    header = {"schema": SCHEMA, "run": run, "standing": json.dumps(asdict(standing))}

    def write(file: BinaryIO) -> None:
        file.write(to_safetensors(tensors, metadata=header))

    path.parent.mkdir(parents=True, exist_ok=True)
    write_aside(path, write)


def load_checkpoint(path: Path, run: str) -> tuple[Standing, dict[str, dict[str, Tensor]]]:
    """What `save_checkpoint` wrote; FolderError where the file is damaged or belongs to another run."""
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
        standing = Standing(**json.loads(header["standing"])) if header.get("schema") == SCHEMA else None
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise FolderError(f"checkpoint {path}: cannot be read: {error}", hint="start again without --resume") from None
    if standing is None:
        raise FolderError(f"checkpoint {path}: not a checkpoint of this version", hint="start again without --resume")
    if header.get("run") != run:
        raise FolderError(
            f"checkpoint {path}: another network, other data or other settings",
            hint="resume with what the run was started with, or start again without --resume",
        )
    groups: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        group, _, rest = name.partition(":")
        groups.setdefault(group, {})[rest] = value
    return standing, groups
