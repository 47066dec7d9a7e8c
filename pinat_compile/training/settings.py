"""What can be set about fine-tuning, what each method sets by itself, and what a run says on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from pinat_compile.errors import OptionError
from pinat_compile.simulator.conditions import LARGEST, check_device

Method = Literal["pinat", "nt", "vant", "qat", "ptq", "nan", "distill", "fp32"]
Noise = Literal["chips", "weights", "outputs", "none"]
Schedule = Literal["uniform", "constant", "ramp", "normal"]
Loss = Literal["distill", "ce", "mse", "cosine"]

METHODS: Mapping[str, Mapping[str, Any]] = {
    "pinat": {},
    "nt": {"noise": "weights", "severity_schedule": "constant", "chips_per_batch": 1, "loss": "ce",
           "learn_ranges": False},
    "vant": {"noise": "weights", "severity_schedule": "constant", "chips_per_batch": 1, "loss": "ce",
             "learn_ranges": False, "theta": 0.5},
    "qat": {"noise": "none", "severity_schedule": "constant", "chips_per_batch": 1, "loss": "ce",
            "learn_ranges": False},
    "ptq": {"noise": "none", "epochs": 0, "learn_ranges": False},
    "nan": {"noise": "none", "epochs": 0, "learn_ranges": False, "reestimate": 200},
    "distill": {"noise": "weights", "severity_schedule": "constant", "chips_per_batch": 1, "learn_ranges": False},
    "fp32": {"noise": "none", "severity_schedule": "constant", "chips_per_batch": 1, "loss": "ce",
             "learn_ranges": False, "on_arrays": False, "project": False, "replan": True},
}
"""What each method sets where nothing else is asked for; all else is the default of `Settings`, which is PINAT's."""
UNTRAINED = ("ptq", "nan")
"""Methods without a single step of training."""
PARTS = ("range", "dead_band", "distribution", "noise_power", "saturation", "balance", "energy")
"""Parts of L_physics that hang on the weights alone; see `pinat_compile.training.physics`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one fine-tuning; frozen, checked when made, recorded with the result. `of` knows each method's own.

    **Method.** pinat: every batch on ``chips_per_batch`` virtual chips of the target, with all that the target says of
    devices and columns. nt: noisy training, Joshi et al., Nature Communications 11, 2473 (2020). vant: the same with a
    deviation of its own for every sample, Wang et al., arXiv 2503.16183. qat: ideal devices behind the plan's
    converters and levels, straight-through, ranges held, Bengio et al., arXiv 1308.3432. distill: nt with the original
    network as a teacher, Zhou et al., arXiv 2001.04974. fp32: plain training without arrays, planned anew. ptq: nothing
    is trained. nan: nor here, but gains and biases are re-estimated under noise, Tsai et al., arXiv 2007.03230.

    **Noise.** ``noise``: ``chips``, virtual chips; ``weights``, Gaussian on every weight, drawn once per part of a
    batch, of ``eta`` times the largest weight (``eta_of``: that the plan lets the same ``output`` hold; or the largest
    of the ``layer``, as Joshi has it); ``outputs``, Gaussian on every output, of ``eta`` times the ADC's full scale;
    ``none``. ``theta`` > 0 (vant): each sample's deviation is |N(``alpha``, ``theta``²)| times that. ``severity``
    multiplies all noise, by ``severity_schedule``: ``uniform`` in 0 … 2.2 times it, stratified over a batch's chips;
    ``constant``; ``ramp``, from 0 up to it over the first half; ``normal``, |N(1, 0.5²)| times it. ``latest_s``: chips
    are met at times log-uniform from the first that is described to this one; ``None``: at the first.
    ``sigma_gradient``: the gradient also goes through what noise depends on (reparameterised sigma(g)).

    **Loss.** ``distill`` mixes cross entropy and the softened outputs of the original network, (1 - ``kappa``) CE +
    ``kappa`` ``tau``² KL; ``ce`` is cross entropy alone. Without labels only the softened outputs count. ``mse``, the
    mean square of the error, and ``cosine``, 1 - the cosine of the angle to what is wanted, are for networks that give
    values: wanted are labels that are values, else the original network's outputs.
    ``lambda_divergence`` weighs the divergence between two noisy passes of the same samples; ``lambda_range``,
    ``lambda_dead_band``, ``lambda_distribution`` (to a log-normal, ln|u| of mean ``log_mean`` and deviation
    ``log_std``), ``lambda_noise_power``, ``lambda_saturation``, ``lambda_balance`` and ``lambda_energy`` the parts of
    `pinat_compile.training.physics`. 0: off, but reported.

    **What moves.** Weights, gains and biases of layers on arrays; with ``learn_ranges`` the converters' full scales, at
    ``range_rate`` times the learning rate, relative to their size. ``project``: weights back into what cells hold after
    each step. ``ema``: decay of a running mean of all of them, which is then what is judged and kept; 0: off.
    ``reestimate``: after training, gains and biases are matched to the ideal network on so many unlabelled training
    samples, over ``reestimate_chips`` virtual chips together, at ``reestimate_severity``; 0: not. ``replan``: scales
    and ranges are planned anew for what was trained.

    **Steps.** ``optimiser``, ``schedule`` of the rate after a ``warmup`` share of the steps, ``clip_gradient`` (the
    norm; 0: off), ``precision`` of products. ``augment``: ``mirror`` and ``shift`` (up to two pixels) for images.

    **Choice.** Each epoch, or every ``validate_every`` steps, is judged on ``validation_samples`` held-out samples and
    ``validation_chips`` chips from number 100,000 on; the best is kept. ``patience``: stop after so many judgements
    without a better one.

    Where the target has wires, what they take is solved every ``wires_every`` steps and held fixed in between (see
    `pinat_compile.training.wires`); 1: for every chip of every step, still as a constant to the gradient; ``None``:
    the same with the gradient through the wires, several times slower. ``wires_tolerance``: arrays are solved on the
    fast path where its error is provably at most that (see `physics.ir_drop.effective_conductance`); ``None``: exactly.
    Validation solves the wires of its chips exactly.
    """

    method: Method = "pinat"
    epochs: int = 3
    batch_size: int = 64
    optimiser: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 3e-3
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 0.0
    clip_gradient: float = 1.0
    precision: Literal["float32", "bfloat16"] = "float32"
    augment: tuple[str, ...] = ()
    loss: Loss = "distill"
    kappa: float = 0.7
    tau: float = 4.0
    noise: Noise = "chips"
    eta: float = 0.1
    eta_of: Literal["output", "layer"] = "output"
    alpha: float = 1.0
    theta: float = 0.0
    severity: float = 1.0
    severity_schedule: Schedule = "uniform"
    chips_per_batch: int = 2
    latest_s: float | None = None
    sigma_gradient: bool = False
    on_arrays: bool = True
    learn_ranges: bool = True
    range_rate: float = 0.1
    project: bool = True
    ema: float = 0.0
    lambda_divergence: float = 0.0
    lambda_range: float = 0.0
    lambda_dead_band: float = 0.0
    lambda_distribution: float = 0.0
    lambda_noise_power: float = 0.0
    lambda_saturation: float = 0.0
    lambda_balance: float = 0.0
    lambda_energy: float = 0.0
    log_mean: float = -1.5
    log_std: float = 0.8
    reestimate: int = 0
    reestimate_chips: int = 8
    reestimate_severity: float = 1.0
    replan: bool = False
    validation_chips: int = 8
    validation_samples: int = 1000
    validate_every: int | None = None
    patience: int | None = None
    wires_every: int | None = 8
    wires_tolerance: float | None = None
    seed: int = 0
    device: str = "cpu"

    @classmethod
    def of(cls, method: str = "pinat", **given: Any) -> Settings:
        """The method's own settings, ``given`` ones in their place; OptionError for an unknown name or value."""
        if method not in METHODS:
            raise OptionError(f"fine-tuning: method = {method!r}", hint=f"expected one of {', '.join(METHODS)}")
        unknown = [name for name in given if name not in cls.__dataclass_fields__]
        if unknown:
            known = ", ".join(cls.__dataclass_fields__)
            raise OptionError(f"fine-tuning has no setting {', '.join(unknown)}", hint=f"settings are {known}")
        return cls(**{**METHODS[method], **given, "method": method})

    def __post_init__(self) -> None:
        for field in fields(self):
            self._check_type(field.name, str(field.type))
        object.__setattr__(self, "augment", tuple(self.augment))
        self._check("augment", set(self.augment) <= {"mirror", "shift"}, "mirror, shift or both")
        self._check("seed", self.seed >= 0, "0 or more")
        check_device(self.device)
        for name, choices in _CHOICES.items():
            self._check(name, getattr(self, name) in choices, f"one of {', '.join(choices)}")
        untrained = self.method in UNTRAINED
        self._check("epochs", self.epochs == 0 if untrained else self.epochs >= 1, "0" if untrained else "at least 1")
        for name in ("batch_size", "chips_per_batch", "validation_chips", "validation_samples", "reestimate_chips"):
            self._check(name, getattr(self, name) >= 1, "at least 1")
        for name in ("learning_rate", "tau", "log_std"):
            self._check(name, getattr(self, name) > 0, "above 0")
        for name in ("eta", "alpha", "theta", "severity", "weight_decay", "range_rate", "clip_gradient", "reestimate",
                     "reestimate_severity", "lambda_divergence", *(f"lambda_{part}" for part in PARTS)):
            self._check(name, getattr(self, name) >= 0, "0 or more")
        for name in ("validate_every", "patience", "wires_every"):
            self._check(name, getattr(self, name) is None or getattr(self, name) >= 1, "at least 1")
        for name in ("wires_tolerance", "latest_s"):
            self._check(name, getattr(self, name) is None or getattr(self, name) >= 0, "0 or more")
        for name in ("momentum", "ema"):
            self._check(name, 0 <= getattr(self, name) < 1, "from 0 to below 1")
        for name in ("kappa", "warmup"):
            self._check(name, 0 <= getattr(self, name) <= 1, "from 0 to 1")
        self._check("on_arrays", self.on_arrays or self.noise == "none", "true, where there is noise")

    def _check_type(self, name: str, kind: str) -> None:
        """Whole numbers become floats where floats are meant; anything else of another type is refused."""
        value = getattr(self, name)
        if value is None and "None" in kind:
            return
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if kind.startswith("float"):
            self._check(name, number and abs(value) <= LARGEST, f"a number, at most {LARGEST:g}")
            object.__setattr__(self, name, float(value))
        elif kind.startswith("int"):
            self._check(name, number and isinstance(value, int), "a whole number")
        elif kind == "bool":
            self._check(name, isinstance(value, bool), "true or false")

    def _check(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise OptionError(f"fine-tuning: {name} = {getattr(self, name)!r}", hint=f"expected {expected}")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "augment": list(self.augment)}


_CHOICES: Mapping[str, tuple[str, ...]] = {
    "method": tuple(METHODS),
    "optimiser": ("adamw", "sgd"),
    "schedule": ("cosine", "linear", "constant"),
    "precision": ("float32", "bfloat16"),
    "loss": get_args(Loss),
    "noise": get_args(Noise),
    "eta_of": ("output", "layer"),
    "severity_schedule": get_args(Schedule),
}


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a fine-tuning stands; ``validation`` is the last judgement's mean accuracy on validation chips."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    validation: float | None


Watcher = Callable[[Progress], None]
