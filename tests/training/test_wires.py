"""Wires in fine-tuning: what is reused, how often it is solved, how far that is from exact, what the gradient knows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pinat_compile.compiler.build import compile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.data import load_data
from pinat_compile.errors import OptionError
from pinat_compile.physics.wires import Wires
from pinat_compile.simulator.conditions import TRAINING_CHIPS
from pinat_compile.simulator.module import Simulator
from pinat_compile.training.finetune import finetune
from pinat_compile.training.settings import Settings
from pinat_compile.training.wires import TrainingWires

MODEL = Path(__file__).parents[2] / "examples" / "resnet8_fashion_mnist.onnx"


@pytest.fixture(scope="module")
def wired() -> Compiled:
    return compile(MODEL, "reram_128x128", overrides=["wires.row_ohm=1", "wires.col_ohm=1"])


def weights_of(compiled: Compiled, chip: int, matrix: str, wires: TrainingWires | None) -> Tensor:
    """The effective weights of a training chip, its wires exact or as in training."""
    made = compiled.simulator(chip=TRAINING_CHIPS + chip)
    if wires is not None:
        wires.prepare(made, step=chip + 1, index=1)
    return made.programmed(matrix).weights


def lost_share(wired: Compiled, chip: int, matrix: str, wires: TrainingWires) -> float:
    """Error (rms) of what the wires leave, as a share of what they take."""
    exact, reused = weights_of(wired, chip, matrix, None), weights_of(wired, chip, matrix, wires)
    bare = weights_of(replace(wired, target=replace(wired.target, wires=None)), chip, matrix, None)
    return float((reused - exact).norm() / (bare - exact).norm())


@pytest.mark.parametrize("matrix", ["block2.conv2", "block3.conv2", "fc"])
def test_reused_attenuations_are_nearly_exact(wired: Compiled, matrix: str) -> None:
    """Of the same chip all but detours through small devices is kept; of other chips nine tenths (measured: 0.95)."""
    wires = TrainingWires.of(wired.target, Settings(wires_every=100))
    assert wires is not None
    name = next(each for each in wired.graph.matrices if matrix in each)
    assert lost_share(wired, 0, name, wires) < 0.01
    for chip in (1, 2):
        assert 1e-4 < lost_share(wired, chip, name, wires) < 0.1


def test_what_wires_leave_a_device(wired: Compiled) -> None:
    """The exact solution's share; that of an open device is what of its first siemens would be felt."""
    wires = Wires.of(wired.target)
    assert wires is not None
    generator = torch.Generator().manual_seed(0)
    g = 40.0 * torch.rand(2, 1, 1, 100, 30, 2, generator=generator)
    is_open = torch.rand(g.shape, generator=generator) < 0.3
    g = torch.where(is_open, torch.zeros(()), g)
    share = wires.attenuation(g.requires_grad_())
    assert not share.requires_grad and share.shape == g.shape
    assert 0.5 < float(share.min()) and float(share.max()) < 1.0
    large = g > 1.0
    assert torch.allclose((g * share)[large], wires.felt(g)[large], rtol=1e-5)
    for place in is_open.nonzero()[::1500].tolist():
        leaf = g.detach().clone().requires_grad_()
        wires.felt(leaf)[tuple(place)].backward()  # type: ignore[no-untyped-call]
        assert leaf.grad is not None
        assert float(share[tuple(place)]) == pytest.approx(float(leaf.grad[tuple(place)]), rel=5e-3)


@pytest.mark.parametrize(("every", "solved"), [(1, [2, 2, 2, 2, 2, 2, 2]), (3, [1, 0, 0, 1, 0, 0, 1]), (None, [0] * 7)])
def test_when_they_are_solved(
    wired: Compiled, monkeypatch: pytest.MonkeyPatch, every: int | None, solved: list[int]
) -> None:
    """Seven steps on two chips each."""
    calls: list[Tensor] = []
    original = Wires.attenuation

    def spy(self: Wires, conductance_us: Tensor) -> Tensor:
        calls.append(conductance_us)
        return original(self, conductance_us)

    monkeypatch.setattr(Wires, "attenuation", spy)
    wires = TrainingWires.of(wired.target, Settings(wires_every=every))
    assert wires is not None
    found = []
    for step in range(7):
        calls.clear()
        for index in range(2):
            chip = wired.simulator(chip=TRAINING_CHIPS + 2 * step + index)
            wires.prepare(chip, step, index)
            chip.programmed("fc")
        found.append(len(calls))
    assert found == solved


def gradients(wired: Compiled, settings: Settings) -> dict[str, Tensor]:
    """Of the sum of a training chip's outputs, by weight."""
    chip: Simulator = wired.simulator(chip=TRAINING_CHIPS)
    wires = TrainingWires.of(wired.target, settings)
    if wires is not None:
        wires.prepare(chip, 0, 0)
    names = [matrix.weight for matrix in chip.graph.matrices.values()]
    for name in names:
        chip.parameter_names()[name].requires_grad_(True)
    x = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    chip(x).square().sum().backward()
    return {name: grad for name in names if (grad := chip.parameter_names()[name].grad) is not None}


def test_gradients_point_where_exact_ones_do(wired: Compiled) -> None:
    exact, cheap = (gradients(wired, Settings(wires_every=every)) for every in (None, 1))
    assert exact.keys() == cheap.keys() and len(exact) == 10
    for name, wanted in exact.items():
        assert float(torch.cosine_similarity(cheap[name].flatten(), wanted.flatten(), dim=0)) > 0.99, name


def test_none_without_wires(wired: Compiled) -> None:
    assert TrainingWires.of(replace(wired.target, wires=None), Settings()) is None
    assert TrainingWires.of(compile(MODEL, "reram_128x128").target, Settings()) is None


def test_fine_tuning_with_wires(wired: Compiled) -> None:
    given = {"wires_every": 2, "wires_tolerance": 0.01}
    few = load_data("fashion-mnist-mini@train[:20]", inputs=["x"])
    tuned = finetune(wired, few, epochs=1, validation_chips=1, **given)  # type: ignore[arg-type]
    training = tuned.options.training
    assert training is not None
    recorded = training["settings"]
    assert isinstance(recorded, dict) and {key: recorded[key] for key in given} == given
    assert tuned.target.wires is not None


@pytest.mark.parametrize(("given", "message"), [
    ({"wires_every": 0}, "wires_every = 0"),
    ({"wires_tolerance": -0.1}, "wires_tolerance = -0.1"),
    ({"wires_tolerance": float("nan")}, "wires_tolerance = nan"),
])
def test_bad_settings(given: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Settings(**given)
