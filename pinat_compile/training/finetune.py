"""Fine-tuning: the network is trained through the plan that it is deployed with, and compiled again with it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pinat_compile.compiler.build import recompile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.data import Dataset, as_dataset, split_validation
from pinat_compile.data.classes import class_axis
from pinat_compile.errors import DataError, OptionError
from pinat_compile.graph import Array
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.passes.restore_trained import SUFFIX
from pinat_compile.physics.randomness import Key, generator
from pinat_compile.simulator.conditions import VALIDATION_CHIPS
from pinat_compile.simulator.module import Simulator
from pinat_compile.training.methods import virtual_chips
from pinat_compile.training.settings import Progress, Settings, Watcher
from pinat_compile.training.wires import TrainingWires

VALIDATION_SAMPLES = 1000
"""Validation samples per epoch and chip, at most."""
INSIDE = 1.0 - 2.0**-20
"""Weights are kept this share inside what cells can hold: at the limit itself rounding would stop their gradient."""


def finetune(
    compiled: Compiled, data: Any, *, progress: Watcher | None = None, settings: Settings | None = None, **given: Any
) -> Compiled:
    """Train the weights, digital affine and converter ranges of ``compiled`` on its own arrays; compile the result.

    ``data``: training data (see `pinat_compile.data.as_dataset`); every tenth sample is held out for validation.
    Keyword arguments are those of `Settings`. Only training chips are trained on and only validation chips judged;
    the values of the best epoch (of none, where training made it worse) are kept. The plan (cut, scales, arrays)
    stays. Returns a new `Compiled`, whose ``options.training`` tells what was done.

    Raises DataError where data and network do not fit, OptionError for a bad setting.
    """
    chosen = _settings({**(settings.to_dict() if settings else {}), **given})
    dataset = as_dataset(data, inputs=compiled.source.inputs, preprocess=compiled.options.preprocess, split="train")
    return _Run(compiled, chosen, dataset, progress).result()


def _settings(given: Mapping[str, Any]) -> Settings:
    try:
        return Settings(**given)
    except TypeError:
        known = ", ".join(Settings.__dataclass_fields__)
        unknown = ", ".join(name for name in given if name not in Settings.__dataclass_fields__)
        raise OptionError(f"fine-tuning has no setting {unknown}", hint=f"settings are {known}") from None


@dataclass
class _Run:
    """One fine-tuning under way."""

    compiled: Compiled
    settings: Settings
    data: Dataset
    progress: Watcher | None

    def result(self) -> Compiled:
        self.fit, self.validation = split_validation(self.data)
        self.simulator = self._simulator()
        self.trained = _trained_parameters(self.simulator, self.settings)
        self.wires = TrainingWires.of(self.compiled.target, self.settings)
        optimiser, scheduler = self._optimiser(len(self.fit))
        accuracy = self._validate()
        history: list[dict[str, Any]] = [
            {"epoch": 0, "loss": None, "validation_accuracy": accuracy, "seconds": None}
        ]
        best, best_accuracy, kept = self._values(), accuracy, 0  # to do nothing is a candidate too
        step = 0
        for epoch in range(self.settings.epochs):
            started, losses = perf_counter(), []
            self.simulator.train()
            for batch in self._batches(epoch):
                losses.append(self._step(batch, step, optimiser))
                scheduler.step()
                step += 1
                self._tell(epoch, step, losses[-1], history)
            accuracy = self._validate()
            history.append({
                "epoch": epoch + 1,
                "loss": float(np.mean(losses)),
                "validation_accuracy": accuracy,
                "seconds": perf_counter() - started,
            })
            self._tell(epoch, step, losses[-1], history)
            if accuracy >= best_accuracy:
                best, best_accuracy, kept = self._values(), accuracy, epoch + 1
        return self._compiled(best, history, kept)

    def _values(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.trained.items()}

    # --- what is trained ---

    def _simulator(self) -> Simulator:
        made = self.compiled.simulator(chip=VALIDATION_CHIPS, device=self.settings.device)
        if not any(isinstance(node.op, ArrayMvm) for _, node in made.graph.walk()):
            raise OptionError(f"{self.compiled.name}: nothing to fine-tune: no layer is analog", hint="see inspect DIR")
        return made

    def _optimiser(self, samples: int) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        steps = self.settings.epochs * -(-samples // self.settings.batch_size)
        ranges = _range_names(self.simulator)
        rate = self.settings.learning_rate
        groups = [
            {"params": [p for name, p in self.trained.items() if name not in ranges], "lr": rate},
            *(
                {"params": [p], "lr": rate * self.settings.range_rate * float(p.detach().abs().mean()),
                 "weight_decay": 0.0}
                for name, p in self.trained.items() if name in ranges
            ),
        ]
        betas = (self.settings.momentum, 0.999)
        optimiser = torch.optim.AdamW(groups, lr=rate, betas=betas, weight_decay=self.settings.weight_decay)
        warm = max(1, steps // 20)

        def share(step: int) -> float:
            if step < warm:
                return (step + 1) / warm
            return 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))

        return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, share)

    # --- steps ---

    def _batches(self, epoch: int) -> Iterator[tuple[dict[str, Tensor], Tensor | None, Tensor]]:
        """Shuffled batches: inputs, labels, and the original network's outputs."""
        source = generator(Key(("order", self.settings.seed, epoch)))
        order = torch.randperm(len(self.fit), generator=source).numpy()
        for batch in self.fit.batches(self.settings.batch_size, order=order):
            inputs = {name: torch.from_numpy(value).to(self.settings.device) for name, value in batch.inputs.items()}
            labels = None if batch.labels is None else torch.from_numpy(batch.labels).to(self.settings.device)
            yield inputs, labels, self._teach(batch.inputs)

    def _teach(self, inputs: Mapping[str, Array]) -> Tensor:
        first = self.compiled.source.outputs[0]
        return torch.from_numpy(self.compiled.reference.run(inputs)[first]).to(self.settings.device)

    def _step(
        self, batch: tuple[dict[str, Tensor], Tensor | None, Tensor], step: int, optimiser: torch.optim.Optimizer
    ) -> float:
        inputs, labels, taught = batch
        optimiser.zero_grad(set_to_none=True)
        chips = list(virtual_chips(self.simulator, self.settings, step))[: len(taught)]
        total = 0.0
        for index, (chip, part) in enumerate(zip(chips, _parts(len(taught), len(chips)), strict=True)):
            if self.wires is not None:
                self.wires.prepare(chip, step, index)
            outputs = chip.run({name: value[part] for name, value in inputs.items()})
            loss = self._loss(outputs[chip.graph.outputs[0]], None if labels is None else labels[part], taught[part])
            weight = (part.stop - part.start) / len(taught)
            (loss * weight).backward()
            total += float(loss.detach()) * weight
        if not math.isfinite(total):
            raise OptionError(
                f"fine-tuning: the loss is {total} at step {step + 1}", hint="try a smaller --learning-rate"
            )
        if self.settings.clip_gradient > 0:
            nn.utils.clip_grad_norm_(self.trained.values(), self.settings.clip_gradient)
        optimiser.step()
        self._project()
        return total

    def _loss(self, outputs: Tensor, labels: Tensor | None, taught: Tensor) -> Tensor:
        settings = self.settings
        axis = class_axis(outputs.shape, None if labels is None else labels.shape)
        outputs, taught = (x.movedim(axis, -1).flatten(0, -2) for x in (outputs, taught))
        if settings.loss == "ce" or labels is not None:
            if labels is None:
                raise DataError("fine-tuning: loss ce needs labels, the data have none", hint="use --loss distill")
            _check_labels(labels, outputs)
            hard = F.cross_entropy(outputs, labels.reshape(-1))
            if settings.loss == "ce":
                return hard
        soft = F.kl_div(
            F.log_softmax(outputs / settings.tau, dim=-1),
            F.log_softmax(taught / settings.tau, dim=-1),
            reduction="batchmean",
            log_target=True,
        ) * settings.tau**2
        return soft if labels is None else (1 - settings.kappa) * hard + settings.kappa * soft

    @torch.no_grad()
    def _project(self) -> None:
        """Weights back into what cells can hold, ranges above zero."""
        for matrix in self.simulator.graph.matrices.values():
            weight = self.trained.get(matrix.weight)
            if weight is None or matrix.cells is None or matrix.ranges is None:
                continue
            scale = self.simulator.value(matrix.ranges.weight_scale)
            limit = scale * matrix.cells.weight_max  # [outputs]
            shaped = limit if matrix.view == "in_out" else limit.reshape(-1, *(1,) * (weight.ndim - 1))
            weight.clamp_(-shaped * INSIDE, shaped * INSIDE)
        for name in _range_names(self.simulator):
            if name in self.trained:
                self.trained[name].clamp_(min=torch.finfo(torch.float32).tiny)

    @torch.no_grad()
    def _validate(self) -> float:
        """Mean accuracy (without labels: agreement with the original network) over the validation chips."""
        self.simulator.eval()
        data = self.validation.spread(VALIDATION_SAMPLES)
        right = total = 0
        for number in range(self.settings.validation_chips):
            chip = self.simulator.view(replace(self.simulator.conditions, chip=VALIDATION_CHIPS + number))
            for batch in data.batches(256):
                inputs = {n: torch.from_numpy(v).to(self.settings.device) for n, v in batch.inputs.items()}
                outputs = chip.run(inputs)[chip.graph.outputs[0]].cpu()
                axis = class_axis(outputs.shape, None if batch.labels is None else batch.labels.shape)
                found = outputs.argmax(dim=axis)
                if batch.labels is not None:
                    wanted = torch.from_numpy(batch.labels)
                else:
                    wanted = self._teach(batch.inputs).cpu().argmax(dim=axis)
                _check_labels(wanted, outputs.movedim(axis, -1).flatten(0, -2))
                right += int((found == wanted).sum())
                total += wanted.numel()
        return right / total

    # --- ends ---

    def _tell(self, epoch: int, step: int, loss: float, history: list[dict[str, Any]]) -> None:
        if self.progress is not None:
            settings = self.settings
            steps = settings.epochs * -(-len(self.fit) // settings.batch_size)
            last = history[-1]["validation_accuracy"] if history else None
            self.progress(Progress(epoch + 1, settings.epochs, step, steps, loss, last))

    def _compiled(self, values: Mapping[str, Tensor], history: list[dict[str, Any]], kept: int) -> Compiled:
        ranges = _range_names(self.simulator)
        arrays: dict[str, Array] = {name: value.cpu().numpy() for name, value in values.items()}
        training = {
            "method": self.settings.method,
            "epochs": self.settings.epochs,
            "data": self.data.name,
            "samples": len(self.fit),
            "validation_samples": min(len(self.validation), VALIDATION_SAMPLES),
            "kept_epoch": kept,
            "history": history,
            "settings": self.settings.to_dict(),
        }
        return recompile(
            self.compiled,
            trained={name.removesuffix(SUFFIX) + SUFFIX: v for name, v in arrays.items() if name not in ranges},
            ranges={name: value for name, value in arrays.items() if name in ranges},
            options=replace(self.compiled.options, training=training),
        )


def _trained_parameters(simulator: Simulator, settings: Settings) -> dict[str, nn.Parameter]:
    """What is trained: weights, gains and biases of the analog layers, and their converters' ranges."""
    names: dict[str, None] = {}
    for _, node in simulator.graph.walk():
        if isinstance(node.op, ArrayMvm):
            matrix = simulator.graph.matrices[node.op.matrix]
            names.update(dict.fromkeys((matrix.weight, *node.inputs[1:])))
    if settings.learn_ranges:
        names.update(dict.fromkeys(sorted(_range_names(simulator))))
    parameters = simulator.parameter_names()
    chosen = {name: parameters[name] for name in names}
    for parameter in chosen.values():
        parameter.requires_grad_(True)
    return chosen


def _range_names(simulator: Simulator) -> set[str]:
    """The tensors that hold converter ranges."""
    return {name for matrix in simulator.graph.matrices.values() for name in matrix.range_names}


def _parts(size: int, count: int) -> list[slice]:
    """``size`` samples in ``count`` parts, none empty where there are enough."""
    cuts = [size * i // count for i in range(count + 1)]
    return [slice(a, b) for a, b in zip(cuts, cuts[1:], strict=False) if b > a] or [slice(0, size)]


def _check_labels(labels: Tensor, outputs: Tensor) -> None:
    """Class numbers, one for each row of ``outputs`` [n, classes]."""
    hint = "give one class number from 0 per output, or data without labels to learn from the original network"
    if labels.is_floating_point() or labels.is_complex():
        raise DataError("fine-tuning: labels are not whole numbers", hint=hint)
    if labels.numel() != len(outputs):
        raise DataError(f"fine-tuning: {labels.numel()} labels for {len(outputs)} outputs of a batch", hint=hint)
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < outputs.shape[-1]:
        found = f"from {int(labels.min())} to {int(labels.max())}"
        raise DataError(f"fine-tuning: labels {found}, but the network has {outputs.shape[-1]} outputs", hint=hint)
