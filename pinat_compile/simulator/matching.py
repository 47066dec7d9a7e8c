"""A scale and an offset per output channel, so that a chip's layers give what the ideal mapped network gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

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

    def __call__(self, y: Tensor) -> Tensor:
        return y * self.scale.to(y) + self.offset.to(y)


def match(kind: Kind, found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Match:
    """The affine that brings ``found`` to ``wanted``, both pieces [..., outputs] of the same samples.

    moments: mean and deviation of every channel become those wanted. bias: the mean alone. affine: least squares.
    """
    ours, theirs = _Moments.alone(found), _Moments.alone(wanted)
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
class Mix:
    """A low-rank map among one layer's channels: y becomes (y + shift) (1 + read write).

    ``read`` [outputs, rank], ``write`` [rank, outputs], ``shift`` [outputs]; ``products`` per sample, in MACs.
    """

    read: Tensor
    write: Tensor
    shift: Tensor
    products: int

    def __call__(self, y: Tensor) -> Tensor:
        moved = y + self.shift.to(y)
        return moved + (moved @ self.read.to(y)) @ self.write.to(y)


@dataclass(frozen=True, slots=True)
class _Moments:
    """Mean [outputs] of one variable and its covariance with the other, in float64."""

    mean: Tensor
    variance: Tensor

    @classmethod
    def alone(cls, a: Sequence[Tensor]) -> _Moments:
        """Of a variable with itself: piece by piece in float32, put together in float64."""
        counts = [y[..., 0].numel() for y in a]
        found = [torch.var_mean(y.flatten(0, -2).float(), dim=0, correction=0) for y in a]
        parts = [(count / sum(counts), v.double(), m.double()) for count, (v, m) in zip(counts, found, strict=True)]
        mean = torch.stack([share * m for share, _, m in parts]).sum(dim=0)
        variance = torch.stack([share * (v + (m - mean).square()) for share, v, m in parts]).sum(dim=0)
        return cls(mean, variance)

    @classmethod
    def of(cls, a: Sequence[Tensor], b: Sequence[Tensor]) -> _Moments:
        pairs = [(x.flatten(0, -2).double(), y.flatten(0, -2).double()) for x, y in zip(a, b, strict=True)]
        count = sum(len(x) for x, _ in pairs)
        mean = sum(x.sum(dim=0) for x, _ in pairs) / count
        other = sum(y.sum(dim=0) for _, y in pairs) / count
        products = sum(((x - mean) * (y - other)).sum(dim=0) for x, y in pairs)
        return cls(torch.as_tensor(mean), torch.as_tensor(products) / count)


RIDGE = 1e-3
"""Of the regression of errors on outputs, relative to the outputs' mean variance."""


def mix(rank: int, found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Mix:
    """What the outputs of a layer tell of its own errors, in at most ``rank`` directions.

    Reduced-rank regression of wanted - found on found (Izenman, J. Multivariate Anal. 5, 248 (1975)), with a ridge.
    """
    errors = [z - y for y, z in zip(found, wanted, strict=True)]
    pairs = [(y.flatten(0, -2).double(), e.flatten(0, -2).double()) for y, e in zip(found, errors, strict=True)]
    count = sum(len(y) for y, _ in pairs)
    mean = torch.stack([y.sum(dim=0) for y, _ in pairs]).sum(dim=0) / count
    error = torch.stack([e.sum(dim=0) for _, e in pairs]).sum(dim=0) / count
    power = torch.stack([(y - mean).T @ (y - mean) for y, _ in pairs]).sum(dim=0) / count
    cross = torch.stack([(y - mean).T @ (e - error) for y, e in pairs]).sum(dim=0) / count
    outputs = len(mean)
    ridge = RIDGE * power.diagonal().mean().clamp(min=1e-12)
    whole = torch.linalg.solve(power + ridge * torch.eye(outputs, dtype=power.dtype, device=power.device), cross)
    _, directions = torch.linalg.eigh(whole.T @ power @ whole)  # from the smallest
    write = directions[:, -min(rank, outputs) :].T
    read = whole @ write.T
    constant = error - mean @ read @ write  # wanted = y + (y - mean) read write + error
    shift = torch.linalg.solve((torch.eye(outputs, dtype=power.dtype, device=power.device) + read @ write).T, constant)
    vectors = sum(y[..., 0].numel() for y in found) // sum(len(y) for y in found)
    return Mix(read.float(), write.float(), shift.float(), 2 * len(write) * outputs * vectors)


def fit_mixes(rank: int, chip: Sequence[Steps], ideal: Sequence[Steps], layers: int) -> dict[str, Mix]:
    """As `fit`, with a `mix` for each layer, on top of what is corrected already."""
    return _layer_by_layer(lambda found, wanted: mix(rank, found, wanted), chip, ideal, layers)


def fit(kind: Kind, chip: Sequence[Steps], ideal: Sequence[Steps], layers: int) -> dict[str, Match]:
    """Match ``layers`` layers in the order in which they run, each with its inputs from the matched ones before it.

    ``chip`` and ``ideal``: runs over the same pieces of data, not started. By the name of the node.
    """
    return _layer_by_layer(lambda found, wanted: match(kind, found, wanted), chip, ideal, layers)


Correction = TypeVar("Correction", Match, Mix)


def _layer_by_layer(
    find: Callable[[Sequence[Tensor], Sequence[Tensor]], Correction],
    chip: Sequence[Steps], ideal: Sequence[Steps], layers: int,
) -> dict[str, Correction]:
    """What ``find`` makes of each layer's outputs, found and wanted; the chip goes on with what it corrects them to."""
    corrections: dict[str, Correction] = {}
    sent: list[Tensor | None] = [None] * len(chip)
    for _ in range(layers):
        wanted = [run.send(None)[1] for run in ideal]
        stops = [run.send(value) for run, value in zip(chip, sent, strict=True)]
        name, found = stops[0][0].name, [y for _, y in stops]
        corrections[name] = made = find(found, wanted)
        sent = [made(y) for y in found]
    for run in (*chip, *ideal):
        run.close()
    return corrections
