"""From a torch module and back: the network computes what the module does, and the module takes what was trained."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import pinat_compile as pc
from pinat_compile.compiler.build import compile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.errors import ModelError
from pinat_compile.frontend import Reference, import_model
from tests.execution import relative_error
from tests.exports.test_network import trained

logging.getLogger("torch.onnx").setLevel(logging.ERROR)


class Everything(nn.Module):
    """Convolutions, depthwise too, a batch norm; an LSTM of both directions, a GRU; a linear layer over three axes."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.lstm = nn.LSTM(24, 5, batch_first=True, bidirectional=True)
        self.gru = nn.GRU(10, 4, batch_first=True)
        self.scale = nn.LayerNorm(4)
        self.mix = nn.Linear(4, 7)
        with torch.no_grad():
            assert self.norm.running_mean is not None and self.norm.running_var is not None
            self.norm.running_mean.fill_(0.3)
            self.norm.running_var.fill_(1.7)
            self.norm.weight.uniform_(0.5, 1.5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.depthwise(self.norm(self.first(x)).relu())
        y, _ = self.lstm(x.transpose(1, 2).flatten(2))
        y, _ = self.gru(y)
        mixed: Tensor = self.mix(self.scale(y)).mean(dim=1)
        return mixed


@pytest.fixture(scope="module")
def case() -> tuple[nn.Module, Tensor, Compiled]:
    torch.manual_seed(3)
    module, inputs = Everything().eval(), torch.randn(2, 1, 6, 6)
    return module, inputs, compile(module, "ideal_128x128", example_inputs=(inputs,))


def test_the_network_computes_what_the_module_computes(case: tuple[nn.Module, Tensor, Compiled]) -> None:
    module, inputs, compiled = case
    for x in (inputs, inputs[:1], torch.cat([inputs, inputs + 1])):
        with torch.no_grad():
            expected, got = module(x), compiled.simulator(noise=False)(x)
        assert isinstance(got, Tensor)
        assert relative_error(got.numpy(), expected.numpy()) < 1e-5


def test_an_exported_network_gives_the_same_outputs(
    case: tuple[nn.Module, Tensor, Compiled], tmp_path: Path
) -> None:
    module, inputs, compiled = case
    graph = import_model(pc.export(compiled, tmp_path / "network.onnx"))
    (got,) = Reference(graph).run({graph.inputs[0]: inputs.numpy()}).values()
    with torch.no_grad():
        assert relative_error(got, module(inputs).numpy()) < 1e-5


def test_trained_values_go_back_into_the_module(case: tuple[nn.Module, Tensor, Compiled]) -> None:
    module, inputs, compiled = case
    tuned = trained(compiled)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    state = pc.state_dict(tuned, module, (inputs,))
    assert all(torch.equal(value, module.state_dict()[name]) for name, value in before.items())
    copy = type(module)().eval()
    copy.load_state_dict(state)
    with torch.no_grad():
        got, expected = copy(inputs).numpy(), tuned.simulator(noise=False)(inputs)
    assert isinstance(expected, Tensor)
    assert relative_error(got, expected.numpy()) < 1e-4
    assert np.abs(got - module(inputs).detach().numpy()).max() > 0.01


def test_another_module_is_refused(case: tuple[nn.Module, Tensor, Compiled]) -> None:
    _, _, compiled = case
    with pytest.raises(ModelError, match="the module"):
        pc.state_dict(trained(compiled), nn.Linear(3, 3), (torch.randn(2, 3),))
