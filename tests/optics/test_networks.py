"""Networks on optics: ideal ones equal onnxruntime, noise is that of detectors, what is trained is what is compiled."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pinat_compile.compiler.build import compile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.costs import estimate
from pinat_compile.compiler.folder import load
from pinat_compile.exports.network import trained_graph
from pinat_compile.frontend.reference import Reference
from pinat_compile.passes.restore_trained import SUFFIX
from pinat_compile.physics.optics.chip import OpticalChip
from pinat_compile.physics.optics.technology import technology_of
from pinat_compile.physics.randomness import Key
from pinat_compile.physics.tiling import Tiling, blocks_from_weight, columns_per_block, tensor_of
from pinat_compile.simulator.conditions import VALIDATION_CHIPS
from pinat_compile.training import finetune as room
from pinat_compile.training.finetune import finetune
from tests.zoo import grouped_conv, inputs_for, lenet

NO_CONVERTERS = ["dac.bits=none", "adc.bits=none", "adc.range=full"]
IDEAL = {
    "photonic_mzi_16x16": [
        "mesh.loss_db=0", "mesh.loss_sigma_db=none", "mesh.splitter_sigma_rad=none", "heaters.bits=none",
        "heaters.phase_sigma_rad=none", "heaters.efficiency_sigma=none", "heaters.compensated=false",
        "heaters.arm_um=none", "heaters.pitch_um=none",
    ],
    "photonic_mrr_32x32": ["heaters.bits=none", "heaters.phase_sigma_rad=none"],
    "photonic_pcm_64x64": ["transmission.bits=none", "transmission.sigma=none"],
}  # fmt: skip
SMALL = {"photonic_mzi_16x16": ["array.rows=8", "array.cols=8"]}


def images(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    return inputs_for(lenet(), batch=count, seed=seed)


def run(compiled: Compiled, inputs: dict[str, np.ndarray], chip: int | None = None) -> torch.Tensor:
    made = compiled.simulator(noise=False) if chip is None else compiled.simulator(chip=chip)
    with torch.inference_mode():
        found: torch.Tensor = made(*(torch.from_numpy(x) for x in inputs.values()))
    return found


@pytest.mark.parametrize("name", list(IDEAL))
@pytest.mark.parametrize("model", [lenet, grouped_conv])
def test_ideal_optics_equal_onnxruntime(name: str, model: object) -> None:
    assert callable(model)
    built = model()
    inputs = inputs_for(built, batch=3)
    overrides = [*IDEAL[name], *NO_CONVERTERS, *SMALL.get(name, [])]
    compiled = compile(built, name, overrides=overrides, calibration=[inputs])
    (wanted,) = compiled.reference.run(inputs).values()
    for chip in (None, 0):
        found = run(compiled, inputs, chip).numpy()
        assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("name", list(IDEAL))
def test_the_noise_of_a_network_is_that_of_its_detectors(name: str) -> None:
    """One layer, one tile, one input many times: mean and deviation of each output, against x W and its variances."""
    gemm = torch.nn.Linear(6, 4, bias=False)
    weight = torch.linspace(-1, 1, 24).reshape(4, 6)
    gemm.weight.data.copy_(weight)
    x = torch.tensor([[0.9, 0.1, 0.5, 0.0, 1.0, 0.3]])
    compiled = compile(
        gemm, name, example_inputs=(x,), calibration=[{"input": x.numpy()}],
        overrides=["adc.bits=none", "adc.range=full", "detector.bandwidth_hz=5e10", "laser.bits=4"],
    )  # fmt: skip
    matrix = next(iter(compiled.graph.matrices.values()))
    assert matrix.ranges is not None and matrix.ranges.parameters is not None
    parameters = tensor_of(compiled.graph.tensors[matrix.ranges.parameters])
    reading = technology_of(compiled.target).read(parameters, (6, 4), OpticalChip(Key(("chip", 7, matrix.name))))
    share = (x * 127).round() / 127
    variance = torch.zeros(4)
    mean = share[0] @ reading.weights[0, 0]
    if reading.offset is not None:
        mean = mean + reading.offset[0, 0]
    if reading.square is not None:
        variance = variance + share[0].square() @ reading.square[0, 0]
    if reading.linear is not None:
        variance = variance + share[0] @ reading.linear[0, 0]
    if reading.constant is not None:
        variance = variance + reading.constant[0, 0]
    variance = variance + mean.square() * reading.relative
    unit = tensor_of(compiled.graph.tensors[matrix.ranges.weight_scale])
    found = run(compiled, {"input": x.repeat(4000, 1).numpy()}, chip=7)
    within = float(5 * (variance.sqrt() * unit).max() / 63)
    torch.testing.assert_close(found.mean(dim=0), mean * unit, rtol=0, atol=within)
    torch.testing.assert_close(found.std(dim=0), variance.sqrt() * unit, rtol=0.06, atol=0)


@pytest.fixture(params=list(IDEAL), scope="module")
def tuned(request: pytest.FixtureRequest) -> tuple[Compiled, Compiled, room.Run]:
    """A network before and after three steps of fine-tuning, and the run that did it; all steps are kept."""
    name = request.param
    inputs = images(48)
    compiled = compile(lenet(), name, calibration=[inputs], overrides=SMALL.get(name, []))
    runs: list[room.Run] = []

    def better_and_better(self: room.Run) -> float:
        runs.append(self)
        return len(runs) / 1000

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room.Run, "_validate", better_and_better)
        data = {**inputs, "y": np.arange(48) % 10}
        after = finetune(compiled, data, epochs=1, batch_size=16, validation_chips=1)
    return compiled, after, runs[-1]


def test_phases_are_what_is_trained(tuned: tuple[Compiled, Compiled, room.Run]) -> None:
    before, after, _ = tuned
    for name, matrix in before.graph.matrices.items():
        assert matrix.ranges is not None and matrix.ranges.parameters is not None
        old, new = (c.graph.tensors[matrix.ranges.parameters] for c in (before, after))
        assert 0 < np.abs(old - new).max() < 0.2, name
        assert after.graph.matrices[name].cut == matrix.cut


def test_what_was_trained_is_what_is_compiled(tuned: tuple[Compiled, Compiled, room.Run]) -> None:
    """Bit for bit, on the same chip, and again from the folder."""
    _, after, trainer = tuned
    inputs = images(5, seed=3)
    trained = trainer.simulator.eval()
    trained.reset()
    with torch.inference_mode():
        wanted = trained(*(torch.from_numpy(x) for x in inputs.values()))
    assert torch.equal(run(after, inputs, chip=VALIDATION_CHIPS), wanted)


def test_the_folder_holds_the_parameters(tuned: tuple[Compiled, Compiled, room.Run], tmp_path: object) -> None:
    _, after, _ = tuned
    after.save(f"{tmp_path}/built")
    inputs = images(5, seed=3)
    assert torch.equal(run(load(f"{tmp_path}/built"), inputs, chip=3), run(after, inputs, chip=3))


def test_the_exported_weights_are_those_of_the_phases(tuned: tuple[Compiled, Compiled, room.Run]) -> None:
    """The tuned network as plain ONNX has the weights that ideal parts make of the trained parameters."""
    _, after, _ = tuned
    technology, plain = technology_of(after.target), trained_graph(after)
    for matrix in after.graph.matrices.values():
        assert matrix.ranges is not None and matrix.ranges.parameters is not None and matrix.cut is not None
        parameters = tensor_of(after.graph.tensors[matrix.ranges.parameters])
        tiling = Tiling(matrix.cut)
        scale = columns_per_block(tensor_of(after.graph.tensors[matrix.ranges.weight_scale]), matrix)
        blocks = tiling.join(technology.weights_from_parameters(parameters, tiling.tile_shape)) * scale
        held = blocks_from_weight(tensor_of(after.graph.tensors[matrix.weight]), matrix)
        torch.testing.assert_close(held, blocks)
        assert matrix.weight.endswith(SUFFIX)
    inputs = images(5, seed=3)
    (exported,) = Reference(plain).run(inputs).values()
    digital = after.simulator(noise=False, analog=())(*(torch.from_numpy(x) for x in inputs.values()))
    assert np.abs(exported - digital.detach().numpy()).max() < 1e-5


def test_energy_by_hand() -> None:
    """One tile on rings: lasers, amplifiers, converters and modulators per symbol, heaters all the time."""
    x = torch.rand(4, 6)
    compiled = compile(
        torch.nn.Linear(6, 4, bias=False), "photonic_mrr_32x32", example_inputs=(x,), calibration=[{"input": x.numpy()}]
    )
    (layer,) = [layer for layer in estimate(compiled).layers if layer.where == "analog"]
    symbol = 0.2e-9
    assert layer.cost.laser == pytest.approx(50e-3 / 0.2 * symbol)
    assert layer.cost.detector == pytest.approx(32 * 4.1e-3 * symbol)
    assert layer.cost.modulator == pytest.approx(32 * (42e-15 + 1.2e-3 * symbol))
    assert layer.cost.dac == pytest.approx(6 * 3.57e-12) and layer.cost.adc == pytest.approx(4 * 1.48e-12)
    assert layer.cost.heaters == pytest.approx(32 * 32 * 1.2e-3 * symbol)
    assert layer.cost.array is None


def test_negative_inputs_take_a_second_pass() -> None:
    x = torch.rand(4, 6)
    gemm = torch.nn.Linear(6, 4, bias=False)
    one, two = (
        compile(gemm, "photonic_pcm_64x64", example_inputs=(x,), calibration=[{"input": y.numpy()}])
        for y in (x, x - 0.5)
    )
    costs = [next(layer.cost for layer in estimate(c).layers if layer.where == "analog") for c in (one, two)]
    for part in ("laser", "dac", "adc", "detector", "modulator"):
        assert getattr(costs[1], part) == pytest.approx(2 * getattr(costs[0], part)), part
    ideal = run(two, {"input": (x - 0.5).numpy()})
    wanted = (x - 0.5) @ gemm.weight.T
    assert (ideal - wanted).abs().max() < 0.1 * wanted.abs().max() + 0.02
    assert math.isfinite(float(ideal.sum()))
