"""From a trained machine to a sampler on one chip: planned, programmed, measured, set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pinat_compile.ebm import temperature
from pinat_compile.ebm.array import Direction, Held, TwoWayArray
from pinat_compile.ebm.rbm import Rbm
from pinat_compile.ebm.samplers import ChipSampler
from pinat_compile.ebm.temperature import PROBIT, Setting
from pinat_compile.hardware.schema import Target
from pinat_compile.physics.randomness import Key, generator
from pinat_compile.simulator.conditions import TRAINING_CHIPS, Conditions
from pinat_compile.simulator.noise import StreamNoise

Calibration = Literal["none", "data_sheet", "temperature", "units"]
"""none: the chip as it is; data_sheet: an average chip's noise; temperature: this chip's, one noise per direction;
units: noise and threshold of each unit of this chip."""
SIGMAS = 3.0
"""Deviations of a unit's noise that fit between its largest sum and the end of the ADC's range."""


@dataclass(frozen=True)
class Bench:
    """A machine, the array it is planned for, and the inputs that calibration drives it with.

    ``data`` [samples, visible] binary, of the training set; hidden inputs are drawn from the machine itself.
    """

    rbm: Rbm
    array: TwoWayArray
    data: Tensor
    seed: int = 0

    @classmethod
    def plan(cls, rbm: Rbm, target: Target, data: Tensor, *, clip: float = 1.0, seed: int = 0) -> Bench:
        """Plan for ``target``: the top level stands for ``clip`` times the largest weight; ADCs hold the sums of
        ``data`` and `SIGMAS` deviations of the noise that makes units of temperature 1."""
        hidden = _hidden(rbm, data, seed)
        sums = [float((data.float() @ rbm.weights).abs().max()), float((hidden @ rbm.weights.T).abs().max())]
        ways = [Direction(1.0, found + SIGMAS * PROBIT) for found in sums]
        largest = clip * float(rbm.weights.abs().max())
        array = TwoWayArray(rbm.visible, rbm.hidden, target, largest, forward=ways[0], backward=ways[1])
        return cls(rbm, array, data, seed)

    def inputs(self, transpose: bool) -> Tensor:
        return _hidden(self.rbm, self.data, self.seed) if transpose else self.data.float()

    def bias(self, transpose: bool) -> Tensor:
        return self.rbm.visible_bias if transpose else self.rbm.hidden_bias

    def sampler(
        self, conditions: Conditions, calibration: Calibration, *, seed: int = 0, reads: int | None = 16,
        noise: bool = True,
    ) -> ChipSampler:
        """The machine on the chip of ``conditions``, set up as ``calibration`` says.

        ``reads``: how often a calibrating input is read; ``None``: as if infinitely often (virtual chips of training).
        ``noise=False``: the same chip with nothing fresh in a read.
        """
        source = generator(Key(("ebm", seed, -1 if conditions.chip is None else conditions.chip)))
        held = self.array.program(self.rbm.weights, conditions)
        settings = [self._setting(held, calibration, transpose, source, reads) for transpose in (False, True)]
        for transpose, setting in zip((False, True), settings, strict=True):
            if bool((setting.noise > 0).any()):
                held = self.array.with_neuron_noise(held, setting.noise, transpose=transpose)
        return ChipSampler(self.array, held, (settings[0].threshold, settings[1].threshold), source, noise)

    def _setting(
        self, held: Held, calibration: Calibration, transpose: bool, source: torch.Generator, reads: int | None
    ) -> Setting:
        bias = self.bias(transpose)
        if calibration == "none":
            return temperature.uncalibrated(bias)
        if calibration == "data_sheet":
            return temperature.data_sheet(self.typical_noise(transpose), bias)
        x = self.inputs(transpose)
        found = (
            temperature.known(self.array, held, self.rbm.weights, x, transpose=transpose)
            if reads is None
            else temperature.measure(
                self.array, held, self.rbm.weights, x, StreamNoise(source), transpose=transpose, reads=reads)
        )
        set_by = temperature.one_temperature if calibration == "temperature" else temperature.every_unit
        return set_by(found, bias)

    def typical_noise(self, transpose: bool) -> float:
        """Deviation of what is fresh in a read, by the target file: that of a virtual chip, root mean square."""
        now = Conditions(chip=TRAINING_CHIPS, time_s=self.array.target.t0_s)
        seen = self.array.columns(
            self.inputs(transpose), self.array.program(self.rbm.weights, now), transpose=transpose)
        return float((seen.deviation * seen.unit).square().sum(dim=1).mean().sqrt())


def _hidden(rbm: Rbm, data: Tensor, seed: int) -> Tensor:
    """A draw of h for every sample."""
    chance = torch.sigmoid(data.float() @ rbm.weights + rbm.hidden_bias)
    return (torch.rand(chance.shape, generator=generator(Key(("ebm", "hidden", seed)))) < chance).float()
