"""From measurements to a target: which models the data determine, in which order, and what stays as it was.

1. Temperature first: all else is at 300 K. 2. Devices that look stuck are set aside. 3. Read noise, from repeated
reads. 4. Drift, from each device's own course. 5. Programming error, at the first time; at every time where the target
has no drift. 6. Relaxation. What ``like`` has and the data do not determine stays, and the result says why.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinat_compile.errors import DataError, extra_needed
from pinat_compile.hardware.checks import kinds
from pinat_compile.hardware.loader import load_target
from pinat_compile.hardware.names import plain
from pinat_compile.hardware.schema import StuckSection, Target

if TYPE_CHECKING:
    from pinat_compile.characterization.measurements import Measurements
    from pinat_compile.characterization.points import Points
    from pinat_compile.characterization.result import Characterization, Finding, Fit, Kept

VERIFIED = "taken out: the programming error was measured after verifying"


def characterize(
    measurements: str | Path | Mapping[str, Any],
    like: str | Path | Target,
    *,
    name: str | None = None,
    overrides: Mapping[str, Any] | Sequence[str] = (),
) -> Characterization:
    """Fit device models to measurements; the result holds parameters with 95 % intervals and a target with them.

    ``measurements``: a CSV file, or columns by name: g_target_us, g_us, time_s (seconds since programming), and where
    known temperature_k and device; one row per read. ``like``: the target whose models are fitted and whose other
    sections the new one gets; ``overrides`` as in `load_target`. ``name`` of the new target; default: the file's.

    Raises DataError for what cannot be read or determines nothing, TargetError, OptionError where an extra is missing.
    """
    target = like if isinstance(like, Target) else load_target(like, overrides)
    _require()
    from pinat_compile.characterization.measurements import from_arrays, read_measurements

    if isinstance(measurements, Mapping):
        return _run(from_arrays(measurements), target, name or f"{target.name}_fitted")
    return _run(read_measurements(measurements), target, name or target_name(Path(measurements).stem))


def _require() -> None:
    for package in ("scipy", "statsmodels"):
        try:
            __import__(package)
        except ImportError:
            raise extra_needed("characterize", package, "characterize") from None


def target_name(stem: str) -> str:
    """A target's name from a file's."""
    return re.sub(r"\.{2,}", ".", re.sub(r"[^A-Za-z0-9_.-]+", "_", stem))[:100].strip(".") or "fitted"


@dataclass(slots=True)
class _Draft:
    """What has been found so far."""

    target: Target
    fits: list[Fit] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    outside: list[Finding] = field(default_factory=list)

    def put(self, fit: Fit, **section: Any) -> None:
        """A fitted section takes its place."""
        self.fits.append(fit)
        self.target = replace(self.target, **section)

    def without(self, section: str, why: str) -> None:
        """A section that would count something twice goes."""
        from pinat_compile.characterization.result import Kept

        if getattr(self.target, section) is not None:
            self.target = replace(self.target, **_nothing(section))
            self.kept.append(Kept(section, why))


def _nothing(section: str) -> dict[str, Any]:
    return {section: None}


def _run(data: Measurements, like: Target, name: str) -> Characterization:
    from pinat_compile.characterization import goodness
    from pinat_compile.characterization.points import gather
    from pinat_compile.characterization.programming import beyond
    from pinat_compile.characterization.result import Characterization, Finding, Kept

    points = gather(data)
    draft = _Draft(like)
    draft.outside += beyond(points, like.device.cell)
    if data.unused:
        draft.outside.append(Finding("file", len(data.unused), f"columns not used: {', '.join(data.unused)[:200]}"))
    points = _at_300_k(draft, points)
    points = _without_stuck(draft, points)
    points = points.where(points.target_us <= 1.0001 * like.device.cell.g_max_us)
    _read_noise(draft, points)
    _over_time(draft, points)
    if not draft.fits:
        why = "; ".join(dict.fromkeys(item.why for item in draft.kept))
        raise DataError(f"{data.source}: {len(data):,} measurements determine nothing: {why}"[:1000],
                        hint="measure 30 devices or more at each time, and give device ids")
    for section in ("mismatch", "telegraph", "nonlinearity", "column"):
        if getattr(draft.target, section) is not None:
            draft.kept.append(Kept(section, "kept: measurements of this kind do not show it"))
    draft.outside += [finding for fit in draft.fits for finding in goodness.findings(fit)]
    target = _sourced(draft, data, like, name)
    return Characterization(data.source, len(data), len(data.names) or None, like.name, target, tuple(draft.fits),
                            tuple(draft.kept), tuple(draft.outside), points)


def _at_300_k(draft: _Draft, points: Points) -> Points:
    """All points at 300 K; of a device at one time that nearest to it."""
    import numpy as np

    from pinat_compile.characterization.result import Finding, Kept
    from pinat_compile.characterization.temperature import at_300_k, fit_temperature

    found = fit_temperature(points, draft.target.device.cell.g_max_us)
    if not isinstance(found, Kept):
        draft.put(found[0], temperature=found[1])
    elif draft.target.temperature is not None:
        draft.kept.append(Kept("temperature", f"kept: {found.why}"))
    other = np.abs(points.temperature_k - 300.0) > 1.0
    if other.any() and draft.target.temperature is None:
        said = "measurements at other temperatures than 300 K, taken as they are: no activation energy is known"
        draft.outside.append(Finding("temperature", int(other.sum()), said))
    points = at_300_k(points, draft.target.temperature)
    order = np.lexsort((np.abs(points.temperature_k - 300.0), points.moment, points.unit))
    same = (np.diff(points.unit[order]) == 0) & (np.diff(points.moment[order]) == 0)
    mask = np.ones(len(points), bool)
    mask[order[1:][same]] = False
    return points.where(mask) if points.identified else points


def _without_stuck(draft: _Draft, points: Points) -> Points:
    """What looks stuck is counted and set aside."""
    import numpy as np

    from pinat_compile.characterization.points import stuck_units
    from pinat_compile.characterization.result import Finding

    cell, units, counts = draft.target.device.cell, [], {}
    for end, at in (("g_min", cell.g_min_us), ("g_max", cell.g_max_us)):
        found, visible = stuck_units(points, at, cell.g_max_us)
        units.append(found)
        counts[f"at_{end}"] = (len(found), visible)
        if len(found):
            said = f"devices (of {visible:,} that would show it) that look stuck at {end}: in no other fit"
            draft.outside.append(Finding("stuck", len(found), said))
    _stuck(draft, counts)
    return points.where(~np.isin(points.unit, np.concatenate(units)))


def _stuck(draft: _Draft, counts: Mapping[str, tuple[int, int]]) -> None:
    """Shares with Clopper-Pearson intervals, where devices are stuck or the old shares do not fit."""
    from statsmodels.stats.proportion import proportion_confint

    from pinat_compile.characterization.result import Fit, Parameter

    old = draft.target.stuck or StuckSection()
    rows = []
    for key, (count, units) in counts.items():
        if not units:
            return
        ends = proportion_confint(count, units, 0.05, "beta")
        share = count / units
        rows.append(Parameter(key, share, (share * (1.0 - share) / units) ** 0.5, float(ends[0]), float(ends[1]), ""))
    if any(row.value for row in rows) or not all(row.covers(getattr(old, row.name)) for row in rows):
        most = max(units for _, units in counts.values())
        fit = Fit("stuck", "probability", tuple(rows), most, "share of devices, Clopper-Pearson intervals")
        draft.put(fit, stuck=replace(old, at_g_min=rows[0].value, at_g_max=rows[1].value))


def _read_noise(draft: _Draft, points: Points) -> None:
    from pinat_compile.characterization.noise import fit_read_noise
    from pinat_compile.characterization.result import Kept

    found = fit_read_noise(points, draft.target.read_noise, draft.target.device.cell)
    if not isinstance(found, Kept):
        draft.put(found[0], read_noise=found[1])
        return
    known = draft.target.read_noise is not None
    rest = "that of the target is taken as known" if known else "it is in the programming error"
    draft.kept.append(Kept("read_noise", f"{found.why}; {rest}"))


def _over_time(draft: _Draft, points: Points) -> None:
    """Drift, programming error and relaxation, as the target has them."""
    from pinat_compile.characterization.result import Finding

    target = draft.target
    t0 = None if target.drift is None else target.drift.t0_s
    if target.relaxation is not None and target.relaxation.model == "logarithmic":
        _logarithmic(draft, points)
    elif t0 is not None:
        early = points.time_s < t0 / 1.02
        if early.any():
            said = f"reads before t0_s = {t0:g}, until which the model holds all conductances: not fitted"
            draft.outside.append(Finding("drift", int(early.sum()), said))
        _drifting(draft, points.where(~early))
    else:
        _still(draft, points)
    if any(fit.section == "programming" for fit in draft.fits):
        draft.without("mismatch", "taken out: what was measured as programming error holds it")


def _still(draft: _Draft, points: Points) -> None:
    """No drift: the total error at every time, and a table of shifts where the target has one."""
    from pinat_compile.characterization.noise import clear_of_ends, read_sd
    from pinat_compile.characterization.programming import fit_programming, moments_of
    from pinat_compile.characterization.result import Finding, Kept

    target = draft.target
    points = clear_of_ends(target.read_noise, target.device.cell, points)
    read = read_sd(target.read_noise, target.device.cell, points)
    moments = moments_of(points, read)
    rest = len(points) - sum(len(moment.points) for moment in moments)
    if rest:
        draft.outside.append(Finding("programming", rest, "reads at times with fewer than 30 devices: not fitted"))
    table = target.relaxation is not None
    found = fit_programming(moments, target.programming, target.device.cell, shifts=table)
    if isinstance(found, Kept):
        draft.kept.append(found)
        return
    fits, programming, relaxation = found
    draft.without("write_verify", VERIFIED)
    draft.put(fits[0], programming=programming)
    if relaxation is not None:
        draft.put(fits[1], relaxation=relaxation)


def _drifting(draft: _Draft, points: Points) -> None:
    """Drift first; then the programming error as it was at t0."""
    from pinat_compile.characterization.drift import fit_drift
    from pinat_compile.characterization.noise import clear_of_ends, read_sd
    from pinat_compile.characterization.programming import FEWEST, Moment, fit_programming
    from pinat_compile.characterization.result import Kept

    assert draft.target.drift is not None
    if not len(points):
        draft.kept.append(Kept("drift", "no reads from t0_s on"))
        return
    found, findings = fit_drift(points, draft.target.drift, draft.target.device.cell, draft.target.read_noise)
    if isinstance(found, Kept):
        draft.kept.append(found)
    else:
        draft.put(found[0], drift=found[1])
    draft.outside += findings
    target, cell = draft.target, draft.target.device.cell
    first = points.first() if points.identified else points.where(points.moment == points.moment.min())
    first = clear_of_ends(target.read_noise, cell, first)
    gain, known = _drifted_by(target, first)
    read = read_sd(target.read_noise, cell, first) * gain
    assert target.drift is not None
    moments = [Moment(first, target.drift.t0_s, gain, known, read)] if len(first) >= FEWEST else []
    solved = fit_programming(moments, target.programming, cell)
    if isinstance(solved, Kept):
        draft.kept.append(solved)
        return
    draft.without("write_verify", VERIFIED)
    draft.put(solved[0][0], programming=solved[1])


def _drifted_by(target: Target, points: Points) -> tuple[Any, Any]:
    """What drift has left of conductances that were first read after t0, and the spread that it has added in µS."""
    import numpy as np

    from pinat_compile.characterization.forms import curve

    assert target.drift is not None
    x = points.target_us / target.device.cell.g_max_us
    none = np.zeros(0)
    mean, std = (curve(target.drift.curve(name), name, none).at(none, x) for name in ("mean", "std"))
    along = np.log(np.maximum(points.time_s / target.drift.t0_s, 1.0))
    gain = np.exp(-mean * along)
    return gain, gain * points.target_us * std * along


def _logarithmic(draft: _Draft, points: Points) -> None:
    """The programming error before t0, where no device has relaxed yet; then relaxation."""
    from pinat_compile.characterization.noise import clear_of_ends, read_sd
    from pinat_compile.characterization.programming import fit_programming, moments_of
    from pinat_compile.characterization.relaxation import fit_relaxation
    from pinat_compile.characterization.result import Kept

    target = draft.target
    assert target.relaxation is not None
    t0 = target.relaxation.t0_s or 1.0
    points = clear_of_ends(target.read_noise, target.device.cell, points)
    early = points.time_s < t0 / 1.02
    before = points.where(early)
    moments = moments_of(before, read_sd(target.read_noise, target.device.cell, before))
    found = fit_programming(moments[-1:], target.programming, target.device.cell)
    if isinstance(found, Kept):
        why = "cannot be told from relaxation's spread without reads of 30 devices before its t0_s"
        draft.kept.append(Kept("programming", f"kept: {why} = {t0:g}"))
    else:
        draft.without("write_verify", VERIFIED)
        draft.put(found[0][0], programming=found[1])
    read = read_sd(target.read_noise, target.device.cell, points)
    solved = fit_relaxation(points, read, target.relaxation, draft.target.programming, target.device.cell)
    if isinstance(solved, Kept):
        draft.kept.append(solved)
    else:
        draft.put(solved[0], relaxation=solved[1])


def _sourced(draft: _Draft, data: Measurements, like: Target, name: str) -> Target:
    """The target under its new name, every fitted number with where it comes from."""
    sources = {key: source for key, source in draft.target.sources.items()
               if getattr(draft.target, key.split(".")[0]) is not None}
    for fit in draft.fits:
        intervals = ", ".join(f"{each.name} {each.low:.4g} to {each.high:.4g}" for each in fit.parameters[:40])
        said = f"fitted from {data.source}, {fit.measurements} measurements, {fit.how}; 95 % intervals: {intervals}"
        section = getattr(draft.target, fit.section)
        old = getattr(like, fit.section)
        for key in kinds(plain(type(section))):
            value = getattr(section, key)
            if value is None:
                sources.pop(f"{fit.section}.{key}", None)
            elif old is None or value != getattr(old, key) or f"{fit.section}.{key}" not in sources:
                sources[f"{fit.section}.{key}"] = said
    title = f"{like.name} with devices fitted to {data.source}"
    return replace(draft.target, name=name, title=title, sources=sources)
