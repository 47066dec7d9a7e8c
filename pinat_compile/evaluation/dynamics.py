"""Conditions that change while a chip is judged: severities that vary along the data, and gains that have drifted.

======================  ===============================================================================================
``per-sample``          every sample at a severity of its own, |N(1, 0.5²)|
``ou``                  severities along the data as the magnitude of an Ornstein-Uhlenbeck process of mean 1 and
                        deviation 0.4, correlated over 200 samples
``shift``               what is fitted to a chip is fitted at severity 1; it is judged at severity 2
``gain-drift``          all column gains have drifted by a common factor 1 + 0.1 u, u uniform in (-1, 1), and by 3 %
                        (Gaussian) each, since the chip was calibrated
======================  ===============================================================================================

An assumed protocol: published noise models do not say how noise varies in the field. Severities are held to 0 … 3 and
rounded to steps of 0.1, so that the samples of one level run on one programmed chip: at each level the physics is
that of a chip at that severity. They depend on kind and seed, not on the chip, the network or the number of samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pinat_compile.errors import OptionError
from pinat_compile.physics.randomness import Key, normal
from pinat_compile.simulator.conditions import GainDrift

Floats = npt.NDArray[np.float64]

KINDS = ("per-sample", "ou", "shift", "gain-drift")
MOST = 3.0
"""The largest severity of a stream."""
STEP = 0.1
"""Between two levels of severity."""
DEVIATION = 0.5
"""Of ``per-sample`` severities, before their magnitude is taken."""
OU_DEVIATION = 0.4
OU_SAMPLES = 200
"""Samples after which an Ornstein-Uhlenbeck severity remembers 1/e of its deviation."""
SHIFTED = 2.0
"""The severity at which ``shift`` judges what was fitted at 1."""


@dataclass(frozen=True, slots=True)
class Level:
    """The samples that run at one severity, as positions in the data; ``None``: all, in order."""

    severity: float
    samples: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dynamic:
    """What changed while chips were judged: ``severities`` of the samples, in the order of the data, or ``gain_drift``.

    ``parameters`` tell how the kind was made. Severities hold the evaluation's own severity as a factor.
    """

    kind: str
    parameters: Mapping[str, float]
    severities: tuple[float, ...] = field(repr=False)
    gain_drift: GainDrift | None = None

    def levels(self) -> tuple[Level, ...]:
        """The samples by severity, from the lowest."""
        values, which = np.unique(np.asarray(self.severities), return_inverse=True)
        if len(values) == 1:
            return (Level(float(values[0])),)
        return tuple(
            Level(float(value), tuple(np.flatnonzero(which == index).tolist())) for index, value in enumerate(values)
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values: kind, parameters, and how many samples ran at which severity."""
        found = np.unique(np.asarray(self.severities), return_counts=True)
        levels = [{"severity": float(value), "samples": int(count)} for value, count in zip(*found, strict=True)]
        return {"kind": self.kind, "parameters": dict(self.parameters), "levels": levels}


def dynamic_for(kind: str | None, samples: int, *, severity: float, seed: int) -> Dynamic | None:
    """The conditions of ``samples`` samples; ``severity`` multiplies everything. OptionError for an unknown kind."""
    if kind is None:
        return None
    if kind not in KINDS:
        raise OptionError(f"dynamic = {kind!r}: not known", hint=f"one of {', '.join(KINDS)}")
    if severity == 0.0:
        raise OptionError(f"dynamic = {kind!r} at severity 0: nothing would vary", hint="severity 1 is nominal")
    if kind in ("per-sample", "ou"):
        key = Key(("dynamic", kind, seed))
        drawn = per_sample(key, samples) if kind == "per-sample" else ornstein_uhlenbeck(key, samples)
        steps = np.rint(np.clip(np.abs(drawn), 0.0, MOST) / STEP)
        held = tuple(round(float(step) * STEP * severity, 9) for step in steps)
        return Dynamic(kind=kind, parameters={**_PARAMETERS[kind], "step": STEP, "most": MOST}, severities=held)
    if kind == "shift":
        parameters = {"calibrated": severity, "judged": SHIFTED * severity}
        return Dynamic(kind=kind, parameters=parameters, severities=(SHIFTED * severity,) * samples)
    drift = GainDrift()
    parameters = {"common": drift.common, "per_column": drift.per_column}
    return Dynamic(kind=kind, parameters=parameters, severities=(severity,) * samples, gain_drift=drift)


_PARAMETERS = {
    "per-sample": {"mean": 1.0, "std": DEVIATION},
    "ou": {"mean": 1.0, "std": OU_DEVIATION, "correlation_samples": float(OU_SAMPLES)},
}


def per_sample(key: Key, samples: int) -> Floats:
    """Independent severities N(1, 0.5²) [samples]; their magnitude is what counts."""
    return 1.0 + DEVIATION * _standard(key, samples)


def ornstein_uhlenbeck(key: Key, samples: int) -> Floats:
    """An Ornstein-Uhlenbeck process at whole samples [samples], from its stationary law on; may be negative.

    The exact transition, Gillespie, Phys. Rev. E 54, 2084 (1996), equation 1.9: with r = e^(-1 / 200),
    m' = 1 + (m - 1) r + 0.4 sqrt(1 - r²) N(0, 1).
    """
    keep = math.exp(-1.0 / OU_SAMPLES)
    fresh = math.sqrt(1.0 - keep**2)
    found, deviation = np.empty(samples), 0.0
    for index, draw in enumerate(_standard(key, samples)):
        deviation = draw if index == 0 else keep * deviation + fresh * draw
        found[index] = deviation
    return 1.0 + OU_DEVIATION * found


def _standard(key: Key, samples: int) -> Floats:
    drawn: Floats = normal(key, (samples,)).double().numpy()
    return drawn
