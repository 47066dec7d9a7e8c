"""Element types that NumPy or torch lack: bfloat16, floats of 8 and 4 bits, integers of 4 and 2 bits.

torch holds bfloat16 and the floats of 8 bits; the others stand, number for number, in wider types (`CONTAINERS`), and
what they are is known from the operation. Conversions follow ONNX's table of the operator Cast.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pinat_compile.graph.graph import Array

FLOATS: dict[str, torch.dtype] = {
    "bfloat16": torch.bfloat16,
    "float8_e4m3fn": torch.float8_e4m3fn,
    "float8_e4m3fnuz": torch.float8_e4m3fnuz,
    "float8_e5m2": torch.float8_e5m2,
    "float8_e5m2fnuz": torch.float8_e5m2fnuz,
    "float8_e8m0fnu": torch.float8_e8m0fnu,
}
INTEGERS: dict[str, tuple[int, int]] = {"int4": (-8, 7), "uint4": (0, 15), "int2": (-2, 1), "uint2": (0, 3)}
"""Smallest and largest number."""
FLOAT4 = "float4_e2m1fn"
_FLOAT4 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
CONTAINERS: dict[str, torch.dtype] = {
    **{name: torch.uint8 if name.startswith("u") else torch.int8 for name in INTEGERS},
    FLOAT4: torch.float32,
}
"""What holds the numbers of a type that torch has not."""


def from_narrow(array: Array) -> Tensor:
    """A tensor with the values of an array of one of these types."""
    name = array.dtype.name
    if name in CONTAINERS:
        return torch.from_numpy(array.astype(str(CONTAINERS[name]).removeprefix("torch.")))
    bits = np.array(array, order="C").view(np.int16 if name == "bfloat16" else np.uint8)
    return torch.from_numpy(bits).view(FLOATS[name])


def to_float8(x: Tensor, name: str, *, saturate: bool, round_mode: str = "up") -> Tensor:
    """Rounded to the nearest; beyond the range the largest number, or without ``saturate`` infinity or not a number."""
    if name == "float8_e8m0fnu":
        return _to_e8m0(x.to(torch.float32), round_mode)
    dtype = FLOATS[name]
    wide = x.to(torch.float32)
    if name == "bfloat16":
        return wide.to(dtype)
    top = torch.finfo(dtype).max
    if saturate:
        return wide.clamp(-top, top).to(dtype)
    if name == "float8_e4m3fn":  # torch gives the largest number here too; halfway to the next, 464, still rounds to it
        wide = torch.where(wide.abs() > 464, torch.full_like(wide, torch.nan), wide)
    return wide.to(dtype)


def _to_e8m0(x: Tensor, round_mode: str) -> Tensor:
    """Powers of two from 2**-127 to 2**127, by their exponent."""
    logarithm = x.abs().clamp(min=2.0**-127).to(torch.float64).log2()
    rounding = {"up": torch.ceil, "down": torch.floor, "nearest": torch.round}[round_mode]
    codes = (rounding(logarithm) + 127).clamp(0, 254)
    return torch.where(x.isnan(), torch.full_like(codes, 255), codes).to(torch.uint8).view(torch.float8_e8m0fnu)


def to_float4(x: Tensor) -> Tensor:
    """The nearest of the sixteen numbers, ties to the even code; beyond them 6, for what is not a number -0."""
    table = torch.tensor(_FLOAT4, device=x.device)
    size = x.to(torch.float32).abs().nan_to_num(nan=0.0, posinf=6.0).clamp(max=6.0)
    above = torch.searchsorted(table, size).clamp(max=len(_FLOAT4) - 1)
    below = (above - 1).clamp(min=0)
    up, down = table[above] - size, size - table[below]
    code = torch.where((up < down) | ((up == down) & (above % 2 == 0)), above, below)
    negative = torch.signbit(x.to(torch.float32)) | x.isnan()
    return torch.where(negative, -table[code], table[code])


def to_integer(x: Tensor, name: str) -> Tensor:
    """Whole numbers: fractions cut off, and what does not fit wraps around."""
    low, high = INTEGERS[name]
    whole = x.to(torch.float32).trunc().to(torch.int32) if x.is_floating_point() else x.to(torch.int32)
    return ((whole - low).remainder(high - low + 1) + low).to(CONTAINERS[name])
