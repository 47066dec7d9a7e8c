"""A bench: devices that are programmed once and read several times, with the physics of the simulator."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pinat_compile.hardware.device import Device
from pinat_compile.physics.devices import Draws, draw_roles, has_slow_noise, hold, read_variance_us2

Columns = dict[str, Any]


def measure(
    device: Device, targets_us: Any, times_s: list[float], *, seed: int, per_target: int = 40, reads: int = 3,
    temperature_k: float = 300.0, defects: bool = False,
) -> Columns:
    """Columns of reads of ``per_target`` devices of each target; the same devices, with their draws, at all times."""
    generator = torch.Generator().manual_seed(seed)

    def normal() -> torch.Tensor:
        return torch.randn(g.shape, generator=generator, dtype=torch.float64)

    g = torch.tensor(np.repeat(targets_us, per_target), dtype=torch.float64)
    roles = [role for role, _ in draw_roles(device) if defects or role not in ("mismatch", "stuck")]
    draws: dict[str, torch.Tensor] = {
        role: torch.rand(g.shape, generator=generator, dtype=torch.float64) if role == "stuck" else normal()
        for role in roles
    }
    columns: dict[str, list[Any]] = {name: [] for name in ("g_target_us", "g_us", "time_s", "temperature_k", "device")}
    low, high = (device.cell.g_min_us, device.cell.g_max_us) if device.cell.bounded else (0.0, np.inf)
    for time in times_s:
        now = draws | ({"slow": normal()} if has_slow_noise(device, time) else {})
        held = hold(device, g, Draws(**now), time_s=time, temperature_k=temperature_k)
        variance = read_variance_us2(device, held.settled, time_s=time, programmed_us=held.programmed)
        for _ in range(reads):
            read = (held.now + torch.as_tensor(variance) ** 0.5 * normal()).clamp(low, high)
            same = [time] * len(g), [temperature_k] * len(g), list(range(len(g)))
            rows: tuple[list[Any], ...] = (g.tolist(), read.tolist(), *same)
            for name, values in zip(columns, rows, strict=True):
                columns[name] += values
    return {name: np.array(values) for name, values in columns.items()}
