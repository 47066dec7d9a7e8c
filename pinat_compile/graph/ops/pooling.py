"""Pooling over windows and over whole planes; empty attributes mean ONNX's defaults."""

from __future__ import annotations

from dataclasses import dataclass

from pinat_compile.graph.ops.base import Ints, Op


@dataclass(frozen=True, slots=True)
class MaxPool(Op):
    """Largest element of every window of ``x``, and optionally its index in the flat ``x``."""

    auto_pad: str = "NOTSET"
    ceil_mode: int = 0
    dilations: Ints = ()
    kernel_shape: Ints = ()
    pads: Ints = ()
    storage_order: int = 0
    strides: Ints = ()


@dataclass(frozen=True, slots=True)
class AveragePool(Op):
    """Mean of every window of ``x``; padding counts where ``count_include_pad`` is 1."""

    auto_pad: str = "NOTSET"
    ceil_mode: int = 0
    count_include_pad: int = 0
    dilations: Ints = ()
    kernel_shape: Ints = ()
    pads: Ints = ()
    strides: Ints = ()


@dataclass(frozen=True, slots=True)
class LpPool(Op):
    """p-norm of every window of ``x``."""

    auto_pad: str = "NOTSET"
    ceil_mode: int = 0
    dilations: Ints = ()
    kernel_shape: Ints = ()
    p: int = 2
    pads: Ints = ()
    strides: Ints = ()


@dataclass(frozen=True, slots=True)
class GlobalMaxPool(Op):
    """Largest element of every plane of ``x``."""


@dataclass(frozen=True, slots=True)
class GlobalAveragePool(Op):
    """Mean of every plane of ``x``."""


@dataclass(frozen=True, slots=True)
class GlobalLpPool(Op):
    """p-norm of every plane of ``x``."""

    p: int = 2
