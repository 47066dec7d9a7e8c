"""Wire resistance: against stored solutions, a dense nodal solve, badcrossbar, and the laws of linear networks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pinat_compile.errors import OptionError
from pinat_compile.physics import wire_ladders, wire_network
from pinat_compile.physics.ir_drop import column_currents, effective_conductance

REFERENCE = Path(__file__).parents[1] / "data" / "irdrop_reference.npz"

SHAPES = [(1, 1), (1, 9), (7, 1), (5, 4), (16, 16), (13, 30), (40, 6), (8, 33)]
OHMS = [(1.0, 1.0), (0.3, 20.0), (15.0, 0.0), (0.0, 4.0), (0.0, 0.0), (300.0, 2000.0)]


def devices(*shape: int, seed: int = 0, open_share: float = 0.2, g_max_s: float = 1e-4) -> Tensor:
    """Random conductances in siemens, some of them open."""
    generator = torch.Generator().manual_seed(seed)
    g = g_max_s * torch.rand(shape, generator=generator, dtype=torch.float64)
    return g * (torch.rand(shape, generator=generator) >= open_share)


def volts(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 0.4 - 0.2


def relative(found: Tensor, wanted: Tensor) -> float:
    """max |found - wanted| / max |wanted|; finds no comfort in nan."""
    assert found.shape == wanted.shape
    return float((found - wanted).abs().max() / wanted.abs().max())


def same(a: Tensor, b: Tensor) -> bool:
    """Two numbers, to nine digits."""
    return torch.allclose(a, b, rtol=1e-9, atol=0.0)


def nodal(g: Tensor, row_ohm: float, col_ohm: float, drive: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    """Kirchhoff's equations of one array, solved densely: node voltages [rows, cols] of word and of bit lines.

    ``drive`` [rows] volts before column 0, ``ends`` [cols] volts after the last row. Nodes that a wire of 0 ohm ties to
    a known voltage are known.
    """
    rows, cols = g.shape
    count = rows * cols
    known = torch.full((2 * count,), torch.nan, dtype=torch.float64)
    if row_ohm == 0.0:
        known[:count] = drive.repeat_interleave(cols)
    if col_ohm == 0.0:
        known[count:] = ends.repeat(rows)
    matrix, source = torch.zeros(2 * count, 2 * count, dtype=torch.float64), torch.zeros(2 * count, dtype=torch.float64)

    def branch(siemens: float, a: int, b: int | float) -> None:
        """Between node ``a`` and another node, or a voltage where ``b`` is a float."""
        matrix[a, a] += siemens
        if isinstance(b, float):
            source[a] += siemens * b
        else:
            matrix[b, b] += siemens
            matrix[a, b] -= siemens
            matrix[b, a] -= siemens

    for i in range(rows):
        for j in range(cols):
            word, bit = i * cols + j, count + i * cols + j
            branch(float(g[i, j]), word, bit)
            if row_ohm:
                branch(1 / row_ohm, word, word - 1 if j else float(drive[i]))
            if col_ohm:
                branch(1 / col_ohm, bit, bit + cols if i < rows - 1 else float(ends[j]))
    free = known.isnan()
    rest = source[free] - matrix[free][:, ~free] @ known[~free]
    known[free] = torch.linalg.solve(matrix[free][:, free], rest)
    return known[:count].view(rows, cols), known[count:].view(rows, cols)


def nodal_effective(g: Tensor, row_ohm: float, col_ohm: float) -> Tensor:
    """Effective conductance, one word line at a time."""
    rows, cols = g.shape
    found = []
    for unit in torch.eye(rows, dtype=torch.float64):
        word, bit = nodal(g, row_ohm, col_ohm, unit, torch.zeros(cols, dtype=torch.float64))
        found.append((g * (word - bit)).sum(dim=0))
    return torch.stack(found)


# --- against others ---


@pytest.mark.parametrize("case", ["n8_s0", "n32_s0", "n64_s0", "n128_s0"])
def test_stored_solutions(case: str) -> None:
    """Solved in float64 by badcrossbar 1.1.0 from the stored float32 values."""
    with np.load(REFERENCE) as data:
        g, v, ohm, wanted = (torch.from_numpy(data[f"{case}_{key}"]) for key in ("G", "V", "r", "I"))
    assert relative(column_currents(g, v.T, *ohm.tolist()), wanted) <= 1e-9


@pytest.mark.parametrize("ohm", OHMS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_dense_nodal_solve(shape: tuple[int, int], ohm: tuple[float, float]) -> None:
    g = devices(*shape, open_share=0.2 if shape != (1, 1) else 0.0)
    v = volts(3, shape[0])
    effective = nodal_effective(g, *ohm)
    assert relative(effective_conductance(g, *ohm), effective) <= 1e-12
    assert relative(column_currents(g, v, *ohm), v @ effective) <= 1e-12


def test_badcrossbar() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of missing plotting libraries
        badcrossbar = pytest.importorskip("badcrossbar")
        if not hasattr(badcrossbar, "compute"):
            pytest.skip("badcrossbar lacks a library that it needs")
        g, v = devices(21, 34, open_share=0.0) + 1e-7, volts(4, 21)
        for row_ohm, col_ohm in ((2.0, 2.0), (0.5, 7.0)):
            solution = badcrossbar.compute(
                v.T.numpy(), 1 / g.numpy(), r_i_word_line=row_ohm, r_i_bit_line=col_ohm, node_voltages=False
            )
            wanted = torch.from_numpy(np.asarray(solution.currents.output))
            assert relative(column_currents(g, v, row_ohm, col_ohm), wanted) <= 1e-9


# --- laws ---


def test_no_resistance_is_ohms_law() -> None:
    g, v = devices(20, 12), volts(5, 20)
    assert relative(column_currents(g, v, 0.0, 0.0), v @ g) <= 1e-14
    assert relative(column_currents(g, v, 1e-9, 1e-9), v @ g) <= 1e-9


def test_open_array_carries_nothing() -> None:
    assert not column_currents(torch.zeros(6, 5), volts(2, 6), 1.0, 2.0).any()


def test_superposition() -> None:
    g, a, b = devices(18, 25), volts(4, 18, seed=2), volts(4, 18, seed=3)
    together = column_currents(g, 2.0 * a - 3.0 * b, 2.0, 5.0)
    assert relative(together, 2.0 * column_currents(g, a, 2.0, 5.0) - 3.0 * column_currents(g, b, 2.0, 5.0)) <= 1e-13


@pytest.mark.parametrize("shape", [(9, 9), (24, 7), (5, 40)], ids=str)
def test_reciprocity(shape: tuple[int, int]) -> None:
    """Bit lines driven from their ends, word lines sensed at theirs: the same array, mirrored and turned."""
    g = devices(*shape)
    turned = effective_conductance(g.flip(0, 1).T, 8.0, 3.0)
    assert relative(turned.T.flip(0, 1), effective_conductance(g, 3.0, 8.0)) <= 1e-12


def test_kirchhoff_at_every_node() -> None:
    """Voltages inside the array, read by open devices that are about to conduct: what enters a node leaves it.

    Two empty lines stand before, between and after the lines that hold devices. The derivative of a column's current by
    an open device is the voltage across it, times the share of its current that arrives (1 in an empty column).
    """
    lines, row_ohm, col_ohm = [2, 5, 8], 30.0, 70.0
    g = torch.zeros(11, 11, dtype=torch.float64)
    g[np.ix_(lines, lines)] = devices(3, 3, open_share=0.0, g_max_s=2e-3) + 1e-3  # strong droop
    g.requires_grad_()
    v = torch.zeros(11, dtype=torch.float64)
    v[lines] = torch.tensor([0.2, 0.15, -0.1], dtype=torch.float64)

    def slope(voltage: Tensor) -> Tensor:
        """The derivative of a column's current by the conductances in it: [row, column]."""
        currents = column_currents(g, voltage[None], row_ohm, col_ohm)[0].unbind()
        slopes = [torch.autograd.grad(current, g, retain_graph=True)[0] for current in currents]
        return torch.stack([slope[:, column] for column, slope in enumerate(slopes)], dim=1)

    word = slope(v)
    empty = torch.ones(11, dtype=torch.float64)
    empty[lines] = 0.0
    bit = word / (word - slope(v + empty))  # of empty rows: -b s and (1 - b) s
    currents = column_currents(g, v[None], row_ohm, col_ohm)[0].detach()
    for k in lines:
        assert same(word[k, 9], word[k, 10])  # nothing flows at the open end
        assert same(bit[0, k], bit[1, k])
        assert same(bit[10, k], col_ohm * currents[k])
        assert same(v[k] - word[k, 0], word[k, 0] - word[k, 1])  # the driver's segment
        for j in lines:
            left, right = word[k, j - 2] - word[k, j - 1], word[k, j + 1] - word[k, j + 2]
            above, below = bit[k - 2, j] - bit[k - 1, j], bit[k + 1, j] - bit[k + 2, j]
            assert same(word[k, j - 1] - left, word[k, j + 1] + right)  # one voltage at the node
            through = g[k, j] * (word[k, j - 1] - left - bit[k + 1, j] - below)
            assert same((left - right) / row_ohm, through)
            assert same((below - above) / col_ohm, through)


def test_more_resistance_takes_more_current() -> None:
    g, v = devices(30, 20), torch.full((1, 30), 0.2)
    for side in (0, 1):
        before = v.double() @ g
        for ohm in (0.1, 1.0, 10.0, 100.0):
            now = column_currents(g, v, *((ohm, 1.0) if side else (1.0, ohm)))
            assert bool((now > 0.0).all()) and float(now.sum()) < float(before.sum())
            before = now


def test_devices_further_from_driver_and_ground_count_less() -> None:
    effective = effective_conductance(torch.full((24, 16), 5e-5), 5.0, 5.0)
    assert bool((effective.diff(dim=1) < 0.0).all()) and bool((effective.diff(dim=0) > 0.0).all())


# --- gradients ---


@pytest.mark.parametrize("shape", [(3, 2), (6, 9), (11, 5)], ids=str)
def test_gradient_against_differences(shape: tuple[int, int]) -> None:
    """Conductances near 1 S and wires of 10 mΩ: the same droop as µS and kΩ, in numbers that gradcheck likes."""
    g = (devices(2, *shape, g_max_s=1.0, open_share=0.0) + 0.1).requires_grad_()
    v = volts(2, 4, shape[0]).requires_grad_()
    assert torch.autograd.gradcheck(lambda g, v: column_currents(g, v, 0.02, 0.05), (g, v), atol=1e-7, rtol=1e-6)
    assert torch.autograd.gradcheck(lambda g: effective_conductance(g, 0.0, 0.05), (g,), atol=1e-7, rtol=1e-6)


def test_gradient_is_product_of_voltages() -> None:
    """Tellegen: d(sum_j c_j I_j)/dg = u(V) u(c), voltages across the device driven by V and from the ends by c."""
    g, v, c = devices(14, 10).requires_grad_(), volts(1, 14), volts(10, seed=5)
    (found,) = torch.autograd.grad((column_currents(g, v, 4.0, 9.0) * c).sum(), g)
    word, bit = nodal(g.detach(), 4.0, 9.0, v[0], torch.zeros(10, dtype=torch.float64))
    word_c, bit_c = nodal(g.detach(), 4.0, 9.0, torch.zeros(14, dtype=torch.float64), c)
    assert relative(found, (word - bit) * (bit_c - word_c)) <= 1e-11


def test_gradient_reaches_float32() -> None:
    g = devices(5, 6).float().requires_grad_()
    effective = effective_conductance(g, 1.0, 1.0)
    assert effective.dtype == torch.float64
    effective.sum().backward()  # type: ignore[no-untyped-call]
    assert g.grad is not None and g.grad.dtype == torch.float32


# --- batches and threads ---


def test_batches_equal_single_arrays() -> None:
    g = devices(2, 3, 21, 18)
    whole = effective_conductance(g, 3.0, 2.0)
    for a in range(2):
        for b in range(3):
            assert relative(whole[a, b], effective_conductance(g[a, b], 3.0, 2.0)) <= 1e-13
    v = volts(2, 1, 4, 21)
    assert relative(column_currents(g, v, 3.0, 2.0), v @ whole) <= 1e-14
    assert effective_conductance(g[:0], 1.0, 1.0).shape == (0, 3, 21, 18)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_threads_change_nothing(two_threads: None) -> None:
    """Same bits with one thread and with two, and the caller's setting stays."""
    g = devices(5, 96, 96)

    def solve() -> tuple[Tensor, Tensor]:
        leaf = g.clone().requires_grad_()
        effective = effective_conductance(leaf, 1.0, 2.0)
        return effective.detach(), torch.autograd.grad(effective.square().sum(), leaf)[0]

    shared = solve()
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    for one, other in zip(shared, solve(), strict=True):
        assert torch.equal(one, other)


def test_inference_mode(two_threads: None) -> None:
    with torch.inference_mode():
        g = devices(4, 70, 70)
        found = effective_conductance(g, 1.0, 1.0), effective_conductance(g, 1.0, 1.0, tolerance=1e-2)
    assert relative(found[0], effective_conductance(g.clone(), 1.0, 1.0)) == 0.0
    assert relative(*found) <= 0.1


# --- the fast path ---


@pytest.mark.parametrize("size", [8, 32, 96])
@pytest.mark.parametrize("ohm", [(0.2, 0.2), (2.0, 2.0), (0.0, 5.0), (8.0, 0.5)], ids=str)
@pytest.mark.parametrize("filling", ["dense", "sparse", "uniform"])
def test_error_bound_holds(size: int, ohm: tuple[float, float], filling: str) -> None:
    """The bound, the worst error over all voltages up to 1 V, is kept, and it is not far from the error."""
    g = {
        "dense": devices(size, size // 2 * 3, open_share=0.0),
        "sparse": devices(size, size // 2 * 3, open_share=0.9),
        "uniform": torch.full((size, size // 2 * 3), 2e-5, dtype=torch.float64),
    }[filling][None]
    exact, fast = wire_network.transfer(g, *ohm), wire_ladders.transfer(g, *ohm)
    full = float(exact.sum(dim=-2).max())
    worst = float((fast - exact).abs().sum(dim=-2).max()) / full
    bound = float(wire_ladders.error_bound(g, *ohm))
    assert worst <= bound + 1e-12
    if 0.0 in ohm:
        assert bound == 0.0  # the ladders are exact where only one side has wires
    elif bound < 0.003:
        assert bound <= 1.5 * worst


def test_tolerance_chooses_the_path() -> None:
    """Arrays within the tolerance take the ladders, the others are exact, each in its place."""
    g = torch.stack([devices(64, 64, g_max_s=g_max) for g_max in (1e-3, 1e-6, 1e-4, 1e-5)])
    exact, ladders = effective_conductance(g, 2.0, 2.0), wire_ladders.transfer(g, 2.0, 2.0)
    bounds = wire_ladders.error_bound(g, 2.0, 2.0)
    assert bounds.argsort().tolist() == [1, 3, 2, 0]
    for tolerance, quick in ((0.0, []), (1e-3, [1, 3]), (0.1, [1, 2, 3]), (1e9, [0, 1, 2, 3])):
        found = effective_conductance(g, 2.0, 2.0, tolerance=tolerance)
        for tile in range(4):
            assert torch.equal(found[tile], ladders[tile] if tile in quick else exact[tile]), (tolerance, tile)
            error = (found[tile] - exact[tile]).abs().sum(dim=0).max() / exact[tile].sum(dim=0).max()
            assert float(error) <= max(tolerance, 1e-12)


@pytest.mark.parametrize("tolerance", [0.003, 1.0])
def test_gradient_of_the_fast_path(tolerance: float) -> None:
    g = torch.stack([devices(6, 5, g_max_s=g_max, open_share=0.0) + 0.1 * g_max for g_max in (0.02, 1.0)])
    assert (wire_ladders.error_bound(g, 0.05, 0.05) <= 0.003).tolist() == [True, False]
    g.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda g: effective_conductance(g, 0.05, 0.05, tolerance=tolerance), (g,), eps=1e-7, atol=1e-6, rtol=1e-5
    )


def test_beyond_all_bounds_falls_back() -> None:
    """Ladders that overflow, and devices so strong that nothing arrives, give no promise; the exact path answers."""
    g = torch.full((1, 150, 150), 1.0, dtype=torch.float64)
    assert not bool(wire_ladders.error_bound(g, 1e3, 1e3) <= 1e9)
    assert torch.equal(effective_conductance(g, 1e3, 1e3, tolerance=0.5), effective_conductance(g, 1e3, 1e3))


# --- mistakes ---


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: effective_conductance(g, -1.0, 1.0), "row_ohm = -1.0: the resistance of a wire segment is 0 or"),
        (lambda g: effective_conductance(g, 1.0, float("nan")), "col_ohm = nan: the resistance"),
        (lambda g: effective_conductance(g - 1.0, 1.0, 1.0), "conductance_s: must be finite and 0 or more"),
        (lambda g: effective_conductance(g / 0.0, 1.0, 1.0), "conductance_s: must be finite"),
        (lambda g: effective_conductance(g[0], 1.0, 1.0), "conductance_s [4]: must be [..., rows, cols]"),
        (lambda g: effective_conductance(g, 1.0, 1.0, tolerance=-1.0), "tolerance = -1.0: a share of full scale"),
        (lambda g: column_currents(g, torch.ones(2, 4), 1.0, 1.0), "the array has 3 word lines"),
    ],
)
def test_mistakes_are_named(call: Callable[[Tensor], Tensor], message: str) -> None:
    with pytest.raises(OptionError) as error:
        call(devices(3, 4))
    assert message in str(error.value)
