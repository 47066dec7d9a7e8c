"""A batch of training samples, and how it is dealt out to virtual chips."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass
class Batch:
    """Inputs, labels and the original network's outputs of some samples; the last two where they are known."""

    inputs: dict[str, Tensor]
    labels: Tensor | None
    taught: Tensor | None

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def part(self, of: slice) -> Batch:
        labels, taught = (None if x is None else x[of] for x in (self.labels, self.taught))
        return Batch({name: value[of] for name, value in self.inputs.items()}, labels, taught)


def parts_of(size: int, count: int) -> list[slice]:
    """``size`` samples in ``count`` parts, none empty where there are enough."""
    cuts = [size * i // count for i in range(count + 1)]
    return [slice(a, b) for a, b in zip(cuts, cuts[1:], strict=False) if b > a] or [slice(0, size)]
