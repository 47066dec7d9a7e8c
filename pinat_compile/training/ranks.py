"""Processes that train one network together, each on some of the virtual chips of every batch.

torchrun starts them and says by environment variables who is who. All hold the same values; each takes its chips of a
batch, whose noise is keyed by step and chip, and the gradients are added up: what data-parallel training does (Li et
al., PVLDB 13, 3005 (2020)), with one sum per step.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from pinat_compile.training.settings import Settings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ranks:
    """``rank`` of this process among ``count``; ``ours``: the group was made here, and ends with `leave`."""

    rank: int = 0
    count: int = 1
    ours: bool = False

    @classmethod
    def join(cls, device: str) -> Ranks:
        """The group that is there, the one that torchrun announces (gloo on processors, NCCL on GPUs), or none."""
        ours = not distributed.is_initialized() and int(os.environ.get("WORLD_SIZE", "1")) > 1
        if ours:
            distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
        if not distributed.is_available() or not distributed.is_initialized():
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size(), ours)

    def leave(self) -> None:
        """End the group, where it was made by `join`."""
        if self.ours and distributed.is_initialized():
            distributed.destroy_process_group()

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and tells."""
        return self.rank == 0

    def settings(self, settings: Settings) -> Settings:
        """With the device of this process: the one of its number on its machine, where ``cuda`` was asked for."""
        if self.count == 1 or settings.device != "cuda":
            return settings
        return replace(settings, device=f"cuda:{os.environ.get('LOCAL_RANK', '0')}")

    def mine(self, items: Sequence[T]) -> list[T]:
        """The share of this process."""
        return list(items[self.rank :: self.count])

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Each becomes its sum over all processes, in one message, with the same bits everywhere."""
        held = list(tensors)
        if self.count == 1 or not held:
            return
        flat = torch.cat([tensor.flatten() for tensor in held])
        distributed.all_reduce(flat)
        for tensor, part in zip(held, torch.split(flat, [tensor.numel() for tensor in held]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def totals(self, numbers: Sequence[float], device: str) -> list[float]:
        """The sums of a few numbers over all processes."""
        if self.count == 1:
            return list(numbers)
        held = torch.tensor(numbers, dtype=torch.float64, device=device)
        distributed.all_reduce(held)
        return [float(number) for number in held]

    def agree(self, value: Any) -> Any:
        """What the first process says."""
        if self.count == 1:
            return value
        held = [value]
        distributed.broadcast_object_list(held)
        return held[0]
