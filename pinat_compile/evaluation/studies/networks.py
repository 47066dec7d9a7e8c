"""The networks of a study: compiled and trained once for each set of settings, kept in the study's folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from pinat_compile.compiler.build import compile as compile_network
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.costs import estimate
from pinat_compile.compiler.folder import load
from pinat_compile.compiler.places import remove_file
from pinat_compile.data import Dataset, Preprocess, as_dataset, split_validation
from pinat_compile.evaluation.studies.file import On, Study
from pinat_compile.training.finetune import finetune
from pinat_compile.training.settings import UNTRAINED, Settings

NETWORK_COLUMNS = ("key", "target", "plan", "method", "settings", "samples", "seconds", "steps", "kept_epoch",
                   "validation", "arrays", "energy_j")
HISTORY_COLUMNS = ("key", "step", "epoch", "loss", "loss_std", "validation")


@dataclass(frozen=True, slots=True)
class Training:
    """A network to be trained; ``key`` names what comes of it. ``share``: of the training data."""

    key: str
    target: On
    plan: tuple[str, ...]
    settings: Settings
    share: float

    @classmethod
    def of(cls, target: On, plan: Sequence[str], settings: Settings, share: float) -> Training:
        """Its key is the same for all seeds where nothing is drawn."""
        alike = replace(settings, seed=0) if settings.method == "ptq" else settings
        said = [target.title, list(target.set), list(plan), alike.to_dict(), share]
        key = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]
        return cls(key, target, tuple(plan), settings, share)

    def __str__(self) -> str:
        return f"{self.target.title}: {self.settings.method}, seed {self.settings.seed}"


@dataclass(frozen=True, slots=True)
class Made:
    """What is noted of a network that was trained: its row, and those of its history."""

    row: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]


@dataclass
class Networks:
    """Compiles and trains networks of a study, into its folder. Test data are not opened here."""

    study: Study
    folder: Path
    made: dict[tuple[str, tuple[str, ...]], Compiled] = field(default_factory=dict)

    def __post_init__(self) -> None:
        network = self.study.network
        self.preprocess = None if network.preprocess is None else Preprocess.parse(network.preprocess)
        self.train_data: Dataset = as_dataset(self.study.path(network.train), preprocess=self.preprocess, split="train")

    @property
    def validation(self) -> Dataset:
        """Images for tuning."""
        return split_validation(self.train_data)[1].spread(self.study.protocol.validation_images)

    @property
    def unlabelled(self) -> Dataset:
        """Images for deployments: those that networks are trained on, without labels."""
        return split_validation(self.train_data)[0].without_labels()

    def compiled(self, target: On, plan: Sequence[str]) -> Compiled:
        """The network on ``target``, its values changed by ``plan``; not trained."""
        key = (target.title, tuple(plan))
        if key not in self.made:
            network = self.study.network
            calibration = self.train_data if network.calibrate is None else self.study.path(network.calibrate)
            self.made[key] = compile_network(
                self.study.path(network.model), self.study.path(target.name), calibration=calibration,
                overrides=(*target.set, *plan), preprocess=self.preprocess,
            )
        return self.made[key]

    def place(self, key: str) -> Path:
        return self.folder / "networks" / key

    def stands(self, key: str) -> bool:
        """Whether the folder holds this network, whole."""
        return (self.place(key) / "manifest.json").is_file()

    def load(self, key: str) -> Compiled:
        return load(self.place(key))

    def train(self, wanted: Training, tell: Callable[[float], None] | None) -> Made:
        """Train a network and put it into its place; the checkpoint stays until that is noted (`settled`)."""
        started = perf_counter()
        data = self._share(wanted.share)
        tuned = finetune(
            self.compiled(wanted.target, wanted.plan), data, settings=wanted.settings,
            progress=None if tell is None else lambda progress: tell(progress.step / max(1, progress.steps)),
            checkpoint=self._checkpoint(wanted.key), resume=True,
        )
        tuned.save(self.place(wanted.key))
        return _made(wanted, len(data), tuned, perf_counter() - started)

    def settled(self, key: str) -> None:
        remove_file(self._checkpoint(key))

    def _checkpoint(self, key: str) -> Path:
        return self.place(key).with_name(f"{key}.checkpoint")

    def _share(self, share: float) -> Dataset:
        return self.train_data if share >= 1.0 else self.train_data.spread(max(10, int(share * len(self.train_data))))


def _made(wanted: Training, samples: int, tuned: Compiled, seconds: float) -> Made:
    key, settings = wanted.key, wanted.settings
    found: Mapping[str, Any] = tuned.options.training or {}
    history = found.get("history", [])
    row = {
        "key": key, "target": wanted.target.title, "plan": json.dumps(list(wanted.plan)), "method": settings.method,
        "settings": json.dumps(settings.to_dict(), sort_keys=True), "samples": samples, "seconds": seconds,
        "steps": 0 if settings.method in UNTRAINED else found.get("steps"), "kept_epoch": found.get("kept_epoch"),
        "validation": history[-1]["validation_accuracy"] if history else None,
        "arrays": sum(matrix.arrays for matrix in tuned.graph.matrices.values()),
        "energy_j": estimate(tuned).total.energy_total,
    }
    return Made(row, [
        {"key": key, "step": r["step"], "epoch": r["epoch"], "loss": r["loss"], "loss_std": r["loss_std"],
         "validation": r["validation_accuracy"]} for r in history
    ])
