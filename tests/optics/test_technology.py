"""The three technologies behind one interface: round trips, gradients, chips, and noise against its closed form."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pinat_compile.errors import TargetError
from pinat_compile.hardware.loader import load_target
from pinat_compile.hardware.schema import Target
from pinat_compile.physics.optics import svd_mesh
from pinat_compile.physics.optics.chip import OpticalChip
from pinat_compile.physics.optics.technology import technology_of
from pinat_compile.physics.randomness import Key

MESH = ["array.rows=6", "array.cols=6"]
NAMES = ["photonic_mzi_16x16", "photonic_mrr_32x32", "photonic_pcm_64x64"]
CONTINUOUS = {
    "photonic_mzi_16x16": [*MESH, "heaters.bits=none"],
    "photonic_mrr_32x32": ["heaters.bits=none"],
    "photonic_pcm_64x64": ["transmission.bits=none"],
}
SHAPE = (6, 5)


def weights(seed: int = 0) -> Tensor:
    """[row_tile, col_tile, rows, cols] in [-1, 1], a tile of zeros among them."""
    made = 2 * torch.rand(2, 3, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) - 1
    made[1, 2] = 0.0
    return made


def chip(number: int = 0, **given: float) -> OpticalChip:
    return OpticalChip(Key(("chip", number, "m")), **given)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_stand_for_the_weights(name: str) -> None:
    target = load_target(name, CONTINUOUS[name])
    technology = technology_of(target)
    parameters = technology.parameters_from_weights(weights())
    assert parameters.shape[:2] == (2, 3) and parameters.ndim == 3
    torch.testing.assert_close(technology.weights_from_parameters(parameters, SHAPE), weights(), rtol=0, atol=1e-6)
    torch.testing.assert_close(technology.read(parameters, SHAPE, None).weights, weights(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_real(name: str) -> None:
    """Through loss, imbalance, crosstalk and tails: autograd against differences, on a chip, converters off."""
    overrides = [*CONTINUOUS[name], *(["heaters.compensated=false"] if "mzi" in name else [])]
    technology = technology_of(load_target(name, overrides))
    parameters = technology.parameters_from_weights(weights()[:1, :1]) + 0.01
    parameters = parameters.clamp(0.02, 0.09) if "mrr" in name else parameters.clamp(0.01, 6.0)
    found = parameters.clone().requires_grad_()

    def read(p: Tensor) -> Tensor:
        return technology.read(p, SHAPE, chip()).weights

    assert torch.autograd.gradcheck(read, (found,), eps=1e-6, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_chips_differ_and_stay_what_they_are(name: str) -> None:
    technology = technology_of(load_target(name, MESH if "mzi" in name else []))
    parameters = technology.parameters_from_weights(weights()).float()
    first, again, other = (technology.read(parameters, SHAPE, chip(n)).weights for n in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    ideal = technology.read(parameters, SHAPE, None).weights
    still = technology.read(parameters, SHAPE, chip(severity=0.0)).weights
    torch.testing.assert_close(still, ideal)
    near, far = ((technology.read(parameters, SHAPE, chip(severity=s)).weights - ideal).norm() for s in (0.5, 1.0))
    assert 0 < near < far


def test_matched_loss_is_made_up_for_and_spread_loss_is_not() -> None:
    quiet = ["mesh.splitter_sigma_rad=none", "heaters.phase_sigma_rad=none", "heaters.efficiency_sigma=none",
             "heaters.pitch_um=none", "heaters.arm_um=none", "heaters.compensated=false", "heaters.bits=none"]

    def error(*overrides: str) -> float:
        technology = technology_of(load_target("photonic_mzi_16x16", [*quiet, *overrides]))
        wanted = torch.randn(3, 1, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        found = technology.read(technology.parameters_from_weights(wanted), (16, 16), chip()).weights
        return float((found - wanted).norm() / wanted.norm())

    assert error("mesh.loss_sigma_db=none") < 1e-6
    assert error("mesh.loss_sigma_db=none", "mesh.matched_edges=false") == pytest.approx(0.045, rel=0.3)
    assert 1e-3 < error() < 0.05


def test_compensation_restores_the_matrix() -> None:
    """Crosstalk of heaters 25 µm apart spoils a mesh; settings that know of it make it good again."""
    alone = ["mesh.splitter_sigma_rad=none", "mesh.loss_sigma_db=none", "heaters.phase_sigma_rad=none",
             "heaters.efficiency_sigma=none", "heaters.bits=none", "heaters.pitch_um=25", "heaters.arm_um=12"]
    errors = []
    for compensated in ("false", "true"):
        technology = technology_of(load_target("photonic_mzi_16x16", [*alone, f"heaters.compensated={compensated}"]))
        parameters = technology.parameters_from_weights(weights())
        errors.append((technology.read(parameters, SHAPE, chip()).weights - weights()).norm() / weights().norm())
    assert errors[0] > 0.03 and errors[1] < 1e-4


def test_a_warm_chip_detunes_its_rings() -> None:
    """0.08 nm / K, of which 1 % is not tracked: 10 K move the resonances by 2.8e-3 rad."""
    target = load_target("photonic_mrr_32x32")
    technology = technology_of(target)
    parameters = technology.parameters_from_weights(weights()).float()
    cold, warm = (technology.read(parameters, SHAPE, chip(temperature_k=t)).weights for t in (300.0, 310.0))
    assert target.rings is not None
    moved = replace(target.rings, shift_nm_per_k=None)
    still = technology_of(replace(target, rings=moved)).read(parameters, SHAPE, chip(temperature_k=310.0)).weights
    torch.testing.assert_close(still, cold)
    assert (warm - cold).abs().max() > 0.02


def coherent(target: Target) -> tuple[float, float]:
    """Ampere of one share of input times one of weight, and the variance in A², by hand."""
    laser, modulator, diode, mesh = target.laser, target.modulator, target.detector, target.mesh
    assert laser is not None and modulator is not None and diode is not None and mesh is not None
    n = target.array.rows
    loss = 10 ** (-(modulator.loss_db + modulator.coupler_db + (2 * n + 1) * mesh.loss_db) / 10)
    reference = diode.local_oscillator_mw or 0.0
    current = 2 * diode.responsivity_a_per_w * math.sqrt(reference * 1e-3 * laser.power_mw * 1e-3 * loss / n)
    shot = 2 * 1.602176634e-19 * diode.bandwidth_hz
    thermal = 4 * 1.380649e-23 * 300 * diode.bandwidth_hz / diode.load_ohm
    variance = shot * (diode.responsivity_a_per_w * reference * 1e-3 + 2 * diode.dark_current_na * 1e-9) + thermal
    return current, variance


def test_noise_of_homodyne_detection() -> None:
    target = load_target("photonic_mzi_16x16", ["mesh.loss_sigma_db=none"])
    technology = technology_of(target)
    parameters = technology.parameters_from_weights(weights())
    found = technology.read(parameters, SHAPE, chip())
    current, variance = coherent(target)
    assert found.constant is not None
    gain = parameters[..., -1:]
    torch.testing.assert_close(found.constant, (variance * (gain / current) ** 2).expand(found.constant.shape))
    assert found.relative == pytest.approx(10**-15.5 * 5e9)


@pytest.mark.parametrize("name", NAMES[1:])
def test_noise_of_direct_detection(name: str) -> None:
    """Shot noise of all light on both detectors, two dark currents, thermal noise; RIN of the difference."""
    target = load_target(name, ["modulator.extinction_db=none"])
    technology = technology_of(target)
    found = technology.read(technology.parameters_from_weights(weights()), SHAPE, chip())
    laser, modulator, diode = target.laser, target.modulator, target.detector
    assert laser is not None and modulator is not None and diode is not None
    assert found.linear is not None and found.constant is not None and found.square is not None
    n = target.array.rows
    if target.rings is not None:
        past, lit = target.rings.pass_loss_db * (n - 1), 0.81  # what a full-range weight gets of the light
        both = 1.0
    else:
        assert target.transmission is not None
        section = target.transmission
        past, lit = section.crossing_loss_db * (n - 1), section.t_max - section.t_min
        both = section.t_max + section.t_min
    loss = 10 ** (-(modulator.loss_db + modulator.coupler_db + past) / 10)
    full = diode.responsivity_a_per_w * laser.power_mw * 1e-3 * loss / n / target.array.cols
    shot = 2 * 1.602176634e-19 * diode.bandwidth_hz
    thermal = 4 * 1.380649e-23 * 300 * diode.bandwidth_hz / diode.load_ohm
    dark = (shot * 2 * diode.dark_current_na * 1e-9 + thermal) / (full * lit) ** 2
    assert found.constant.flatten()[0].item() == pytest.approx(dark, rel=0.02)
    largest = found.linear[0, 0].max().item()  # at the strongest weight
    assert largest == pytest.approx(shot * full * both / (full * lit) ** 2, rel=0.06)
    torch.testing.assert_close(found.square, found.weights.square() * 10**-15.5 * 5e9, rtol=0.2, atol=1e-7)


def test_a_modulator_that_does_not_close() -> None:
    """Powers: what a zero lets through meets the errors of the weights, and adds shot noise."""
    closed, open_ = (
        technology_of(load_target("photonic_pcm_64x64", [f"modulator.extinction_db={db}"])) for db in ("none", "10")
    )
    parameters = closed.parameters_from_weights(weights())
    found, tight = (technology.read(parameters, SHAPE, chip()) for technology in (open_, closed))
    assert tight.offset is None and found.offset is not None
    torch.testing.assert_close(found.offset, 0.1 * (found.weights - weights()).sum(dim=2), rtol=1e-4, atol=1e-6)
    assert found.constant is not None and tight.constant is not None and found.linear is not None
    torch.testing.assert_close(found.constant, tight.constant + 0.1 * found.linear.sum(dim=2))


def test_a_coherent_modulator_bends() -> None:
    technology = technology_of(load_target("photonic_mzi_16x16", ["modulator.extinction_db=10"]))
    parameters = technology.parameters_from_weights(weights())
    found = technology.read(parameters, SHAPE, chip())
    assert found.bend is not None and found.bend.abs().max() > 0
    field = svd_mesh.matrix(svd_mesh.split(parameters, 16))
    assert field.imag.abs().max() < 1e-9, "without errors the matrix is real and there is nothing to see"


# --- targets ---


@pytest.mark.parametrize(("name", "override", "message"), [
    ("photonic_mzi_16x16", "weights.bits=4", "optics quantises what it sets, not weights"),
    ("photonic_mzi_16x16", "weights.scheme=differential", "writes weights otherwise"),
    ("photonic_mzi_16x16", "detector.local_oscillator_mw=none", "a sign needs reference light"),
    ("photonic_mzi_16x16", "dac.encoding=two_pass", "fields have either sign"),
    ("photonic_mrr_32x32", "dac.encoding=amplitude", "powers have no sign"),
    ("photonic_mrr_32x32", "detector.local_oscillator_mw=1", "powers are detected without reference light"),
    ("photonic_mrr_32x32", "rings.span_rad=0.15", "reaches the next wavelength"),
    ("photonic_pcm_64x64", "transmission.t_min=0.95", "must lie below transmission.t_max"),
    ("photonic_pcm_64x64", "mapping.clip=expected_error", "levels of electronic cells"),
    ("photonic_mzi_16x16", "heaters.pitch_um=none", "heaters warm each other at a distance"),
    ("photonic_mzi_16x16", "adc.inl_lsb=0.5", "adc.inl_lsb: is not modelled behind light"),
    ("photonic_mrr_32x32", "dac.inl_lsb=0.5", "dac.inl_lsb: is not modelled behind light"),
    ("photonic_mrr_32x32", "dac.noise_sigma=0.01", "dac.noise_sigma: is not modelled behind light"),
    ("reram_128x128", "laser.bits=4", "laser.power_mw is missing"),
])
def test_what_does_not_go_together(name: str, override: str, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        load_target(name, [override])


def test_errors_of_columns_are_refused() -> None:
    with pytest.raises(TargetError, match="column: is not modelled behind light") as raised:
        load_target("photonic_pcm_64x64", ["column.gain_sigma=0.01", "column.offset_sigma=0.01"])
    assert raised.value.hint == "leave it out: --set column=none"


def test_sections_belong_to_their_technology() -> None:
    dark = ["laser.power_mw=1", "laser.wall_plug_efficiency=0.2", "laser.bits=4"]
    with pytest.raises(TargetError, match=r"section \[laser\]: technology = .crossbar. has no such parts"):
        load_target("reram_128x128", dark)
    with pytest.raises(TargetError, match=r"section \[detector\] is missing"):
        load_target("photonic_pcm_64x64", ["detector=none"])
    with pytest.raises(TargetError, match="has no electronic cells"):
        load_target("photonic_pcm_64x64").device  # noqa: B018
