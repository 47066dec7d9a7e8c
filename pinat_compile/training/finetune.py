"""Fine-tuning: the network is trained through the plan that it is deployed with, and compiled again with it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pinat_compile.compiler.build import recompile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.data import Dataset, as_dataset, split_validation
from pinat_compile.errors import OptionError
from pinat_compile.graph import Array
from pinat_compile.graph.ops.array import ArrayMvm
from pinat_compile.passes.restore_trained import SUFFIX
from pinat_compile.physics.randomness import Key, generator
from pinat_compile.simulator.conditions import VALIDATION_CHIPS
from pinat_compile.simulator.finite import begins_at
from pinat_compile.simulator.module import Simulator
from pinat_compile.training.augment import augmented
from pinat_compile.training.batch import Batch, parts_of
from pinat_compile.training.checkpoint import Standing, load_checkpoint, save_checkpoint
from pinat_compile.training.logs import Log
from pinat_compile.training.losses import divergence, task_loss
from pinat_compile.training.methods import virtual_chips
from pinat_compile.training.physics import PhysicsLoss
from pinat_compile.training.ranks import Ranks
from pinat_compile.training.reestimation import reestimated
from pinat_compile.training.residual import residual_layers
from pinat_compile.training.settings import Progress, Settings, Watcher
from pinat_compile.training.trained import (
    Optimiser,
    average,
    optical_names,
    optical_weights,
    project,
    range_names,
    trained_parameters,
)
from pinat_compile.training.validation import validated
from pinat_compile.training.wires import TrainingWires

CHECKPOINT_EVERY = 50
"""Steps between two checkpoints; one is written after every judgement too."""
BATCH = 256
"""Samples that the original network sees at a time."""
MOST_TAUGHT = 1 << 27
"""Numbers of its outputs that are kept; with more it runs again for every batch."""


def finetune(
    compiled: Compiled,
    data: Any,
    *,
    progress: Watcher | None = None,
    settings: Settings | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    log: str | Path | None = None,
    **given: Any,
) -> Compiled:
    """Train the weights, digital affine and converter ranges of ``compiled`` on its own arrays; compile the result.

    ``data``: training data (see `pinat_compile.data.as_dataset`); every tenth sample is held out for validation.
    Keyword arguments are those of `Settings`, whose defaults are those of the ``method``. Only training chips are
    trained on and only validation chips judged; the best values (those before, where training made it worse) are
    kept. The plan (cut, scales, arrays) stays, unless ``replan`` says otherwise. Returns a new `Compiled`, whose
    ``options.training`` tells what was done.

    ``checkpoint``: a file that is written on the way; with ``resume`` a run goes on from it, if it is there, and ends
    (on one thread) bit for bit as it would have without the break. ``log``: a folder for TensorBoard.

    Started by torchrun, in several processes, each takes its share of every batch's virtual chips; the first one writes
    checkpoint and log, all return the same result: that of one process but for the order of sums (see `Ranks`).

    Raises DataError where data and network do not fit, OptionError for a bad setting, FolderError for a checkpoint
    of another run.
    """
    if settings is not None:
        given = {**settings.to_dict(), **given}
    chosen = Settings.of(**given)
    dataset = as_dataset(data, inputs=compiled.source.inputs, preprocess=compiled.options.preprocess, split="train")
    file = None if checkpoint is None else Path(checkpoint)
    ranks = Ranks.join(chosen.device)
    try:
        written = Log(Path(log) if log is not None and ranks.first else None)
        watch = progress if ranks.first else None
        return Run(compiled, ranks.settings(chosen), dataset, watch, file, written, ranks).result(resume=resume)
    finally:
        ranks.leave()


@dataclass
class Run:
    """One fine-tuning under way."""

    compiled: Compiled
    settings: Settings
    data: Dataset
    progress: Watcher | None
    checkpoint: Path | None
    log: Log
    ranks: Ranks = field(default_factory=Ranks)

    def result(self, *, resume: bool) -> Compiled:
        settings = self.settings
        if settings.chips_per_batch < self.ranks.count:
            what = f"fine-tuning: {settings.chips_per_batch} virtual chips per batch for {self.ranks.count} processes"
            raise OptionError(what, hint=f"--chips-per-batch {self.ranks.count}: each process needs a chip")
        self.fit, held_out = split_validation(self.data)
        self.validation = held_out.spread(settings.validation_samples)
        self.simulator = self._simulator()
        self.trained = trained_parameters(self.simulator, settings)
        self.wires = TrainingWires.of(self.compiled.target, settings)
        self.physics = PhysicsLoss.of(self.compiled, self.simulator, settings)
        self.per_epoch = -(-len(self.fit) // settings.batch_size)
        self.steps = settings.epochs * self.per_epoch
        self.optimiser = Optimiser.of(self.simulator, self.trained, settings, self.steps)
        self.mean = self._values() if settings.ema else None
        self.taught = self._taught()
        self.standing, self.best, self.since = Standing(), self._values(), perf_counter()
        there = resume and self.checkpoint is not None and self.checkpoint.is_file()
        if self.ranks.agree(there) and self.checkpoint is not None:
            self._go_on(self.checkpoint)
        else:
            self._judge(None)
            self._save()
        self._train()
        if settings.reestimate:
            self._reestimate()
        self.log.close()
        return self._compiled()

    def _values(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.trained.items()}

    @torch.no_grad()
    def _set(self, values: Mapping[str, Tensor]) -> None:
        for name, value in values.items():
            self.trained[name].copy_(value)

    def _simulator(self) -> Simulator:
        made = self.compiled.simulator(chip=VALIDATION_CHIPS, device=self.settings.device)
        if not any(isinstance(node.op, ArrayMvm) for _, node in made.graph.walk()):
            raise OptionError(f"{self.compiled.name}: nothing to fine-tune: no layer is analog", hint="see inspect DIR")
        return made

    # --- steps ---

    def _train(self) -> None:
        standing, settings = self.standing, self.settings
        self.simulator.train()
        for epoch in range(standing.step // self.per_epoch, settings.epochs):
            for batch in self._batches(epoch, standing.step % self.per_epoch):
                if standing.stopped:
                    return
                standing.losses.append(self._step(batch, standing.step))
                standing.step += 1
                self._tell()
                self.log.scalars(standing.step, {"loss": standing.losses[-1]})
                due = standing.step % (settings.validate_every or self.per_epoch) == 0
                if due or standing.step == self.steps:
                    self._judge(float(np.mean(standing.losses)))
                    self._tell()
                if due or standing.step % CHECKPOINT_EVERY == 0:
                    self._save()

    def _batches(self, epoch: int, skip: int) -> Iterator[Batch]:
        """The shuffled batches of an epoch, after the first ``skip``."""
        settings, size = self.settings, self.settings.batch_size
        order = torch.randperm(len(self.fit), generator=generator(Key(("order", settings.seed, epoch)))).numpy()
        places = [order[start : start + size] for start in range(skip * size, len(order), size)]
        read = self.fit.batches(size, order=order[skip * size :])
        for number, (place, batch) in enumerate(zip(places, read, strict=True), skip):
            key = Key(("augment", settings.seed, epoch, number))
            inputs = augmented({n: torch.from_numpy(v) for n, v in batch.inputs.items()}, settings.augment, key)
            taught = None
            if settings.loss != "ce":
                known = self.taught
                taught = known[place] if known is not None else self._teach({n: x.numpy() for n, x in inputs.items()})
            labels = None if batch.labels is None else torch.from_numpy(batch.labels).to(settings.device)
            yield Batch({n: x.to(settings.device) for n, x in inputs.items()}, labels, taught)

    def _taught(self) -> Tensor | None:
        """The original network's outputs for all samples, in order; ``None`` where they cannot be known before."""
        settings = self.settings
        if settings.loss == "ce" or settings.augment or not settings.epochs:
            return None
        found, numbers = [], 0
        for batch in self.fit.batches(BATCH):
            found.append(self._teach(batch.inputs))
            numbers += found[-1].numel()
            if numbers > MOST_TAUGHT:
                return None
        return torch.cat(found)

    def _teach(self, inputs: Mapping[str, Array]) -> Tensor:
        outputs = self.compiled.reference.run(inputs)[self.compiled.source.outputs[0]]
        return torch.from_numpy(outputs).to(self.settings.device)

    def _step(self, batch: Batch, step: int) -> float:
        settings = self.settings
        self.optimiser.optimiser.zero_grad(set_to_none=True)
        parts = parts_of(len(batch), settings.chips_per_batch)
        sizes = [part.stop - part.start for part in parts]
        chips = virtual_chips(self.simulator, settings, step, sizes, step / max(1, self.steps))
        if self.wires is not None:
            self._solve_wires(chips, batch.part(slice(0, 1)), step)
        total = 0.0
        for index, (chip, part) in self.ranks.mine(list(enumerate(zip(chips, parts, strict=True)))):
            loss = self._loss(chip, chips[(index + 1) % len(chips)], batch.part(part)) * (sizes[index] / len(batch))
            loss.backward()
            total += float(loss.detach())
        total = self._add_up(total)
        if self.physics.wanted:
            penalty = self.physics()
            penalty.backward()  # type: ignore[no-untyped-call]
            total += float(penalty.detach())
        if not math.isfinite(total):
            began = begins_at(chips[0], batch.inputs)
            where = f", which begins at {began}" if began else ""
            raise OptionError(
                f"fine-tuning: the loss is {total} at step {step + 1}{where}", hint="try a smaller --learning-rate"
            )
        if settings.clip_gradient > 0:
            nn.utils.clip_grad_norm_(self.trained.values(), settings.clip_gradient)
        self.optimiser.step(step)
        project(self.simulator, self.trained, weights=settings.project)
        if self.mean is not None:
            average(self.mean, self.trained, settings.ema, step)
        return total

    def _solve_wires(self, chips: Sequence[Simulator], sample: Batch, step: int) -> None:
        """Give the chips their wires; in several processes all solve those of the first chip, that the others reuse."""
        assert self.wires is not None
        for index, chip in enumerate(chips):
            self.wires.prepare(chip, step, index)
        if self.ranks.count > 1 and self.wires.every is not None and not self.wires.known:
            with torch.no_grad():
                self._run(chips[0], sample)

    def _add_up(self, loss: float) -> float:
        """Gradients and loss of all processes together; a parameter that none has a gradient for keeps none."""
        if self.ranks.count > 1:
            parameters = list(self.trained.values())
            like = parameters[0]
            known = torch.tensor([p.grad is not None for p in parameters], dtype=like.dtype, device=like.device)
            for parameter in parameters:
                parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            self.ranks.add_up([known, *(p.grad for p in parameters if p.grad is not None)])
            for parameter, some in zip(parameters, known.tolist(), strict=True):
                parameter.grad = parameter.grad if some else None
        return self.ranks.totals([loss], self.settings.device)[0]

    def _loss(self, chip: Simulator, other: Simulator, batch: Batch) -> Tensor:
        """The loss of one part on its chip; with ``lambda_divergence`` also against another chip, or another read."""
        outputs = self._run(chip, batch)
        loss = task_loss(self.settings, outputs, batch.labels, batch.taught)
        if not self.settings.lambda_divergence:
            return loss
        return loss + self.settings.lambda_divergence * divergence(outputs, self._run(other, batch))

    def _run(self, chip: Simulator, batch: Batch) -> Tensor:
        half = self.settings.precision == "bfloat16"
        with torch.autocast(torch.device(self.settings.device).type, torch.bfloat16, enabled=half):
            return chip.run(batch.inputs)[chip.graph.outputs[0]].float()

    # --- judgements ---

    def _judge(self, loss: float | None) -> None:
        """Judge the present values and remember the best."""
        standing, settings = self.standing, self.settings
        trained = self._values()
        if self.mean is not None:
            self._set(self.mean)
        accuracy = self._validate()
        physics, epoch = self._physics(), standing.step / self.per_epoch
        record: dict[str, Any] = {
            "epoch": int(epoch) if epoch == int(epoch) else round(epoch, 4),
            "step": standing.step,
            "loss": loss,
            "loss_std": float(np.std(standing.losses)) if standing.losses else None,
            "validation_accuracy": accuracy,
            "seconds": None if loss is None else perf_counter() - self.since,
            "physics": physics,
        }
        standing.history.append(record)
        if accuracy >= standing.best:
            self.best, standing.best, standing.kept, standing.stale = self._values(), accuracy, record["epoch"], 0
        else:
            standing.stale += 1
        standing.stopped = settings.patience is not None and standing.stale >= settings.patience
        standing.losses, self.since = [], perf_counter()
        self._set(trained)
        parts = {f"physics/{name}": value for name, value in physics.items()}
        self.log.scalars(standing.step, {"validation": accuracy, **parts})

    def _validate(self) -> float:
        settings = self.settings
        chips = settings.validation_chips if settings.on_arrays else 0
        values = settings.loss in ("mse", "cosine")
        return validated(
            self.compiled, self.simulator, self.validation, chips, values=values, device=settings.device,
            ranks=self.ranks,
        )[0]

    @torch.no_grad()
    def _physics(self) -> dict[str, float]:
        """Every part of L_physics, whether it weighs anything or not."""
        return {name: float(value) for name, value in self.physics.parts().items()}

    def _reestimate(self) -> None:
        """Gains and biases under noise; kept where validation chips are not worse for it."""
        self._set(self.best)
        self.simulator.eval()
        ideal = self.simulator.view(replace(self.simulator.conditions, chip=None))
        found = reestimated(self.simulator, ideal, self.fit.without_labels(), self.settings)
        self._set(found)
        self.mean = None
        self._judge(None)
        self.standing.history[-1]["reestimated"] = True

    # --- ends ---

    def _save(self) -> None:
        if self.checkpoint is None or not self.ranks.first:
            return
        groups = {"trained": self._values(), "best": self.best, "optimiser": self.optimiser.tensors()}
        if self.mean is not None:
            groups["mean"] = self.mean
        if self.wires is not None:
            groups["wires"] = self.wires.known
        save_checkpoint(self.checkpoint, self.standing, groups, self._identity())

    def _go_on(self, path: Path) -> None:
        self.standing, groups = load_checkpoint(path, self._identity())
        device = self.settings.device
        on_device = {group: {n: v.to(device) for n, v in held.items()} for group, held in groups.items()}
        self._set(on_device["trained"])
        self.best = {name: on_device["best"][name] for name in self.trained}  # in the order of a run without a break
        self.optimiser.restore(groups.get("optimiser", {}))
        if self.mean is not None:
            self.mean = on_device["mean"]
        if self.wires is not None:
            self.wires.known.update(on_device.get("wires", {}))

    def _identity(self) -> str:
        """What a checkpoint belongs to: network, plan, values, settings and how many samples of which data."""
        said = [self.compiled.fingerprint, self._settings(), self.data.name, len(self.data)]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def _settings(self) -> dict[str, Any]:
        """As they were asked for: without the number that each process gives its device."""
        return {**self.settings.to_dict(), "device": self.settings.device.partition(":")[0]}

    def _tell(self) -> None:
        if self.progress is not None and self.standing.losses + self.standing.history:
            standing = self.standing
            epoch = min((standing.step - 1) // self.per_epoch + 1, self.settings.epochs)
            loss = standing.losses[-1] if standing.losses else float(standing.history[-1]["loss"])
            last = standing.history[-1]["validation_accuracy"] if standing.history else None
            self.progress(Progress(epoch, self.settings.epochs, standing.step, self.steps, loss, last))

    def _compiled(self) -> Compiled:
        settings = self.settings
        ranges = range_names(self.simulator) | optical_names(self.simulator)
        self._set(self.best)
        values = {**self.best, **optical_weights(self.simulator)}
        arrays: dict[str, Array] = {name: value.detach().cpu().numpy() for name, value in values.items()}
        training = {
            "method": settings.method,
            "epochs": settings.epochs,
            "data": self.data.name,
            "samples": len(self.fit),
            "validation_samples": len(self.validation),
            "kept_epoch": self.standing.kept,
            "steps": self.standing.step,
            "stopped_early": self.standing.stopped,
            "history": self.standing.history,
            "residual_layers": [layer.to_dict() for layer in residual_layers(self.compiled.graph)],
            "settings": self._settings(),
            "processes": self.ranks.count,
        }
        return recompile(
            self.compiled,
            trained={name.removesuffix(SUFFIX) + SUFFIX: v for name, v in arrays.items() if name not in ranges},
            ranges={name: value for name, value in arrays.items() if name in ranges},
            options=replace(self.compiled.options, training=training),
            keep_plan=not settings.replan,
        )
