"""The type of a value: element type and shape, where a dimension may be symbolic or unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Dim = int | str | None
"""A known size, the name of a dynamic size (``"batch"``), or ``None`` for unknown."""


@dataclass(frozen=True, slots=True)
class TensorType:
    """Element type (a NumPy name, e.g. ``"float32"``) and shape; ``shape=None`` means unknown rank."""

    dtype: str
    shape: tuple[Dim, ...] | None = None

    @property
    def rank(self) -> int | None:
        return None if self.shape is None else len(self.shape)

    def bind(self, sizes: Mapping[str, int]) -> tuple[int | None, ...] | None:
        """The shape with named dimensions replaced by ``sizes``; ``None`` stands for what remains unknown."""
        if self.shape is None:
            return None
        return tuple(sizes.get(dim) if isinstance(dim, str) else dim for dim in self.shape)
