"""The typed operations, one module per family; ``OPS`` lists them all by name."""

from __future__ import annotations

from types import ModuleType

from pinat_compile.graph.ops import (
    activation,
    array,
    control,
    conversion,
    creation,
    elementwise,
    indexing,
    linear,
    logic,
    math,
    normalisation,
    pooling,
    product,
    recurrent,
    reduction,
    resize,
    shape,
)
from pinat_compile.graph.ops.base import Op


def _ops_of(module: ModuleType) -> list[type[Op]]:
    return [
        cls
        for cls in vars(module).values()
        if isinstance(cls, type) and issubclass(cls, Op) and cls.__module__ == module.__name__
    ]


FAMILIES: tuple[ModuleType, ...] = (
    array,
    linear,
    recurrent,
    product,
    normalisation,
    activation,
    math,
    elementwise,
    logic,
    conversion,
    reduction,
    pooling,
    resize,
    shape,
    indexing,
    creation,
    control,
)
ON_ARRAYS: frozenset[type[Op]] = frozenset((
    linear.Conv,
    linear.ConvTranspose,
    linear.Gemm,
    linear.MatMul,
    recurrent.LSTM,
    recurrent.GRU,
    recurrent.RNN,
    product.Einsum,
    product.MatMulInteger,
    product.ConvInteger,
))
"""Operators that run on arrays where their weights are constant."""
OPS: dict[str, type[Op]] = {cls.type_name(): cls for module in FAMILIES for cls in _ops_of(module)}
