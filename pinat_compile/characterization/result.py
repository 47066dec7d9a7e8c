"""What characterisation found: parameters with intervals, what was checked, what lies outside, and the new target."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pinat_compile.characterization.measurements import Floats
from pinat_compile.characterization.points import Points
from pinat_compile.hardware.schema import Target


@dataclass(frozen=True, slots=True)
class Parameter:
    """A fitted number: its key in the target, standard error, ends of the 95 % interval, unit ("" for none)."""

    name: str
    value: float
    error: float
    low: float
    high: float
    unit: str

    def covers(self, truth: float) -> bool:
        """Whether the 95 % interval holds a value."""
        return self.low <= truth <= self.high

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "value": self.value, "error": _finite(self.error),
                "ci95": [_finite(self.low), _finite(self.high)], "unit": self.unit}


@dataclass(frozen=True, slots=True)
class Bin:
    """Measurements of similar conductance and time beside the fitted model.

    ``observed``, with the ends of its 95 % interval, and ``fitted``: what the fit is about (a standard deviation in µS,
    a mean nu), at ``g_us`` and ``time_s``. ``ratio``: variance of the residuals over that of the model. ``p``: of that
    ratio (chi-square) and of their mean (normal), the smaller, both corrected for the number of bins (Holm 1979);
    ``None`` where reads are clipped and neither holds. ``mean_sigma``: mean residual in standard deviations.
    """

    g_us: float
    time_s: float
    count: int
    observed: float
    low: float
    high: float
    fitted: float
    ratio: float
    mean_sigma: float
    p: float | None = None

    @property
    def deviates(self) -> bool:
        """Whether the model misses the measurements of this bin (p below 1 %)."""
        return self.p is not None and self.p < 0.01

    def to_dict(self) -> dict[str, Any]:
        values = {key: getattr(self, key) for key in self.__slots__}
        return {**{key: _finite(value) for key, value in values.items()}, "deviates": self.deviates}


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """A fitted curve over ``x`` with the ends of its pointwise 95 % interval; ``label`` says of which time."""

    label: str
    x: Floats
    value: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True)
class Fit:
    """One section of the target, fitted: ``measurements`` that it rests on, and how the form was chosen.

    ``normal_p``: of a Kolmogorov-Smirnov test of the standardised residuals; ``None`` where there are too few.
    """

    section: str
    model: str
    parameters: tuple[Parameter, ...]
    measurements: int
    how: str
    bins: tuple[Bin, ...] = ()
    normal_p: float | None = None
    bands: tuple[Band, ...] = field(default=(), compare=False, repr=False)

    def __getitem__(self, name: str) -> Parameter:
        """The parameter of that name, as in ``fit["coefficients[0][1]"]``."""
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise KeyError(name)

    def to_dict(self) -> dict[str, Any]:
        return {"section": self.section, "model": self.model, "measurements": self.measurements, "how": self.how,
                "parameters": [parameter.to_dict() for parameter in self.parameters],
                "bins": [each.to_dict() for each in self.bins], "normal_p": _finite(self.normal_p)}


@dataclass(frozen=True, slots=True)
class Kept:
    """A section that the data do not determine: what becomes of it, and why."""

    section: str
    why: str

    def to_dict(self) -> dict[str, Any]:
        return {"section": self.section, "why": self.why}


@dataclass(frozen=True, slots=True)
class Finding:
    """Data outside what the models can say: how many measurements, devices or bins, and what is the matter."""

    section: str
    count: int
    what: str

    def to_dict(self) -> dict[str, Any]:
        return {"section": self.section, "count": self.count, "what": self.what}


@dataclass(frozen=True, slots=True, eq=False)
class Characterization:
    """The result of `characterize`.

    ``target``: that of ``like`` with the fitted sections in place. ``kept``: sections that the data do not determine.
    ``outside``: everything in the data that the models do not describe.
    """

    source: str
    measurements: int
    devices: int | None
    like: str
    target: Target
    fits: tuple[Fit, ...]
    kept: tuple[Kept, ...]
    outside: tuple[Finding, ...]
    points: Points = field(repr=False)

    def __getitem__(self, section: str) -> Fit:
        """The fit of a section, as in ``result["drift"]``; KeyError where it was not fitted."""
        for fit in self.fits:
            if fit.section == section:
                return fit
        raise KeyError(section)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, schema "pinat-characterization/1"."""
        return {
            "schema": "pinat-characterization/1",
            "source": self.source, "measurements": self.measurements, "devices": self.devices,
            "like": self.like, "target": self.target.name,
            "fits": [fit.to_dict() for fit in self.fits],
            "kept": [item.to_dict() for item in self.kept],
            "outside": [item.to_dict() for item in self.outside],
        }

    def save(self, path: str | Path) -> Path:
        """Write the target as TOML, with what was found in its comments; `load_target` reads it."""
        from pinat_compile.characterization.target_file import save

        return save(self, Path(path))

    def plot(self, path: str | Path) -> Path:
        """Draw data and fits into a file (PNG, SVG, PDF by its suffix); needs matplotlib."""
        from pinat_compile.characterization.plots import plot

        return plot(self, Path(path))


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
