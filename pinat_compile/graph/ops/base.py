"""What all operations share: a frozen dataclass whose fields are the operator's attributes."""

from __future__ import annotations

from dataclasses import dataclass

Ints = tuple[int, ...]
Floats = tuple[float, ...]
Strs = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Op:
    """One operation. The class name is the operator's name in ONNX (domain ``ai.onnx``, opset 20) and in the text form.

    Fields are attributes: ``int``, ``float``, ``str``, ``bool``, a tuple of one of these, or ``None`` for "not given".
    Operands are not fields; they stand on the node.
    """

    @classmethod
    def type_name(cls) -> str:
        return cls.__name__
