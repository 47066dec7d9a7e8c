"""Meshes against linear algebra: any unitary comes out again, with the published count, depth and sensitivity."""

import math

import pytest
import torch
from torch import Tensor

from pinat_compile.physics.optics import clements, mesh


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


def test_a_cell_is_two_couplers_and_two_shifters() -> None:
    """Against the product of its four parts."""
    x, phi, e1, e2 = (torch.rand(20, dtype=torch.float64, generator=torch.Generator().manual_seed(i)) for i in range(4))

    def coupler(e: Tensor) -> Tensor:
        c, s = torch.cos(math.pi / 4 + e), 1j * torch.sin(math.pi / 4 + e)
        return torch.stack((torch.stack((c + 0j, s), -1), torch.stack((s, c + 0j), -1)), -2)

    internal = torch.diag_embed(torch.stack((torch.exp(0.5j * x), torch.exp(-0.5j * x)), -1))
    external = torch.diag_embed(torch.stack((torch.exp(1j * phi), torch.ones_like(phi)), -1))
    wanted = 1j * coupler(e2) @ internal @ coupler(e1) @ external
    m00, m01, m10, m11 = mesh.cell(x, phi, (e1, e2))
    found = torch.stack((torch.stack((m00, m01), -1), torch.stack((m10, m11), -1)), -2)
    torch.testing.assert_close(found, wanted)
    ideal = mesh.cell(x, phi)
    for one, other in zip(ideal, mesh.cell(x, phi, (torch.zeros_like(x), torch.zeros_like(x))), strict=True):
        torch.testing.assert_close(one, other)


def test_a_cell_is_the_rotation_of_clements() -> None:
    """T(t, p) = cell(x = pi - 2t, phi = p + pi)."""
    t = torch.linspace(0, math.pi / 2, 7, dtype=torch.float64)
    p = torch.linspace(0, 6, 7, dtype=torch.float64)
    found = torch.stack(mesh.cell(math.pi - 2 * t, p + math.pi))
    turned = torch.exp(1j * p)
    wanted = torch.stack((turned * t.cos(), -t.sin() + 0j, turned * t.sin(), t.cos() + 0j))
    torch.testing.assert_close(found, wanted)


def test_imbalance_limits_the_extinction() -> None:
    """Power where there should be none: sin²(e1 + e2) in the cross state, sin²(e1 - e2) in the bar state."""
    e1, e2, zero = torch.tensor(0.03), torch.tensor(0.05), torch.tensor(0.0)
    cross, bar = mesh.cell(zero, zero, (e1, e2)), mesh.cell(torch.tensor(math.pi), zero, (e1, e2))
    assert cross[0].abs().square().item() == pytest.approx(math.sin(0.08) ** 2, rel=1e-5)
    assert bar[1].abs().square().item() == pytest.approx(math.sin(0.02) ** 2, rel=1e-4)


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

    def error(cells: mesh.Entries) -> float:
        made = torch.polar(torch.ones_like(phases.out), phases.out).unsqueeze(-1) * mesh.transfer(cells, modes)
        return float(((made - wanted).norm(dim=(1, 2)) / math.sqrt(modes)).mean())

    of_phases = error(mesh.cell(phases.x + draw(), phases.phi + draw()))
    assert of_phases == pytest.approx(0.86 * sigma * root, rel=0.1)
    of_couplers = error(mesh.cell(phases.x, phases.phi, (draw(), draw())))
    if modes >= 8:
        assert of_couplers == pytest.approx(1.38 * sigma * root, rel=0.1)


def test_uniform_loss_is_not_one_factor_unless_edges_are_matched() -> None:
    """Residual behind the best factor for 0.25 dB: 2.4 % at N = 8, 4.0 % at N = 32; the factor is N - 1 losses."""
    for modes, residual in ((8, 0.024), (32, 0.040)):
        wanted = unitaries(30, modes)
        phases = clements.decompose(wanted)
        one = 10 ** (-0.25 / 20)
        gain = torch.full_like(phases.x, one)
        out = torch.polar(torch.ones_like(phases.out), phases.out).unsqueeze(-1)
        made = out * mesh.transfer(mesh.cell(phases.x, phases.phi), modes, gain)
        best = (made.conj() * wanted).sum((1, 2)).real / made.abs().square().sum((1, 2))
        left = (best[:, None, None] * made - wanted).norm(dim=(1, 2)) / math.sqrt(modes)
        assert left.mean().item() == pytest.approx(residual, rel=0.1)
        assert (20 * torch.log10(best)).mean().item() / 0.25 == pytest.approx(modes - 1, rel=0.02)
        matched = out * mesh.transfer(mesh.cell(phases.x, phases.phi), modes, gain, passing=one)
        torch.testing.assert_close(matched / one**modes, wanted, rtol=0, atol=1e-10)


def test_gradients_of_phases_couplers_and_losses() -> None:
    values = [torch.rand(2, 6, dtype=torch.float64, requires_grad=True) for _ in range(5)]

    def made(x: Tensor, phi: Tensor, e1: Tensor, e2: Tensor, gain: Tensor) -> Tensor:
        return torch.view_as_real(mesh.transfer(mesh.cell(x, phi, (e1, e2)), 4, gain))

    assert torch.autograd.gradcheck(made, values)
