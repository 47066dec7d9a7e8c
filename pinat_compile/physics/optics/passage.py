"""Light on its way through interferometers: the matrix that phases make, and the gradient back to the phases.

A path is a row of layers, passed in order. All tiles go through a layer together and stand last in memory, [mode,
input, tile]: a layer is then two products of long rows. The gradient is written by hand: it needs the light in front of
each layer and nothing else, where autograd would fill a field of zeros for every slice that it meets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from pinat_compile.physics.optics import mesh
from pinat_compile.physics.optics.mesh import Layer

Fixed = tuple[Tensor | float, Tensor | float, Tensor | float, Tensor | float]
"""What is fixed in a cell: its loss g and its couplers, as g (cos S, sin S, cos D, sin D); see `_cells`."""


def matrix(
    path: Sequence[Layer],
    x: Tensor,
    phi: Tensor,
    behind: Tensor,
    imbalance: tuple[Tensor, Tensor] | None = None,
    gain: Tensor | None = None,
    passing: float = 1.0,
) -> Tensor:
    """What tiles make of fields: [..., modes, modes] (output, input), complex.

    Of each interferometer [..., count]: ``x`` and ``phi``, its phases in rad; ``imbalance`` of its two couplers in rad;
    ``gain``, the field factor of its loss. ``passing``: the factor of a waveguide that passes a layer
    by. ``behind`` [..., modes], complex: what each output is multiplied by. Differentiable with respect to the phases
    and ``behind``. O(N²) for each layer and tile.
    """
    fixed = tuple(part if isinstance(part, float) else _tiles_last(part) for part in _fixed(imbalance, gain))
    way = _Way(tuple(path), behind.shape[-1], passing)
    moved = (_tiles_last(part) for part in (x, phi, behind))
    light = cast(Tensor, _Passage.apply(way, *moved, *fixed))  # type: ignore[no-untyped-call]
    return light.permute(2, 0, 1).reshape(*behind.shape, way.modes)


def _tiles_last(per_cell: Tensor) -> Tensor:
    """[..., count] → [count, tile]; nothing moves where tiles stand last in memory already."""
    return per_cell.reshape(math.prod(per_cell.shape[:-1]), per_cell.shape[-1]).T.contiguous()


@torch.no_grad()
def _fixed(imbalance: tuple[Tensor, Tensor] | None, gain: Tensor | None) -> Fixed:
    g = 1.0 if gain is None else gain
    if imbalance is None:
        return g, 0.0, g, 0.0
    total, difference = imbalance[0] + imbalance[1], imbalance[0] - imbalance[1]
    return g * total.cos(), g * total.sin(), g * difference.cos(), g * difference.sin()


class _Way(NamedTuple):
    """A path for tiles of ``modes`` modes."""

    path: tuple[Layer, ...]
    modes: int
    passing: float

    def cells(self, entries: Tensor) -> tuple[Tensor, ...]:
        """What ``entries`` [in, out, count, …] holds of the cells of each layer."""
        return torch.split(entries, [layer.count for layer in self.path], dim=2)


class _Passage(torch.autograd.Function):
    """The light [mode, input, tile] behind a path, from internal and external phases [count, tile] and the factors
    ``behind`` it [mode, tile].

    Gradients g are carried conjugated, h = g*: h_in = M^T h_out in front of a cell M, and dL = Re(sum h_out dM f_in).
    """

    @staticmethod
    def forward(ctx: Any, way: _Way, x: Tensor, phi: Tensor, behind: Tensor, *fixed: Any) -> Tensor:
        cosine, sine, turned = torch.cos(x / 2), torch.sin(x / 2), mesh.turn(phi)
        cells = _cells(cosine, sine, turned, cast(Fixed, fixed))
        fields = cells.new_empty(len(way.path) + 1, way.modes, way.modes, x.shape[1])
        fields[0] = torch.eye(way.modes, dtype=cells.dtype, device=cells.device).unsqueeze(-1)
        light, columns = _Views(fields), way.cells(cells.unsqueeze(3))
        for number, layer in enumerate(way.path):
            _pass(light.met(layer, number), light.met(layer, number + 1), columns[number], way.passing)
        tensors = [f for f in fixed if isinstance(f, Tensor)]
        ctx.save_for_backward(cosine, sine, turned, behind, cells, fields, *tensors)
        ctx.way, ctx.fixed = way, [None if isinstance(f, Tensor) else f for f in fixed]
        return behind.unsqueeze(1) * fields[-1]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        cosine, sine, turned, behind, cells, fields, *tensors = ctx.saved_tensors
        left = iter(tensors)
        fixed = cast(Fixed, tuple(next(left) if f is None else f for f in ctx.fixed))
        pull = grads[0].conj().resolve_conj()
        of_behind = (pull * fields[-1]).sum(dim=1).conj_physical_()
        felt = _felt(ctx.way, cells, fields, pull.mul_(behind.unsqueeze(1)))
        return None, *_of_phases(felt, cosine, sine, turned, fixed), of_behind, *(None for _ in fixed)


def _cells(cosine: Tensor, sine: Tensor, turned: Tensor, fixed: Fixed) -> Tensor:
    """Interferometers [in, out, count, tile] from the cosine and sine of x / 2, e^{i phi}, couplers and losses.

    Internal phase x on both arms, external phase phi at the input of the upper arm, couplers B(e) = [[cos(pi/4 + e),
    i sin(pi/4 + e)], [i sin(pi/4 + e), cos(pi/4 + e)]]: i B(e2) diag(e^{ix/2}, e^{-ix/2}) B(e1) diag(e^{i phi}, 1). The
    factor i belongs to the cell: waveguides that pass a layer by are matched to it. With S = e1 + e2, D = e1 - e2:

        [[-i sin S cos(x/2) - cos D sin(x/2), -cos S cos(x/2) - i sin D sin(x/2)],
         [-cos S cos(x/2) + i sin D sin(x/2), -i sin S cos(x/2) + cos D sin(x/2)]] diag(e^{i phi}, 1)
    """
    lower, upper = _second_column(cosine, sine, fixed)
    cells = turned.new_empty(2, 2, *turned.shape)
    cells[1, 0], cells[1, 1] = lower, upper
    torch.mul(lower.conj(), turned, out=cells[0, 1])
    torch.mul(upper.conj(), turned, out=cells[0, 0]).neg_()
    return cells


def _second_column(cosine: Tensor, sine: Tensor, fixed: Fixed) -> tuple[Tensor, Tensor]:
    """What the lower input of a cell makes at its upper and at its lower output."""
    cos_total, sin_total, cos_difference, sin_difference = fixed
    lower = torch.complex(cosine * cos_total, sine * sin_difference).neg_()
    return lower, torch.complex(sine * cos_difference, -(cosine * sin_total))


class _Met(NamedTuple):
    """Light as a layer meets it or leaves it: on ``both`` modes of its cells [2, cell, input, tile], on the ``upper``
    and the ``lower`` ones [1, cell, input, tile], and ``beside`` it [mode, input, tile]. All modes are upper ones of
    attenuators.
    """

    both: Tensor
    upper: Tensor
    lower: Tensor | None
    beside: Tensor | None


class _Views:
    """Views of light [place, mode, input, tile], made once for all places: a view costs as much as a small product."""

    def __init__(self, light: Tensor) -> None:
        self.light = light
        self.made: dict[tuple[int, int], list[_Met]] = {}

    def met(self, layer: Layer, place: int) -> _Met:
        key = layer.first, layer.count
        if key not in self.made:
            self.made[key] = self._attenuated() if layer.single else self._coupled(layer)
        return self.made[key][place]

    def _attenuated(self) -> list[_Met]:
        return [_Met(field.unsqueeze(0), field.unsqueeze(0), None, None) for field in self.light]

    def _coupled(self, layer: Layer) -> list[_Met]:
        modes, first, end = self.light.shape[1], layer.first, layer.first + 2 * layer.count
        pairs = self.light[:, first:end].view(len(self.light), layer.count, 2, *self.light.shape[2:]).transpose(1, 2)
        around = self.light[:, 0 if first else end : 1 if end == modes else None : max(modes - 1, 1)]
        beside = around.unbind(0) if around.shape[1] else [None] * len(around)
        return [_Met(*views) for views in zip(pairs, pairs[:, :1], pairs[:, 1:], beside, strict=True)]


def _pass(light: _Met, behind: _Met, cells: Tensor, passing: float) -> None:
    """``light`` through a layer of ``cells`` [in, out, cell, 1, tile]."""
    upper, lower = cells.unbind(0)
    if light.lower is None:
        torch.mul(upper[:1], light.upper, out=behind.both)
        return
    torch.mul(upper, light.upper, out=behind.both).addcmul_(lower, light.lower)
    if light.beside is not None:
        torch.mul(light.beside, passing, out=behind.beside)


def _felt(way: _Way, cells: Tensor, fields: Tensor, pull: Tensor) -> Tensor:
    """What the loss feels of every element of every cell, [in, out, count, tile]: h_out f_in, summed over inputs."""
    felt, pulls = torch.zeros_like(cells), torch.empty_like(fields[:2])
    pulls[len(way.path) % 2] = pull
    light, pulled, by_layer = _Views(fields), _Views(pulls), way.cells(felt)
    rows = way.cells(cells.transpose(0, 1).unsqueeze(3))
    for number in reversed(range(len(way.path))):
        layer = way.path[number]
        f, h = light.met(layer, number), pulled.met(layer, (number + 1) % 2)
        torch.sum(h.both * f.upper, dim=2, out=by_layer[number][0, : len(h.both)])
        if f.lower is not None:
            torch.sum(h.both * f.lower, dim=2, out=by_layer[number][1])
        if number:
            _pass(h, pulled.met(layer, number % 2), rows[number], way.passing)
    return felt


def _of_phases(felt: Tensor, cosine: Tensor, sine: Tensor, turned: Tensor, fixed: Fixed) -> tuple[Tensor, Tensor]:
    """The gradients with respect to x and phi.

    With (l, u) the second column of a cell, the first is e^{i phi} (-u*, l*), and by x the derivative of any is half
    of itself at x + pi: cos(x/2) becomes -sin(x/2), sin(x/2) becomes cos(x/2).
    """
    cos_total, sin_total, cos_difference, sin_difference = fixed
    minus_upper, lower = (felt[0] * turned).unbind(0)  # what -u* and l* feel
    by_lower, by_upper = felt[1, 0] + lower.conj(), felt[1, 1] - minus_upper.conj()
    by_x = sine * (cos_total * by_lower.real - sin_total * by_upper.imag)
    by_x += cosine * (sin_difference * by_lower.imag + cos_difference * by_upper.real)
    by_phi = sine * (cos_difference * minus_upper.imag - sin_difference * lower.real)
    by_phi += cosine * (sin_total * minus_upper.real + cos_total * lower.imag)
    return by_x.mul_(0.5), by_phi
