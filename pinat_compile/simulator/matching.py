"""A scale and an offset per output channel, so that a chip's layers give what the ideal mapped network gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pinat_compile.simulator.module import Steps

Kind = Literal["moments", "bias", "affine"]

LARGEST_SCALE = 10.0
"""Scales stay within its inverse and this: a channel that is farther off is not a matter of scale."""
DEAD = 1e-3
"""A channel whose deviation is below this share of its layer's is dead and keeps scale 1."""


@dataclass(frozen=True, slots=True)
class Match:
    """Of one layer [outputs]; ``live``: channels whose scale was free to change."""

    scale: Tensor
    offset: Tensor
    live: Tensor


def match(kind: Kind, found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Match:
    """The affine that brings ``found`` to ``wanted``, both pieces [..., outputs] of the same samples.

    moments: mean and deviation of every channel become those wanted. bias: the mean alone. affine: least squares.
    """
    ours, theirs = _Moments.of(found, found), _Moments.of(wanted, wanted)
    y, z = ours.variance.sqrt(), theirs.variance.sqrt()
    floor = DEAD * float(z.square().mean().sqrt())
    live = (y > floor) & (z > floor)
    scale = torch.ones_like(y)
    if kind == "moments":
        scale = z / y
    elif kind == "affine":
        scale = _Moments.of(found, wanted).variance / ours.variance
    scale = torch.where(live, scale.clamp(1.0 / LARGEST_SCALE, LARGEST_SCALE), 1.0)
    offset = theirs.mean - scale * ours.mean
    return Match(scale.float(), offset.float(), live)


@dataclass(frozen=True, slots=True)
class _Moments:
    """Mean [outputs] of one variable and its covariance with the other, in float64."""

    mean: Tensor
    variance: Tensor

    @classmethod
    def of(cls, a: Sequence[Tensor], b: Sequence[Tensor]) -> _Moments:
        pairs = [(x.flatten(0, -2).double(), y.flatten(0, -2).double()) for x, y in zip(a, b, strict=True)]
        count = sum(len(x) for x, _ in pairs)
        mean = sum(x.sum(dim=0) for x, _ in pairs) / count
        other = sum(y.sum(dim=0) for _, y in pairs) / count
        products = sum(((x - mean) * (y - other)).sum(dim=0) for x, y in pairs)
        return cls(torch.as_tensor(mean), torch.as_tensor(products) / count)


def fit(kind: Kind, chip: Sequence[Steps], ideal: Sequence[Steps], layers: int) -> dict[str, Match]:
    """Match ``layers`` layers in the order in which they run, each with its inputs from the matched ones before it.

    ``chip`` and ``ideal``: runs over the same pieces of data, not started. By the name of the node.
    """
    matches: dict[str, Match] = {}
    sent: list[Tensor | None] = [None] * len(chip)
    for _ in range(layers):
        wanted = [run.send(None)[1] for run in ideal]
        stops = [run.send(value) for run, value in zip(chip, sent, strict=True)]
        name, found = stops[0][0].name, [y for _, y in stops]
        matches[name] = made = match(kind, found, wanted)
        sent = [y * made.scale.to(y) + made.offset.to(y) for y in found]
    for run in (*chip, *ideal):
        run.close()
    return matches
