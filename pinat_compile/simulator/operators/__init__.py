"""The digital operators in torch: one module per family, and the table of all of them.

Gradients flow through every operator that has one. Where tensors live is said in `base`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from pinat_compile.errors import GraphError
from pinat_compile.graph.ops import ON_ARRAYS, OPS
from pinat_compile.graph.ops.base import Op
from pinat_compile.graph.ops.control import REGIONS
from pinat_compile.simulator.operators import (
    activation,
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
from pinat_compile.simulator.operators.base import Executor, Operands, stays_on_cpu, together

__all__ = ["ALL_OUTPUTS", "EXECUTORS", "Support", "execute", "stays_on_cpu", "supported_operators"]

EXECUTORS: dict[type[Op], Executor] = {
    **linear.EXECUTORS,
    **recurrent.EXECUTORS,
    **product.EXECUTORS,
    **normalisation.EXECUTORS,
    **activation.EXECUTORS,
    **math.EXECUTORS,
    **elementwise.EXECUTORS,
    **logic.EXECUTORS,
    **conversion.EXECUTORS,
    **reduction.EXECUTORS,
    **pooling.EXECUTORS,
    **resize.EXECUTORS,
    **shape.EXECUTORS,
    **indexing.EXECUTORS,
    **creation.EXECUTORS,
}
"""How each operation is computed."""

ALL_OUTPUTS: dict[type[Op], Executor] = {**normalisation.ALL_OUTPUTS, **pooling.ALL_OUTPUTS, **shape.ALL_OUTPUTS}
"""The same for operations with rarely wanted further outputs: all outputs, at a higher cost."""


def execute(op: Op, operands: Operands, outputs: int = 1) -> tuple[Tensor, ...]:
    """The outputs of ``op``; ``None`` among ``operands`` is an absent one, ``outputs`` the number that is wanted.

    Operands that lie on the CPU follow those on an accelerator. Raises GraphError where ``op`` has no implementation.
    """
    table = ALL_OUTPUTS if outputs > 1 and type(op) in ALL_OUTPUTS else EXECUTORS
    executor = table.get(type(op))
    if executor is None:
        raise GraphError(f"operator {op.type_name()} cannot run digitally")
    return executor(op, together(op, operands))


@dataclass(frozen=True, slots=True)
class Support:
    """Where an operator runs: ``analog`` means on arrays where one operand is constant, else digital."""

    name: str
    where: Literal["analog", "digital"]
    summary: str


def supported_operators() -> tuple[Support, ...]:
    """Every ONNX operator that runs, by name."""
    return tuple(
        Support(cls.type_name(), "analog" if cls in ON_ARRAYS else "digital", _summary(cls))
        for cls in sorted((*EXECUTORS, *REGIONS), key=lambda cls: cls.type_name())
        if cls.type_name() in OPS
    )


def _summary(cls: type[Op]) -> str:
    return (cls.__doc__ or "").splitlines()[0]
