"""Operators that rearrange, join, cut or repeat, and those that read a shape."""

from __future__ import annotations

from dataclasses import dataclass

from pinat_compile.graph.ops.base import Ints, Op


@dataclass(frozen=True, slots=True)
class Identity(Op):
    """``x`` unchanged."""


@dataclass(frozen=True, slots=True)
class Dropout(Op):
    """``x`` unchanged, as dropout is at inference; operands ``(x, ratio?, training_mode?)``."""

    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Reshape(Op):
    """``x`` in another shape; operands ``(x, shape)``; 0 copies a size unless ``allowzero``, -1 is what remains."""

    allowzero: int = 0


@dataclass(frozen=True, slots=True)
class Flatten(Op):
    """``x`` as a matrix: the axes before ``axis`` are its rows."""

    axis: int = 1


@dataclass(frozen=True, slots=True)
class Transpose(Op):
    """The axes of ``x`` in the order ``perm``, reversed where it is empty."""

    perm: Ints = ()


@dataclass(frozen=True, slots=True)
class Squeeze(Op):
    """``x`` without the ``axes`` of size 1, or without all of them; operands ``(x, axes?)``."""


@dataclass(frozen=True, slots=True)
class Unsqueeze(Op):
    """``x`` with axes of size 1 inserted; operands ``(x, axes)``."""


@dataclass(frozen=True, slots=True)
class Concat(Op):
    """All operands joined along ``axis``."""

    axis: int


@dataclass(frozen=True, slots=True)
class Split(Op):
    """``x`` cut along ``axis`` into ``num_outputs`` parts or the sizes given; operands ``(x, sizes?)``."""

    axis: int = 0
    num_outputs: int | None = None


@dataclass(frozen=True, slots=True)
class Shape(Op):
    """The sizes of the axes ``start`` to ``end`` of ``x``, int64."""

    start: int = 0
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Size(Op):
    """The number of elements of ``x``, int64."""


@dataclass(frozen=True, slots=True)
class Expand(Op):
    """``x`` broadcast with a shape; operands ``(x, shape)``."""


@dataclass(frozen=True, slots=True)
class Tile(Op):
    """``x`` repeated along every axis; operands ``(x, repeats)``."""


@dataclass(frozen=True, slots=True)
class Pad(Op):
    """``x`` padded, or cut; operands ``(x, pads, value?, axes?)``; mode is constant, reflect, edge or wrap."""

    mode: str = "constant"


@dataclass(frozen=True, slots=True)
class Col2Im(Op):
    """Columns of blocks added up to an image; operands ``(x, image_shape, block_shape)``.

    ``x`` is [batch, channels * block, positions], the result [batch, channels, *image].
    """

    dilations: Ints = ()
    pads: Ints = ()
    strides: Ints = ()


@dataclass(frozen=True, slots=True)
class DepthToSpace(Op):
    """Blocks of channels become pixels; mode DCR (depth first) or CRD (columns first)."""

    blocksize: int
    mode: str = "DCR"


@dataclass(frozen=True, slots=True)
class SpaceToDepth(Op):
    """Blocks of pixels become channels; mode DCR (position in the block first) or CRD (channel first)."""

    blocksize: int
    mode: str = "DCR"
