"""Meshes against linear algebra: any unitary comes out again, with the published count, depth and sensitivity."""

import math

import pytest
import torch
from torch import Tensor

from pinat_compile.physics.optics import clements, mesh, passage, svd_mesh
from tests.optics import plain


def unitaries(count: int, modes: int, dtype: torch.dtype = torch.complex128, seed: int = 0) -> Tensor:
    """Haar-random unitary (or orthogonal) matrices [count, modes, modes] (Mezzadri, math-ph/0609050)."""
    source = torch.Generator().manual_seed(seed)
    q: Tensor
    q, r = torch.linalg.qr(torch.randn(count, modes, modes, dtype=dtype, generator=source))
    diagonal = r.diagonal(dim1=-2, dim2=-1)
    phases: Tensor = diagonal / diagonal.abs()
    return q * phases.unsqueeze(-2)


@pytest.mark.parametrize("modes", [2, 3, 4, 5, 8, 17, 32, 64])
@pytest.mark.parametrize("dtype", [torch.complex128, torch.float64])
def test_decomposition_and_reconstruction(modes: int, dtype: torch.dtype) -> None:
    wanted = unitaries(2, modes, dtype)
    phases = clements.decompose(wanted)
    assert (clements.reconstruct(phases) - wanted).abs().max() <= 1e-10
    assert phases.x.shape == phases.phi.shape == (2, modes * (modes - 1) // 2)
    assert len(mesh.layers(modes)) == (modes if modes >= 3 else 1)
    assert phases.x.min() >= 0 and phases.x.max() <= math.pi + 1e-12


@pytest.mark.parametrize("modes", [1, 2, 3, 6, 7])
def test_matrices_full_of_zeros(modes: int) -> None:
    """Zero denominators: identities, permutations, and the identity upside down."""
    source = torch.Generator().manual_seed(modes)
    identity = torch.eye(modes, dtype=torch.float64)
    for wanted in (identity, identity.flip(0), identity[torch.randperm(modes, generator=source)], -identity):
        assert (clements.reconstruct(clements.decompose(wanted)) - wanted).abs().max() <= 1e-12


def test_phases_of_a_real_matrix_are_0_or_pi() -> None:
    phases = clements.decompose(unitaries(3, 9, torch.float64))
    for phase in (phases.phi, phases.out):
        assert torch.sin(phase).abs().max() < 1e-9


PAIR = (mesh.Layer(0, 1, 0),)
ONES = torch.ones(2, dtype=torch.complex128)


def test_a_cell_is_the_rotation_of_clements() -> None:
    """T(t, p) = cell(x = pi - 2t, phi = p + pi)."""
    t = torch.linspace(0, math.pi / 2, 7, dtype=torch.float64).unsqueeze(-1)
    p = torch.linspace(0, 6, 7, dtype=torch.float64).unsqueeze(-1)
    found = passage.matrix(PAIR, math.pi - 2 * t, p + math.pi, ONES.expand(7, 2))
    turned = torch.exp(1j * p)
    wanted = torch.stack((turned * t.cos(), -t.sin() + 0j, turned * t.sin(), t.cos() + 0j), dim=-1)
    torch.testing.assert_close(found, wanted.reshape(7, 2, 2))


def test_imbalance_limits_the_extinction() -> None:
    """Power where there should be none: sin²(e1 + e2) in the cross state, sin²(e1 - e2) in the bar state."""
    e1, e2, zero = (torch.tensor([e], dtype=torch.float64) for e in (0.03, 0.05, 0.0))
    cross, bar = (passage.matrix(PAIR, zero + x, zero, ONES, (e1, e2)) for x in (0.0, math.pi))
    assert cross[0, 0].abs().square().item() == pytest.approx(math.sin(0.08) ** 2)
    assert bar[0, 1].abs().square().item() == pytest.approx(math.sin(0.02) ** 2)


@pytest.mark.parametrize("modes", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("lossy", [False, True])
def test_light_and_gradients_are_those_of_plain_products(modes: int, lossy: bool) -> None:
    """Whole paths, with attenuators, against one matrix per layer and autograd; phases and factors behind them."""
    source = torch.Generator().manual_seed(modes)
    phases = [6 * torch.rand(3, modes**2, dtype=torch.float64, generator=source) for _ in range(2)]
    e1, e2, loss = 0.3 * torch.rand(3, 3, modes**2, dtype=torch.float64, generator=source)
    behind, wanted = torch.randn(2, 3, modes, modes, dtype=torch.complex128, generator=source)
    x, phi, factors = trained = [part.requires_grad_() for part in (*phases, behind[..., 0].contiguous())]
    imbalance, gain, passing = ((e1, e2), 1.0 - loss, 0.9) if lossy else (None, torch.ones_like(loss), 1.0)
    found, held = (
        made(svd_mesh.path(modes), x, phi, factors, imbalance, gain, passing) for made in (passage.matrix, plain.matrix)
    )
    torch.testing.assert_close(found, held)
    gradients = (torch.autograd.grad(light, trained, wanted) for light in (found, held))
    for gradient, other in zip(*gradients, strict=True):
        torch.testing.assert_close(gradient, other)


def test_gradients_against_differences() -> None:
    x, phi, e1, e2, gain = torch.rand(5, 2, 16, dtype=torch.float64)
    factors = torch.randn(2, 4, dtype=torch.complex128)

    def made(x: Tensor, phi: Tensor, behind: Tensor) -> Tensor:
        return torch.view_as_real(passage.matrix(svd_mesh.path(4), x, phi, behind, (e1, e2), gain, 0.9))

    assert torch.autograd.gradcheck(made, [part.requires_grad_() for part in (x, phi, factors)])


@pytest.mark.parametrize(("modes", "draws"), [(4, 400), (8, 120), (16, 30), (32, 8)])
def test_sensitivity_grows_with_the_root_of_the_width(modes: int, draws: int) -> None:
    """Relative Frobenius error: 0.86 s sqrt(N - 1) of phases; 1.38 e sqrt(N - 1) of couplers, N >= 8.

    The first follows from each phase's error being that of its arms: 1.5 s² per interferometer, N (N - 1) / 2 of them.
    """
    source = torch.Generator().manual_seed(modes)
    wanted = unitaries(draws, modes, seed=modes)
    phases = clements.decompose(wanted)
    sigma, root = 0.01, math.sqrt(modes - 1)

    def draw() -> Tensor:
        return sigma * torch.randn(phases.x.shape, dtype=torch.float64, generator=source)

    def error(x: Tensor, phi: Tensor, imbalance: tuple[Tensor, Tensor] | None = None) -> float:
        made = passage.matrix(mesh.layers(modes), x, phi, mesh.turn(phases.out), imbalance)
        return float(((made - wanted).norm(dim=(1, 2)) / math.sqrt(modes)).mean())

    of_phases = error(phases.x + draw(), phases.phi + draw())
    assert of_phases == pytest.approx(0.86 * sigma * root, rel=0.1)
    of_couplers = error(phases.x, phases.phi, (draw(), draw()))
    if modes >= 8:
        assert of_couplers == pytest.approx(1.38 * sigma * root, rel=0.1)


def test_uniform_loss_is_not_one_factor_unless_edges_are_matched() -> None:
    """Residual behind the best factor for 0.25 dB: 2.4 % at N = 8, 4.0 % at N = 32; the factor is N - 1 losses."""
    for modes, residual in ((8, 0.024), (32, 0.040)):
        wanted = unitaries(30, modes)
        phases = clements.decompose(wanted)
        one = 10 ** (-0.25 / 20)
        gain = torch.full_like(phases.x, one)
        path, behind = mesh.layers(modes), mesh.turn(phases.out)
        made = passage.matrix(path, phases.x, phases.phi, behind, gain=gain)
        best = (made.conj() * wanted).sum((1, 2)).real / made.abs().square().sum((1, 2))
        left = (best[:, None, None] * made - wanted).norm(dim=(1, 2)) / math.sqrt(modes)
        assert left.mean().item() == pytest.approx(residual, rel=0.1)
        assert (20 * torch.log10(best)).mean().item() / 0.25 == pytest.approx(modes - 1, rel=0.02)
        matched = passage.matrix(path, phases.x, phases.phi, behind, gain=gain, passing=one)
        torch.testing.assert_close(matched / one**modes, wanted, rtol=0, atol=1e-10)
