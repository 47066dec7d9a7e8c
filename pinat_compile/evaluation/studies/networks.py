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
from pinat_compile.data import Dataset, Preprocess, as_dataset, split_validation
from pinat_compile.evaluation.studies.file import On, Study
from pinat_compile.evaluation.studies.rows import Rows
from pinat_compile.training.finetune import finetune
from pinat_compile.training.settings import UNTRAINED, Progress, Settings

NETWORK_COLUMNS = ("key", "target", "plan", "method", "settings", "samples", "seconds", "steps", "kept_epoch",
                   "validation", "arrays", "energy_j")
HISTORY_COLUMNS = ("key", "step", "epoch", "loss", "loss_std", "validation")


@dataclass
class Networks:
    """Compiles and trains what a study needs, each once. Test data are not opened here."""

    study: Study
    folder: Path
    tell: Callable[[str], None]
    made: dict[tuple[str, tuple[str, ...]], Compiled] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rows = Rows(self.folder / "networks.csv", NETWORK_COLUMNS)
        self.history = Rows(self.folder / "histories.csv", HISTORY_COLUMNS)
        network = self.study.network
        self.preprocess = None if network.preprocess is None else Preprocess.parse(network.preprocess)
        self.train: Dataset = as_dataset(self.study.path(network.train), preprocess=self.preprocess, split="train")

    @staticmethod
    def rows_in(folder: Path) -> Rows:
        """The table of networks in a study's folder."""
        return Rows(folder / "networks.csv", NETWORK_COLUMNS)

    @property
    def validation(self) -> Dataset:
        """Images for tuning."""
        return split_validation(self.train)[1].spread(self.study.protocol.validation_images)

    @property
    def unlabelled(self) -> Dataset:
        """Images for deployments: those that networks are trained on, without labels."""
        return split_validation(self.train)[0].without_labels()

    def compiled(self, target: On, plan: Sequence[str]) -> Compiled:
        """The network on ``target``, its values changed by ``plan``; not trained."""
        key = (target.title, tuple(plan))
        if key not in self.made:
            network = self.study.network
            calibration = self.train if network.calibrate is None else self.study.path(network.calibrate)
            self.made[key] = compile_network(
                self.study.path(network.model), self.study.path(target.name), calibration=calibration,
                overrides=(*target.set, *plan), preprocess=self.preprocess,
            )
        return self.made[key]

    def key(self, target: On, plan: Sequence[str], settings: Settings, share: float) -> str:
        """Names the network that comes of it; the same for all seeds where nothing is drawn."""
        settings = replace(settings, seed=0) if settings.method == "ptq" else settings
        said = [target.title, list(target.set), list(plan), settings.to_dict(), share]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]

    def trained(self, target: On, plan: Sequence[str], settings: Settings, share: float = 1.0) -> tuple[str, Compiled]:
        """Its key and the network, from the folder where it was trained before."""
        key = self.key(target, plan, settings, share)
        place = self.folder / "networks" / key
        if (place / "manifest.json").is_file() and self.rows.where(key=key):
            return key, load(place)
        started = perf_counter()
        base, data = self.compiled(target, plan), self._share(share)
        checkpoint = place.with_name(f"{key}.checkpoint")
        tuned = finetune(
            base, data, settings=settings, progress=self._watch(target, settings), checkpoint=checkpoint, resume=True
        )
        tuned.save(place)
        self._note(key, target, plan, settings, len(data), tuned, perf_counter() - started)
        checkpoint.unlink(missing_ok=True)
        return key, tuned

    def _share(self, share: float) -> Dataset:
        return self.train if share >= 1.0 else self.train.spread(max(10, int(share * len(self.train))))

    def _watch(self, target: On, settings: Settings) -> Callable[[Progress], None]:
        def watch(progress: Progress) -> None:
            where = f"{target.title}: {settings.method}, seed {settings.seed}"
            self.tell(f"{where}: step {progress.step} of {progress.steps}, loss {progress.loss:.3f}")

        return watch

    def _note(
        self, key: str, target: On, plan: Sequence[str], settings: Settings, samples: int, tuned: Compiled,
        seconds: float,
    ) -> None:
        found: Mapping[str, Any] = tuned.options.training or {}
        history = found.get("history", [])
        if not self.history.where(key=key):
            self.history.add([
                {"key": key, "step": r["step"], "epoch": r["epoch"], "loss": r["loss"], "loss_std": r["loss_std"],
                 "validation": r["validation_accuracy"]} for r in history
            ])
        energy = estimate(tuned).total.energy_total
        self.rows.add([{
            "key": key, "target": target.title, "plan": json.dumps(list(plan)), "method": settings.method,
            "settings": json.dumps(settings.to_dict(), sort_keys=True), "samples": samples, "seconds": seconds,
            "steps": 0 if settings.method in UNTRAINED else found.get("steps"), "kept_epoch": found.get("kept_epoch"),
            "validation": history[-1]["validation_accuracy"] if history else None,
            "arrays": sum(matrix.arrays for matrix in tuned.graph.matrices.values()), "energy_j": energy,
        }])
