"""Plain torch in another memory format, beside the one that everything is compared with."""

from __future__ import annotations

import torch

from benchmarks.speed.workloads import Job, Workload, plain

VARIANT = "channels last"


def variants(workload: Workload, *, train: bool) -> tuple[str, ...]:
    return () if workload.name == "linear" else (VARIANT,)


def job(workload: Workload, variant: str, *, train: bool) -> Job:
    return plain(workload, train=train, memory_format=torch.channels_last)
