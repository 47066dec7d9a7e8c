"""Chips that run the same inputs share what is made of them, and give what each gives alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from pinat_compile.physics import converters
from pinat_compile.simulator.shared import Shared
from tests.simulator.layers import Layer
from tests.simulator.test_streamlined import grouped, images, one_channel, small_images, vectors

SHAPES = [vectors, images, small_images, grouped, one_channel]


@pytest.mark.parametrize("target", ["noise that does not depend on the state", "noise of the state", "bits one by one"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_chips_together_give_what_each_gives_alone(
    target: str, shape: Callable[[str], tuple[Layer, Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    example, x = shape(target)
    chips = [example.simulator(chip, time_s=1000.0) for chip in range(3)]
    other = x.flip(0)
    with torch.inference_mode():
        alone = [chip(given, first_sample=0) for given in (x, other) for chip in chips]
        made, quantise = [], converters.quantise

        def counted(*given: Any) -> Tensor:
            made.append(given)
            return quantise(*given)

        monkeypatch.setattr(converters, "quantise", counted)
        shared = Shared()
        for chip in chips:
            chip.shared = shared
        together = [chip(given, first_sample=0) for given in (x, other) for chip in chips]
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))
    assert len(made) <= 2  # once for each input, where there are converters at all
