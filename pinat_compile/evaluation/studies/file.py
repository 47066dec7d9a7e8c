"""A study file: what is compared on what, with which budget; TOML, checked before anything runs.

    schema = 1
    name = "quick"

    [network]            model, train, test; calibrate, preprocess                 paths stand relative to the file
    [protocol]           seeds, chips, severities, dynamic; validation_…, trials   see `Protocol`
    [training]           settings of every method, for example epochs = 1
    [[target]]           name; set = ["adc.bits=6"], time, seeds, label
    [[mode]]             name; deploy = [steps], training = {…} for every method, tuned_like = another mode
    [[method]]           method; name, training = {…}, tune = {setting = [values]}, modes, ablation
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from pinat_compile.data import Preprocess
from pinat_compile.data.load import MINI
from pinat_compile.data.spec import Spec
from pinat_compile.errors import OptionError
from pinat_compile.evaluation.deploying import chosen_steps
from pinat_compile.evaluation.dynamics import KINDS
from pinat_compile.hardware.loader import load_target
from pinat_compile.simulator.conditions import VALIDATION_CHIPS
from pinat_compile.training.settings import METHODS, UNTRAINED, Settings

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The network and its data; ``train`` also gives validation images, calibration and deployment samples."""

    model: str
    train: str
    test: str
    calibrate: str | None = None
    preprocess: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How much of everything.

    Training seeds 0 … ``seeds`` - 1, each on ``chips`` test chips from ``first_chip`` on, at all of ``severities`` and
    under every kind of ``dynamic`` (``dynamic_for``: of these methods alone). ``images_per_chip``: each chip sees
    so many test images of its own, the next share of the test data, so that means are over all of it; ``None``: every
    chip sees all. Each method is tuned in at most ``trials`` trials, judged on ``validation_images`` held-out images,
    ``validation_chips`` validation chips and ``validation_severities``; trials train on ``trial_share`` of the data.
    ``proposal``: the method that all others are compared with. ``rauc``: in the first mode the first method nt is also
    trained for every severity alone; AUC relative to what that gives is rAUC (arXiv 2503.16183).
    ``samples``: unlabelled training images for deployments.
    """

    seeds: int = 5
    chips: int = 25
    first_chip: int = 0
    severities: tuple[float, ...] = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
    dynamic: tuple[str, ...] = ()
    dynamic_for: tuple[str, ...] = ()
    images_per_chip: int | None = None
    trials: int = 4
    trial_share: float = 1.0
    validation_images: int = 1000
    validation_chips: int = 8
    validation_severities: tuple[float, ...] = (0.5, 1.0, 2.0)
    samples: int = 200
    proposal: str = "pinat"
    rauc: bool = False
    device: str = "cpu"

    @property
    def test_chips(self) -> range:
        """The numbers of the chips that are judged in the end."""
        return range(self.first_chip, self.first_chip + self.chips)


@dataclass(frozen=True, slots=True, kw_only=True)
class On:
    """A target of the study. ``set`` changes its values; ``seeds``: fewer than the protocol's; ``time`` of reading."""

    name: str
    set: tuple[str, ...] = ()
    time: str | None = None
    seeds: int | None = None
    label: str = ""

    @property
    def title(self) -> str:
        return self.label or self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """What every method may do: steps on each chip, and settings of training that are nobody's own."""

    name: str
    deploy: tuple[str, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    tuned_like: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A method as it takes part. ``tune``: values by setting; ``plan`` there stands for lists of ``--set`` values.

    Settings are tuned one after the other, in the order given, each with the best of those before it, from the first
    values on. ``modes``: those it takes part in (none: all). An ``ablation`` is compared apart from the baselines.
    """

    method: str
    name: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    tune: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    modes: tuple[str, ...] = ()
    ablation: bool = False

    @property
    def title(self) -> str:
        return self.name or self.method

    @property
    def start(self) -> dict[str, Any]:
        """The first candidate."""
        return {name: values[0] for name, values in self.tune.items()}

    @property
    def trials(self) -> int:
        """How many candidates are tried."""
        return 1 + sum(len(values) - 1 for values in self.tune.values())

    def changes(self) -> Iterator[tuple[str, Any]]:
        """What is tried after the start: a setting and its value, to be changed in the best candidate so far."""
        for name, values in self.tune.items():
            yield from ((name, value) for value in values[1:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A study file as read; ``where`` it lies."""

    name: str
    where: Path
    text: str
    network: Network
    protocol: Protocol
    training: Mapping[str, Any]
    targets: tuple[On, ...]
    modes: tuple[Mode, ...]
    methods: tuple[Contestant, ...]

    def seeds(self, target: On) -> int:
        return self.protocol.seeds if target.seeds is None else target.seeds

    def path(self, text: str) -> str:
        """A path or DATA as the file means it: relative to its folder where there is such a thing."""
        beside = self.where / Spec.parse(text).name
        return str(self.where / text) if text != MINI and os.path.exists(beside) else text

    def settings(
        self, mode: Mode, method: Contestant, tuned: Mapping[str, Any], seed: int, device: str = "cpu"
    ) -> Settings:
        """What a method trains with: its own defaults, the study's, the mode's, the contestant's, what was tuned."""
        own = {**self.training, **mode.training}
        if method.method in UNTRAINED:
            own = {name: value for name, value in own.items() if name.startswith("validation")}
        chosen = {name: value for name, value in tuned.items() if name != "plan"}
        given = {**own, **method.training, **chosen, "seed": seed, "device": device}
        return Settings.of(method.method, **given)

    @property
    def reference(self) -> Contestant | None:
        """The method that is trained for every severity alone, where that is asked for."""
        return next((m for m in self.methods if m.method == "nt"), None) if self.protocol.rauc else None

    def takes_part(self, method: Contestant, mode: Mode) -> bool:
        return not method.modes or mode.name in method.modes


def read_study(path: str | Path) -> Study:
    """Read and check a study file; OptionError says what is wrong where."""
    path = Path(path)
    try:
        text = path.read_text("utf-8")
        found = tomllib.loads(text)
    except FileNotFoundError:
        raise OptionError(f"study {path}: no such file", hint="study files are TOML; see examples/studies") from None
    except (OSError, ValueError, RecursionError) as error:
        raise OptionError(f"study {path}: {error}", hint="study files are TOML; see examples/studies") from None
    return _Reader(str(path)).study(found, path, text)


@dataclass(frozen=True)
class _Reader:
    where: str

    def study(self, found: dict[str, Any], path: Path, text: str) -> Study:
        known = {"schema", "name", "title", "network", "protocol", "training", "target", "mode", "method"}
        if unknown := set(found) - known:
            raise self._wrong(f"unknown key {sorted(unknown)[0]}", f"keys are {', '.join(sorted(known))}")
        if found.get("schema") != SCHEMA:
            raise self._wrong(f"schema = {found.get('schema')!r}", f"this version reads schema = {SCHEMA}")
        study = Study(
            name=str(found.get("name") or path.stem),
            where=path.resolve().parent,
            text=text,
            network=self._made(Network, found.get("network", {}), "network"),
            protocol=self._made(Protocol, found.get("protocol", {}), "protocol"),
            training=found.get("training", {}),
            targets=tuple(self._made(On, entry, "target") for entry in found.get("target", [])),
            modes=tuple(self._made(Mode, entry, "mode") for entry in found.get("mode", [])) or (Mode(name="a"),),
            methods=tuple(self._made(Contestant, entry, "method") for entry in found.get("method", [])),
        )
        self._check(study)
        return study

    def _made(self, cls: type[Any], values: Any, section: str) -> Any:
        names = {item.name for item in fields(cls)}
        if not isinstance(values, dict):
            raise self._wrong(f"{section} is not a section", f"write [{section}] and its keys below it")
        if unknown := set(values) - names:
            raise self._wrong(f"{section}: unknown key {sorted(unknown)[0]}", f"keys are {', '.join(sorted(names))}")
        frozen = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
        try:
            return cls(**frozen)
        except TypeError as error:
            raise self._wrong(f"{section}: {error}", "see examples/studies") from None

    def _check(self, study: Study) -> None:
        protocol = study.protocol
        for name, group in (("target", study.targets), ("method", study.methods), ("mode", study.modes)):
            titles = [item.name if isinstance(item, Mode) else item.title for item in group]
            if not titles:
                raise self._wrong(f"no [[{name}]]", "there must be one at least")
            if len(set(titles)) < len(titles):
                raise self._wrong(f"two [[{name}]] of one name", "give them names of their own (label for a target)")
        if protocol.proposal not in [method.title for method in study.methods]:
            raise self._wrong(f"protocol.proposal = {protocol.proposal!r}: no method is called so", "add it")
        for name in ("seeds", "chips", "images_per_chip", "trials", "validation_images", "validation_chips", "samples"):
            value = getattr(protocol, name)
            if not (isinstance(value, int) and value >= 1 or value is None and name == "images_per_chip"):
                raise self._wrong(f"protocol.{name} = {value!r}", "a whole number from 1")
        last = VALIDATION_CHIPS - protocol.chips
        if not isinstance(protocol.first_chip, int) or not 0 <= protocol.first_chip <= last:
            raise self._wrong(f"protocol.first_chip = {protocol.first_chip!r}", f"a whole number from 0 to {last:,}")
        if len(protocol.severities) < 2 or list(protocol.severities) != sorted(set(protocol.severities)):
            raise self._wrong(f"protocol.severities = {list(protocol.severities)}", "two or more, growing")
        if not 0.0 < protocol.trial_share <= 1.0:
            raise self._wrong(f"protocol.trial_share = {protocol.trial_share}", "above 0, at most 1")
        for kind in protocol.dynamic:
            if kind not in KINDS:
                raise self._wrong(f"protocol.dynamic: {kind!r}", f"one of {', '.join(KINDS)}")
        if unknown := set(protocol.dynamic_for) - {method.title for method in study.methods}:
            raise self._wrong(f"protocol.dynamic_for: no method {sorted(unknown)[0]!r}", "see [[method]]")
        if study.network.preprocess is not None:
            Preprocess.parse(study.network.preprocess)
        for target in study.targets:
            load_target(study.path(target.name), target.set)
        self._check_methods(study)

    def _check_methods(self, study: Study) -> None:
        modes = {mode.name for mode in study.modes}
        for mode in study.modes:
            if mode.deploy:
                chosen_steps(mode.deploy)
            if mode.tuned_like is not None and mode.tuned_like not in modes:
                raise self._wrong(f"mode {mode.name}: tuned_like = {mode.tuned_like!r}", "name another mode")
        for method in study.methods:
            if method.method not in METHODS:
                raise self._wrong(f"method {method.method!r} is not known", f"one of {', '.join(METHODS)}")
            if unknown := set(method.modes) - modes:
                raise self._wrong(f"method {method.title}: no mode {sorted(unknown)[0]!r}", "see [[mode]]")
            if method.trials > study.protocol.trials:
                raise self._wrong(
                    f"method {method.title}: tune asks for {method.trials} trials", "protocol.trials says how many"
                )
            for mode in study.modes:
                for tuned in (method.start, *({**method.start, name: value} for name, value in method.changes())):
                    study.settings(mode, method, tuned, 0)

    def _wrong(self, what: str, hint: str) -> OptionError:
        return OptionError(f"study {self.where}: {what}", hint=hint)
