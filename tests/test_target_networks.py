"""Every shipped target compiles the shipped network and runs it, ideally and as a chip."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from pinat_compile.compiler.build import compile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.data import load_data
from pinat_compile.hardware.loader import list_targets, load_target
from pinat_compile.simulator.conditions import VALIDATION_CHIPS

MODEL = Path(__file__).parents[1] / "examples" / "resnet8_fashion_mnist.onnx"
IMAGES = 96


@pytest.fixture(scope="module")
def images() -> Tensor:
    data = load_data("fashion-mnist-mini@validation", inputs=["x"]).slice(0, IMAGES)
    return torch.from_numpy(data.inputs["x"])


def agreement(compiled: Compiled, images: Tensor, found: Tensor) -> float:
    """Share of images that are classified as by the original network."""
    (output,) = compiled.reference.run({"x": images.numpy()}).values()
    return float((found.argmax(dim=1).numpy() == output.argmax(axis=1)).mean())


@pytest.mark.parametrize("name", list_targets())
def test_compiles_and_runs(name: str, images: Tensor) -> None:
    compiled = compile(MODEL, name)
    assert compiled.default_time_s == load_target(name).t0_s
    with torch.inference_mode():
        ideal = compiled.simulator(noise=False)(images)
        chips = [compiled.simulator(chip=VALIDATION_CHIPS + number)(images) for number in range(2)]
    assert agreement(compiled, images, ideal) > 0.85
    assert min(agreement(compiled, images, chip) for chip in chips) > 0.6
    perfect = not compiled.target.optical and compiled.target.device.perfect and compiled.target.column is None
    assert torch.equal(chips[0], chips[1]) == perfect


@pytest.mark.parametrize(("name", "later"), [("pcm_256x256", "1d"), ("cmo_64x64", "30d"), ("sonos_1024x1024", "5d")])
def test_later_is_another_matter(name: str, later: str, images: Tensor) -> None:
    """The same chip twice at one time is the same; at another time it is not."""
    compiled = compile(MODEL, name)
    with torch.inference_mode():
        first, again = (compiled.simulator(chip=VALIDATION_CHIPS)(images[:8]) for _ in range(2))
        late = compiled.simulator(chip=VALIDATION_CHIPS, time=later)(images[:8])
    assert torch.equal(first, again)
    assert not torch.equal(first, late) and bool(late.isfinite().all())
