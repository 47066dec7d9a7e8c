"""How much memory a job takes at most, as Linux counts it."""

from __future__ import annotations

import ctypes
import gc
import re
from collections.abc import Callable
from pathlib import Path

from benchmarks.speed.workloads import Job, Unavailable

STEPS = 3


def peak_bytes(make: Callable[[], Job]) -> int:
    """The most resident memory while the job that ``make`` returns runs, less what was resident before ``make``.

    Parameters, inputs and what a tool keeps between runs count; what only making it takes does not.
    """
    before = _resident("VmRSS")
    job = make()
    _forget_peak()
    for _ in range(STEPS):
        job()
    return _resident("VmHWM") - before


def _resident(key: str) -> int:
    """VmRSS (now) or VmHWM (the most since the peak was forgotten), in bytes, once free memory is given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    found = re.search(rf"{key}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if found is None:
        raise Unavailable("this system does not tell how much memory a process takes")
    return int(found[1]) * 1024


def _forget_peak() -> None:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        raise Unavailable("this system cannot reset a process's peak of memory") from None
