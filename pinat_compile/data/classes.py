"""Where a network's output holds its classes."""

from __future__ import annotations

from collections.abc import Sequence


def class_axis(outputs: Sequence[int], labels: Sequence[int] | None = None) -> int:
    """The axis, of the shape ``outputs``, that holds one score per class: the one that the shape ``labels`` lacks.

    Without labels the last of [n, classes] and [n, sequence, classes], else axis 1 ([n, classes, *spatial]).
    """
    rank = len(outputs)
    if labels is not None:
        for axis in (1, rank - 1):
            if (*outputs[1:axis], *outputs[axis + 1 :]) == tuple(labels[1:]):
                return axis
    return rank - 1 if rank <= 3 else 1
