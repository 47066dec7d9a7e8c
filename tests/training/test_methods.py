"""What each method does to a batch: noise from its definition, severities, schedules, and the settings behind them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pinat_compile.compiler.build import compile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.errors import DataError, OptionError
from pinat_compile.physics.randomness import Key, generator
from pinat_compile.simulator.conditions import VALIDATION_CHIPS
from pinat_compile.simulator.module import Simulator
from pinat_compile.training.augment import augmented
from pinat_compile.training.finetune import finetune
from pinat_compile.training.losses import task_loss
from pinat_compile.training.methods import virtual_chips
from pinat_compile.training.noise import OutputNoise, SampleNoise, full_scale, largest_weights
from pinat_compile.training.settings import METHODS, Settings
from pinat_compile.training.severity import GRID, SPAN, severities
from tests.zoo import NETWORKS, Builder, inputs_for

MODEL = Path(__file__).parents[2] / "examples" / "resnet8_fashion_mnist.onnx"


def one_layer(*overrides: str) -> tuple[Compiled, Tensor]:
    """A Gemm of 30 inputs and 8 outputs, and inputs for it."""
    builder = Builder("one")
    model = builder.model(builder.linear(builder.input("x", ["batch", 30]), "fc", 30, 8))
    inputs = inputs_for(model, batch=16)
    compiled = compile(model, "reram_128x128", calibration=inputs, overrides=overrides)
    return compiled, torch.from_numpy(next(iter(inputs.values())))


def outputs(chip: Simulator, x: Tensor) -> Tensor:
    with torch.no_grad():
        return next(iter(chip.run({"x": x}).values()))


def spread_of(compiled: Compiled, x: Tensor, settings: Settings, runs: int = 400) -> Tensor:
    """Outputs of the first part of many steps [runs, batch, outputs]."""
    module = compiled.simulator(chip=VALIDATION_CHIPS).train()
    chips = (virtual_chips(module, settings, step, [len(x)])[0] for step in range(runs))
    return torch.stack([outputs(chip, x) for chip in chips])


@pytest.mark.parametrize("of", ["output", "layer"])
def test_noise_on_weights_is_what_joshi_defines(of: Any) -> None:
    """y = (W + eta w_ref E) x: deviation eta w_ref |x| of every output, the same draws for all samples."""
    compiled, x = one_layer("adc.bits=none", "adc.range=full", "dac.bits=none", "mapping.clip=none")
    x[1] = 2.0 * x[0]
    found = spread_of(compiled, x, Settings.of("nt", eta=0.1, eta_of=of))
    ideal = outputs(compiled.simulator(noise=False), x)
    weight = torch.tensor(compiled.graph.tensors[compiled.graph.matrices["fc"].weight])  # [8, 30]
    largest = weight.abs().amax(dim=1) if of == "output" else weight.abs().max()
    expected = 0.1 * largest * x.norm(dim=1, keepdim=True).expand(-1, 8)
    assert torch.allclose(found.std(dim=0), expected, rtol=0.15)
    assert torch.allclose(found.mean(dim=0), ideal, atol=float(4 * expected.max() / 400**0.5))
    error = found - ideal
    assert torch.allclose(error[:, 1], 2.0 * error[:, 0], atol=1e-4)


def test_varying_noise_has_one_deviation_per_sample_and_one_draw_of_weights() -> None:
    compiled, x = one_layer("mapping.clip=none")
    chip = compiled.simulator(chip=VALIDATION_CHIPS).train()
    chip = chip.view(replace(chip.conditions, chip=None))
    ideal = outputs(chip, x)
    settings = Settings.of("vant", eta=0.2)
    deviations = torch.linspace(0.0, 1.5, len(x))
    chip.alter = SampleNoise(chip, settings, deviations, generator(Key(("test",))))
    error = outputs(chip, x) - ideal
    draws = torch.randn(8, 30, generator=generator(Key(("test",))))
    noise = 0.2 * draws * largest_weights(chip, chip.graph.matrices["fc"], of_layer=False)
    assert torch.allclose(error, deviations[:, None] * (x @ noise.T), atol=1e-4)
    assert float(error[0].abs().max()) == 0.0


def test_the_deviations_of_vant_are_folded_gaussians() -> None:
    from pinat_compile.training.methods import deviations_of

    drawn = deviations_of(Settings.of("vant", alpha=1.5, theta=0.5), Key(("test",)), 20000)
    assert float(drawn.min()) >= 0.0
    assert float(drawn.mean()) == pytest.approx(1.5, abs=0.02) and float(drawn.std()) == pytest.approx(0.5, abs=0.02)


def test_noise_on_outputs_is_relative_to_the_adc() -> None:
    compiled, x = one_layer("array.rows=10")  # three row tiles, each with its conversions
    chip = compiled.simulator(noise=False)
    matrix = compiled.graph.matrices["fc"]
    assert matrix.ranges is not None and matrix.ranges.adc_range is not None and matrix.ranges.dac_range is not None
    tensors = compiled.graph.tensors
    per_tile = tensors[matrix.ranges.adc_range]
    unit = tensors[matrix.ranges.weight_scale] * tensors[matrix.ranges.dac_range] / chip.arrays("fc").input_limit
    expected = np.sqrt((per_tile.reshape(3) ** 2).sum()) * unit
    assert np.allclose(full_scale(chip, "fc").numpy(), expected, rtol=1e-6)
    found = spread_of(compiled, x, Settings.of("nt", noise="outputs", eta=0.05))
    assert torch.allclose(found.std(dim=0), torch.from_numpy(0.05 * expected).expand(16, 8), rtol=0.2)
    scaled = chip.view(chip.conditions)
    scaled.alter = OutputNoise(scaled, 0.05, torch.zeros(16), generator(Key(("x",))))
    assert torch.equal(outputs(scaled, x), outputs(chip, x))
    no_adc, x = one_layer("adc.bits=none", "adc.range=full")
    with pytest.raises(OptionError, match="noise = 'outputs'.*no ADC range"):
        spread_of(no_adc, x, Settings.of("nt", noise="outputs"), runs=1)


def test_qat_is_the_ideal_network_and_fp32_the_original() -> None:
    compiled, x = one_layer()
    module = compiled.simulator(chip=VALIDATION_CHIPS).train()
    [quantised] = virtual_chips(module, Settings.of("qat"), 0, [16])
    assert torch.equal(outputs(quantised, x), outputs(compiled.simulator(noise=False), x))
    [plain] = virtual_chips(module, Settings.of("fp32"), 0, [16])
    reference = next(iter(compiled.reference.run({"x": x.numpy()}).values()))
    assert np.allclose(outputs(plain, x).numpy(), reference, atol=1e-5)


def test_severity_schedules() -> None:
    def drawn(schedule: Any, done: float = 0.0, **given: Any) -> list[float]:
        settings = Settings.of("pinat", severity_schedule=schedule, chips_per_batch=4, **given)
        return [m for step in range(500) for m in severities(settings, Key(("test", step)), done)]

    uniform = drawn("uniform", severity=1.5)
    assert max(uniform) <= 1.5 * SPAN + 0.5 / GRID and np.mean(uniform) == pytest.approx(1.5 * SPAN / 2, rel=0.01)
    assert set(drawn("constant", severity=1.5)) == {1.5}
    assert set(drawn("ramp", 0.25)) == {0.5} and set(drawn("ramp", 0.8)) == {1.0} and set(drawn("ramp", 0.0)) == {0.0}
    normal = drawn("normal")
    assert min(normal) >= 0.0 and np.mean(normal) == pytest.approx(1.0, abs=0.05)


def test_drift_times_are_log_uniform() -> None:
    model = NETWORKS["lenet"]()
    compiled = compile(model, "pcm_256x256", calibration=inputs_for(model, batch=8))
    settings = Settings.of("pinat", latest_s=30 * 86400.0)
    module = compiled.simulator(chip=VALIDATION_CHIPS)
    times = [virtual_chips(module, settings, step, [4, 4])[0].conditions.time_s for step in range(300)]
    first = module.conditions.time_s
    assert first <= min(times) and max(times) <= 30 * 86400.0
    middle = first * (30 * 86400.0 / first) ** 0.5
    assert 0.4 < np.mean(np.array(times) < middle) < 0.6
    assert {c.conditions.time_s for c in virtual_chips(module, Settings.of("pinat"), 0, [4, 4])} == {first}


def test_augmentation_moves_and_mirrors_and_nothing_else() -> None:
    x = torch.arange(2 * 6 * 6, dtype=torch.float32).reshape(1, 2, 6, 6).repeat(400, 1, 1, 1) + 1.0
    moved = augmented({"x": x}, ("mirror", "shift"), Key(("test",)))["x"]
    assert moved.shape == x.shape
    inside = moved[:, :, 2:4, 2:4]
    assert bool((inside > 0).all()), "two pixels are the most"
    rows = {tuple(image[0, 2].tolist()) for image in moved}
    assert len(rows) > 20
    mirrored = augmented({"x": x}, ("mirror",), Key(("test",)))["x"]
    same = [bool(torch.equal(a, b)) for a, b in zip(mirrored, x, strict=True)]
    turned = [bool(torch.equal(a, b.flip(-1))) for a, b in zip(mirrored, x, strict=True)]
    assert all(s != t for s, t in zip(same, turned, strict=True)) and 0.4 < np.mean(same) < 0.6
    assert torch.equal(augmented({"x": x}, (), Key(("test",)))["x"], x)


def test_every_method_has_its_own_settings() -> None:
    assert set(METHODS) == {"pinat", "nt", "vant", "qat", "ptq", "nan", "distill", "fp32"}
    assert Settings.of("nt").loss == "ce" and Settings.of("distill").loss == "distill"
    assert Settings.of("vant", theta=0.25).theta == 0.25 and Settings.of("nt").theta == 0.0
    assert Settings.of("nan").reestimate > 0 and Settings.of("ptq").epochs == 0
    assert not Settings.of("fp32").on_arrays and Settings.of("fp32").replan
    assert Settings.of("pinat", ema=0).ema == 0.0


@pytest.mark.parametrize(("given", "said"), [
    ({"method": "ptq", "epochs": 1}, "epochs = 1"),
    ({"batch_size": 1.5}, "batch_size = 1.5"),
    ({"learning_rate": "fast"}, "learning_rate = 'fast'"),
    ({"learning_rate": float("nan")}, "learning_rate = nan"),
    ({"severity_schedule": "steep"}, "severity_schedule = 'steep'"),
    ({"augment": ("rotate",)}, "augment"),
    ({"lambda_range": -1.0}, "lambda_range = -1.0"),
    ({"on_arrays": False}, "on_arrays = False"),
    ({"patience": 0}, "patience = 0"),
    ({"replan": 1}, "replan = 1"),
])
def test_impossible_settings_are_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=f"fine-tuning: {said}"):
        Settings.of(**given)


@pytest.mark.parametrize("loss", ["mse", "cosine"])
@pytest.mark.parametrize("labelled", [True, False])
def test_losses_of_values_are_what_they_are_called(loss: Any, labelled: bool) -> None:
    """Against numpy; labels that are values come before the original network's outputs, class numbers do not."""
    rng = np.random.default_rng(3)
    y, a, b = rng.standard_normal((3, 5, 2, 4)).astype(np.float32)
    labels = torch.from_numpy(a) if labelled else torch.zeros(5, dtype=torch.int64)
    found = task_loss(Settings.of("pinat", loss=loss), torch.from_numpy(y), labels, torch.from_numpy(b))
    aim = (a if labelled else b).reshape(5, -1)
    flat = y.reshape(5, -1)
    angles = (flat * aim).sum(1) / np.linalg.norm(flat, axis=1) / np.linalg.norm(aim, axis=1)
    assert float(found) == pytest.approx(np.square(flat - aim).mean() if loss == "mse" else 1 - angles.mean(), rel=1e-5)


def test_labels_of_another_shape_are_refused() -> None:
    y = torch.zeros(2, 3)
    with pytest.raises(DataError, match=r"labels have shape \[4\] per sample, the network's output \[3\]"):
        task_loss(Settings.of("pinat", loss="mse"), y, torch.zeros(2, 4), y)


def test_a_network_of_values_learns_values() -> None:
    """Validation is the cosine to what is wanted: the original outputs, or labels, here of another linear map."""
    compiled, _ = one_layer()
    rng = np.random.default_rng(4)
    x, other = rng.standard_normal((200, 30)).astype(np.float32), rng.standard_normal((30, 8)).astype(np.float32)
    given: dict[str, Any] = {"loss": "cosine", "validation_chips": 1, "learning_rate": 5e-2}
    tuned = finetune(compiled, {"x": x, "y": x @ other}, epochs=3, **given)
    original = finetune(compiled, {"x": x}, epochs=1, **given)
    training: list[Any] = [each.options.training for each in (tuned, original)]
    found = [[record["validation_accuracy"] for record in each["history"]] for each in training]
    assert found[0][0] < 0.5 and found[0][-1] > found[0][0] + 0.2
    assert 0.95 < found[1][0] < 1.0
