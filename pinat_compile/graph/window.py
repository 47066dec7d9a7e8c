"""Windows that slide over an image: where ONNX's padding modes put them, and how many positions they have."""

from __future__ import annotations

from collections.abc import Sequence

from pinat_compile.graph.ops.base import Ints


def extent(kernel: Sequence[int], dilations: Sequence[int]) -> Ints:
    """What a dilated kernel covers along each axis."""
    return tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))


def resolve_pads(
    auto_pad: str,
    pads: Sequence[int],
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> Ints:
    """The padding, all begins then all ends, for an image of ``sizes``.

    NOTSET: ``pads`` as given, none where empty. VALID: none. SAME_UPPER and SAME_LOWER: so much that there are
    ceil(size / stride) positions, the odd one at the end or at the beginning.
    """
    if auto_pad in ("NOTSET", ""):
        return tuple(pads) or (0,) * (2 * len(kernel))
    if auto_pad == "VALID":
        return (0,) * (2 * len(kernel))
    totals = [
        max((-(-size // stride) - 1) * stride + cover - size, 0)
        for size, stride, cover in zip(sizes, strides, extent(kernel, dilations), strict=True)
    ]
    small, large = [total // 2 for total in totals], [total - total // 2 for total in totals]
    return tuple(small + large if auto_pad == "SAME_UPPER" else large + small)


def positions(
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Sequence[int],
    *,
    ceil_mode: bool = False,
) -> Ints:
    """How many positions a window has along each axis.

    With ``ceil_mode`` a last window may reach over the end, but must begin inside the image or its begin padding.
    """
    counts = []
    for axis, cover in enumerate(extent(kernel, dilations)):
        begin, end, stride = pads[axis], pads[axis + len(kernel)], strides[axis]
        span = sizes[axis] + begin + end - cover
        count = (-(-span // stride) if ceil_mode else span // stride) + 1
        if ceil_mode and (count - 1) * stride >= sizes[axis] + begin:
            count -= 1
        counts.append(max(count, 0))
    return tuple(counts)
