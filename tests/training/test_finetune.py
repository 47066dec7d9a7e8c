"""Fine-tuning: through the plan, on training chips only, and back into a compiled network without loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pinat_compile.compiler.build import compile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.folder import load
from pinat_compile.data import Dataset, load_data
from pinat_compile.errors import DataError, OptionError
from pinat_compile.simulator.conditions import TRAINING_CHIPS, VALIDATION_CHIPS
from pinat_compile.simulator.module import Simulator
from pinat_compile.training import finetune as room
from pinat_compile.training.batch import Batch
from pinat_compile.training.finetune import finetune
from pinat_compile.training.methods import training_chip, virtual_chips
from pinat_compile.training.settings import Progress, Settings
from pinat_compile.training.trained import INSIDE
from tests.zoo import Builder

MODEL = Path(__file__).parents[2] / "examples" / "resnet8_fashion_mnist.onnx"


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return compile(MODEL, "reram_128x128")


@pytest.fixture(scope="module")
def few() -> Dataset:
    return load_data("fashion-mnist-mini@train[:160]", inputs=["x"])


@pytest.fixture
def every_epoch_better(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three batches teach nothing; pretend that they do, so that the trained values are kept."""
    scores = iter(range(1000))
    monkeypatch.setattr(room.Run, "_validate", lambda self: next(scores) / 1000)


def tune(compiled: Compiled, data: Any, **given: Any) -> Compiled:
    """One epoch, one validation chip, unless said otherwise."""
    epochs = {} if given.get("method") in ("ptq", "nan") else {"epochs": 1}
    return finetune(compiled, data, **{"validation_chips": 1, **epochs, **given})


def images() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).random((4, 1, 28, 28), dtype=np.float32))


def run(chip: Simulator) -> torch.Tensor:
    with torch.inference_mode():
        chip.eval()
        chip.reset()
        result = chip(images())
    assert isinstance(result, torch.Tensor)
    return result


@pytest.mark.parametrize("method", ["pinat", "nt", "vant", "qat", "distill"])
def test_the_tuned_network_is_bit_equal_to_the_trained_module(
    compiled: Compiled,
    few: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    every_epoch_better: None,
    method: Any,
) -> None:
    kept: list[Simulator] = []
    original = room.Run._compiled

    def spy(self: room.Run) -> Compiled:
        self._set(self.best)
        kept.append(self.simulator)
        return original(self)

    monkeypatch.setattr(room.Run, "_compiled", spy)
    tuned = tune(compiled, few, method=method)
    module = kept[0].view(tuned.simulator(chip=3).conditions)
    expected = run(module)
    assert not torch.equal(expected, run(compiled.simulator(chip=3)))
    assert torch.equal(run(tuned.simulator(chip=3)), expected)
    assert torch.equal(run(load(tuned.save(tmp_path / "tuned")).simulator(chip=3)), expected)


def test_the_plan_and_the_original_stay(compiled: Compiled, few: Dataset) -> None:
    before = run(compiled.simulator(chip=0))
    tuned = tune(compiled, few)
    assert torch.equal(run(compiled.simulator(chip=0)), before)
    for name, matrix in compiled.graph.matrices.items():
        same = tuned.graph.matrices[name]
        assert (same.cells, same.cut, same.ranges, same.first_array) == (
            matrix.cells, matrix.cut, matrix.ranges, matrix.first_array
        )
        assert matrix.ranges is not None
        scale = matrix.ranges.weight_scale
        assert np.array_equal(tuned.graph.tensors[scale], compiled.graph.tensors[scale])
    x = images().numpy()
    assert np.array_equal(tuned.reference.run({"x": x})["logits"], compiled.reference.run({"x": x})["logits"])


def test_fine_tuning_twice_goes_on_from_the_first(
    compiled: Compiled, few: Dataset, tmp_path: Path, every_epoch_better: None
) -> None:
    first = tune(compiled, few)
    second = tune(first, few)
    assert set(second.trained) == set(first.trained)
    assert any(not np.array_equal(second.trained[name], value) for name, value in first.trained.items())
    assert torch.equal(run(load(second.save(tmp_path / "two")).simulator(chip=1)), run(second.simulator(chip=1)))


def test_it_is_deterministic(compiled: Compiled, few: Dataset, every_epoch_better: None) -> None:
    a, b = (tune(compiled, few, seed=5) for _ in range(2))
    assert all(np.array_equal(value, b.trained[name]) for name, value in a.trained.items())
    other = tune(compiled, few, seed=6)
    assert any(not np.array_equal(value, other.trained[name]) for name, value in a.trained.items())


def test_only_training_and_validation_chips_are_used(
    compiled: Compiled, few: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[int] = set()
    original = Simulator.view

    def view(self: Simulator, conditions: Any, **given: Any) -> Simulator:
        if conditions.chip is not None:
            seen.add(conditions.chip)
        return original(self, conditions, **given)

    monkeypatch.setattr(Simulator, "view", view)
    tune(compiled, few)
    assert seen and min(seen) >= VALIDATION_CHIPS
    assert any(chip >= TRAINING_CHIPS for chip in seen)


def test_held_out_samples_are_not_trained_on(
    compiled: Compiled, few: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_on: list[np.ndarray[Any, Any]] = []
    original = room.Run._step

    def step(self: room.Run, batch: Batch, number: int) -> float:
        trained_on.append(batch.inputs["x"].numpy())
        return original(self, batch, number)

    monkeypatch.setattr(room.Run, "_step", step)
    tune(compiled, few)
    seen = {image.tobytes() for image in np.concatenate(trained_on)}
    held = {image.tobytes() for image in few.take(np.arange(9, 160, 10)).inputs["x"]}
    assert len(seen) == 144 and not seen & held


def test_every_batch_meets_other_chips_and_severities(compiled: Compiled) -> None:
    settings = Settings(chips_per_batch=3)
    module = compiled.simulator(chip=VALIDATION_CHIPS)
    chips = [chip for step in range(4) for chip in virtual_chips(module, settings, step, [22, 21, 21])]
    assert len({chip.conditions.chip for chip in chips}) == 12
    severities = [chip.conditions.severity for chip in chips]
    for step in range(4):
        for index, severity in enumerate(severities[3 * step : 3 * step + 3]):
            assert index * 2.2 / 3 <= severity <= (index + 1) * 2.2 / 3  # stratified
    assert training_chip(settings, 0, 0) >= TRAINING_CHIPS


def test_learning_lowers_the_loss_and_tells_of_it(compiled: Compiled) -> None:
    told: list[Progress] = []
    data = load_data("fashion-mnist-mini@train[:320]", inputs=["x"])
    tuned = tune(compiled, data, epochs=2, batch_size=32, progress=told.append)
    training = tuned.options.training
    assert training is not None
    history: Any = training["history"]
    assert [record["epoch"] for record in history] == [0, 1, 2] and history[0]["loss"] is None
    assert history[2]["loss"] < history[1]["loss"]
    assert told[-1].step == told[-1].steps == 18 and told[-1].epoch == 2
    assert told[-1].validation == history[2]["validation_accuracy"]
    assert training["method"] == "pinat" and training["samples"] == 288


def test_without_labels_it_learns_from_the_original_network(compiled: Compiled, few: Dataset) -> None:
    tuned = tune(compiled, few.without_labels())
    assert tuned.trained
    with pytest.raises(DataError, match="loss ce needs labels"):
        tune(compiled, few.without_labels(), loss="ce")


def test_bad_settings_are_refused(compiled: Compiled, few: Dataset) -> None:
    with pytest.raises(OptionError, match="fine-tuning: epochs = 0"):
        finetune(compiled, few, epochs=0)
    with pytest.raises(OptionError, match="fine-tuning: method = 'magic'"):
        finetune(compiled, few, method="magic")
    with pytest.raises(OptionError, match="fine-tuning has no setting learningrate"):
        finetune(compiled, few, learningrate=1.0)
    wrong = Dataset.from_arrays(few.inputs, few.labels + 10 if few.labels is not None else None)
    with pytest.raises(DataError, match="the network has 10 outputs"):
        tune(compiled, wrong)
    for labels, said in ((np.full(160, 0.5), "not whole numbers"), (np.zeros((160, 10), int), "labels for")):
        with pytest.raises(DataError, match=said):
            tune(compiled, Dataset.from_arrays(few.inputs, labels))
    digital = compile(MODEL, "reram_128x128", digital=[n.name for n in compiled.graph.nodes])
    with pytest.raises(OptionError, match="no layer is analog"):
        finetune(digital, few, epochs=1)


def test_a_last_batch_smaller_than_its_chips(compiled: Compiled) -> None:
    data = load_data("fashion-mnist-mini@train[:72]", inputs=["x"])  # 65 to fit: a batch of 64 and one of 1
    assert tune(compiled, data).trained


def test_training_that_makes_it_worse_changes_nothing(compiled: Compiled, few: Dataset) -> None:
    tuned = tune(compiled, few, learning_rate=1.0)
    assert torch.equal(run(tuned.simulator(chip=3)), run(compiled.simulator(chip=3)))
    assert tuned.options.training is not None and tuned.options.training["kept_epoch"] == 0


def test_classes_on_another_axis_than_the_last() -> None:
    builder = Builder("segment")
    x = builder.input("x", ["batch", 2, 6, 6])
    model = builder.model(builder.conv(x, "conv", [3, 2, 3, 3], pads=[1, 1, 1, 1]))
    random = np.random.default_rng(0)
    images, labels = random.random((40, 2, 6, 6), dtype=np.float32), random.integers(0, 3, (40, 6, 6))
    network = compile(model, "reram_128x128", calibration=images)
    assert tune(network, (images, labels)).trained
    assert tune(network, images).trained


def test_weights_of_zero_and_at_the_limit_go_on_learning(compiled: Compiled) -> None:
    name = "block2.conv1"
    matrix = compiled.graph.matrices[name]
    assert matrix.ranges is not None and matrix.cells is not None
    module = compiled.simulator(noise=False).train()
    weight = module.parameter_names()[matrix.weight].requires_grad_(True)
    limit = module.value(matrix.ranges.weight_scale) * matrix.cells.weight_max * INSIDE
    with torch.no_grad():
        weight[:, 0] = 0.0
        weight[:, 1] = limit.reshape(-1, 1, 1)
        weight[:, 2] = -limit.reshape(-1, 1, 1)
    steps = module.arrays(name).steps(module.value)
    held = module.programmed(name).weights
    assert float(steps.detach().abs().max()) <= matrix.cells.weight_max
    torch.autograd.backward([held.sum()])
    assert weight.grad is not None and bool((weight.grad[:, :3] != 0).all())
