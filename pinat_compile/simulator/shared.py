"""What chips that run the same inputs have in common: codes of the network's inputs, and how they are laid out."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from pinat_compile.simulator.operands import Operand


class Shared:
    """The operands of layers that read the network's inputs: made for the first chip, there for all others.

    One for each batch: what it keeps stays as long as it does.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[Tensor, Operand]] = {}

    def operand(self, node: str, x: Tensor, make: Callable[[], Operand]) -> Operand:
        """What ``make`` makes of ``x`` for ``node``, or made before of the same tensor."""
        known = self._known.get(node)
        if known is None or known[0] is not x:
            made = make()
            made.kept = {}
            known = self._known[node] = (x, made)
        return known[1]
