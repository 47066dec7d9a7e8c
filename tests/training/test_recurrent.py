"""Fine-tuning reaches the weights inside a loop: an LSTM through its compiled plan."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

import pinat_compile as pc
from pinat_compile.compiler.build import compile
from tests import zoo


def classifier() -> onnx.ModelProto:
    """The rows of an image, one after the other, through an LSTM; its last state is classified."""
    b = zoo.Builder("classifier")
    x = b.node("Squeeze", b.input("x", ["batch", 1, 28, 28]), b.tensor("axis", np.array([1])), name="rows")
    x = b.node("Transpose", x, name="steps", perm=[1, 0, 2])
    w, r = b.random("W", 1, 64, 28, fan_in=100), b.random("R", 1, 64, 16, fan_in=100)
    last = b.node("LSTM", x, w, r, b.random("B", 1, 128, fan_in=1000), name="lstm", outputs=2, hidden_size=16)
    state = b.node("Squeeze", last.replace(".out", ".out1"), b.tensor("first", np.array([0])), name="state")
    return b.model(b.linear(state, "fc", 16, 10))


def test_an_lstm_is_fine_tuned() -> None:
    compiled = compile(classifier(), "reram_128x128")
    data = "fashion-mnist-mini@train[:400]"
    tuned = pc.finetune(compiled, data, method="pinat", epochs=3, loss="ce", learning_rate=0.02)
    assert {"lstm.W.tuned", "lstm.R.tuned", "lstm.state.b.tuned"} <= set(tuned.trained)
    training = tuned.options.training
    assert training is not None
    losses = [entry["loss"] for entry in training["history"] if entry["loss"] is not None]  # type: ignore[attr-defined]
    assert losses[-1] < 0.95 * losses[0]
    before, after = (pc.evaluate(each, "fashion-mnist-mini@test[:200]", chips=1) for each in (compiled, tuned))
    assert after.per_chip[0] > before.per_chip[0] + 0.1


@pytest.mark.parametrize("chip", [0, 3])
def test_steps_of_a_loop_see_noise_of_their_own(chip: int) -> None:
    """Read noise differs from step to step, and is the same when the sample is run again."""
    compiled = compile(classifier(), "reram_128x128")
    x = torch.zeros(1, 1, 28, 28)
    with torch.no_grad():
        first, again, later = (compiled.simulator(chip=chip).forward(x, first_sample=n) for n in (0, 0, 5))
    assert isinstance(first, torch.Tensor) and isinstance(again, torch.Tensor) and isinstance(later, torch.Tensor)
    assert torch.equal(first, again)
    assert not torch.equal(first, later)
