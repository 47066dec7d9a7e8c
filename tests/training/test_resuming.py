"""Checkpoints, early stopping, running means, re-estimation: what a run keeps, and that a broken one ends the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pinat_compile.compiler.build import compile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.folder import load
from pinat_compile.errors import FolderError
from pinat_compile.evaluation import evaluate
from pinat_compile.training import finetune as room
from pinat_compile.training.batch import Batch
from pinat_compile.training.finetune import finetune
from pinat_compile.training.residual import residual_layers
from tests.zoo import NETWORKS, Builder, inputs_for

SHORT: dict[str, Any] = {"epochs": 2, "batch_size": 16, "validation_chips": 1}


def network(name: str = "lenet", *overrides: str) -> tuple[Compiled, dict[str, Any]]:
    """A network of the zoo, and labelled data for it that can be learned."""
    model = NETWORKS[name]()
    inputs = inputs_for(model, batch=80)
    compiled = compile(model, "reram_128x128", calibration=inputs, overrides=overrides)
    outputs = next(iter(compiled.reference.run(inputs).values()))
    return compiled, {**inputs, "y": outputs.argmax(axis=1)}


def values(compiled: Compiled) -> dict[str, Any]:
    """All tensors, and the history without its wall times."""
    assert compiled.options.training is not None
    history: Any = compiled.options.training["history"]
    plain = [{key: value for key, value in record.items() if key != "seconds"} for record in history]
    return {"history": plain, **{name: value.tobytes() for name, value in compiled.graph.tensors.items()}}


@pytest.fixture
def every_judgement_better(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter(range(1000))
    monkeypatch.setattr(room.Run, "_validate", lambda self: next(scores) / 1000)


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("given", [
    {"optimiser": "adamw", "ema": 0.9, "augment": ("shift",), "lambda_divergence": 0.1, "validate_every": 3},
    {"optimiser": "sgd", "method": "vant", "patience": 2},
    {"overrides": ("wires.row_ohm=2", "wires.col_ohm=2"), "wires_every": 4},
], ids=["adamw", "sgd", "wires"])
def test_a_killed_run_goes_on_to_the_identical_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]
) -> None:
    compiled, data = network("lenet", *given.pop("overrides", ()))
    settings = {**SHORT, **given}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(room, "CHECKPOINT_EVERY", 2)
    whole = finetune(compiled, data, **settings)
    step = room.Run._step
    steps = 0

    def mortal(self: room.Run, batch: Batch, number: int) -> float:
        nonlocal steps
        steps += 1
        if steps in (4, 8):
            raise Killed
        return step(self, batch, number)

    monkeypatch.setattr(room.Run, "_step", mortal)
    path = tmp_path / "run.checkpoint"
    for _ in range(2):
        with pytest.raises(Killed):
            finetune(compiled, data, checkpoint=path, resume=True, **settings)
    again = finetune(compiled, data, checkpoint=path, resume=True, **settings)
    torch.set_num_threads(threads)
    assert steps < 2 * 2 * 5, "it went on, it did not begin again"
    assert values(again) == values(whole)


def test_checkpoints_of_other_runs_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    compiled, data = network()
    path = tmp_path / "run.checkpoint"
    finetune(compiled, data, checkpoint=path, **SHORT)
    for other in ({"seed": 1}, {"learning_rate": 1e-4}):
        with pytest.raises(FolderError, match="another network, other data or other settings"):
            finetune(compiled, data, checkpoint=path, resume=True, **{**SHORT, **other})
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(FolderError, match="cannot be read"):
        finetune(compiled, data, checkpoint=path, resume=True, **SHORT)
    finetune(compiled, data, checkpoint=path, **SHORT)  # not asked to go on: written anew


def test_early_stopping_and_judgements_within_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled, data = network()
    scores = iter([0.5, 0.6, 0.4, 0.4, 0.9])
    monkeypatch.setattr(room.Run, "_validate", lambda self: next(scores))
    tuned = finetune(compiled, data, **SHORT, validate_every=2, patience=2)
    training = tuned.options.training
    assert training is not None
    history: Any = training["history"]
    assert [record["step"] for record in history] == [0, 2, 4, 6] and training["stopped_early"]
    assert training["kept_epoch"] == history[1]["epoch"] == 0.4


def test_a_running_mean_is_what_is_judged_and_kept(every_judgement_better: None) -> None:
    compiled, data = network()
    seen = []
    for ema in (0.0, 0.9):
        tuned = finetune(compiled, data, **SHORT, ema=ema)
        seen.append({name: value for name, value in tuned.trained.items() if value.ndim > 1})
    start = {f"{name}.tuned": compiled.graph.tensors[name] for name in compiled.graph.tensors}
    for name, value in seen[0].items():
        if not np.array_equal(value, start[name]):
            apart = np.abs(seen[1][name] - start[name]).mean()
            assert 0.0 < apart < np.abs(value - start[name]).mean(), "the mean lags behind"


def test_statistics_under_noise_are_restored_on_average(every_judgement_better: None) -> None:
    """`nan`: means and deviations of every layer, over other chips than it saw, come closer to the ideal ones."""
    compiled, data = network("residual", "column.offset_sigma=0.001", "column.gain_sigma=0.0", "mismatch.sigma=0.3",
                             "mapping.clip=none", "stuck.at_g_min=0.2", "stuck.at_g_max=0.001")
    tuned = finetune(compiled, data, method="nan", reestimate=60, reestimate_chips=6, validation_chips=1)
    training = tuned.options.training
    assert training is not None
    history: Any = training["history"]
    assert history[-1]["reestimated"] and training["steps"] == 0
    assert not any(np.array_equal(tuned.trained[f"{n}.tuned"], compiled.graph.tensors[n])
                   for n in compiled.graph.tensors if n.endswith(".gain"))
    x = {name: value for name, value in data.items() if name != "y"}
    before, after = (evaluate(c, x, chips=6, metric="mse").mean for c in (compiled, tuned))
    assert after < before


@pytest.mark.parametrize("name", ["lenet", "shared_weights", "residual"])
def test_networks_without_batch_norm_or_with_shared_weights(name: str, tmp_path: Path) -> None:
    """Tuned, saved, loaded, judged: the same accuracy on the same chips, shared weights still shared."""
    compiled, data = network(name)
    if name == "shared_weights":
        assert len(compiled.graph.matrices) < sum(n.op.type_name() == "ArrayMvm" for n in compiled.graph.nodes)
    tuned = finetune(compiled, data, **SHORT, learning_rate=1e-3)
    assert set(tuned.graph.matrices) == set(compiled.graph.matrices)
    again = load(tuned.save(tmp_path / "tuned"))
    first, second = (evaluate(each, data, chips=3) for each in (tuned, again))
    assert first.per_chip == second.per_chip and first.top5 == second.top5
    mse = [evaluate(each, {k: v for k, v in data.items() if k != "y"}, chips=2, metric="mse").per_chip
           for each in (tuned, again)]
    assert mse[0] == mse[1]


def test_fp32_is_trained_without_arrays_and_planned_anew(every_judgement_better: None) -> None:
    compiled, data = network()
    tuned = finetune(compiled, data, **SHORT, method="fp32", learning_rate=1e-4)
    changed = [
        name for name, matrix in compiled.graph.matrices.items() if matrix.ranges is not None
        and not np.array_equal(tuned.graph.tensors[matrix.ranges.weight_scale],
                               compiled.graph.tensors[matrix.ranges.weight_scale])
    ]
    assert changed


def test_residual_layers_are_recognised() -> None:
    compiled, _ = network("residual")
    found = residual_layers(compiled.graph)
    assert [layer.combine for layer in found] == ["add", "add"]
    first, second = found
    assert (first.noisy, first.skip) == (("block1.conv1", "block1.conv2"), ())
    assert (second.noisy, second.skip) == (("block2.conv1", "block2.conv2"), ("block2.downsample",))
    assert compiled.graph.producer(first.source) is compiled.graph.node("relu1")
    assert first.to_dict()["exact_skip"] and not second.to_dict()["exact_skip"]
    chain, _ = network("lenet")
    assert residual_layers(chain.graph) == ()
    builder = Builder("joined")
    x = builder.input("x", ["batch", 6])
    model = builder.model(builder.node("Concat", x, builder.linear(x, "body", 6, 5), name="join", axis=1))
    joined = residual_layers(compile(model, "reram_128x128", calibration=inputs_for(model, batch=4)).graph)
    assert [(layer.combine, layer.source, layer.noisy) for layer in joined] == [("concat", "x", ("body",))]
