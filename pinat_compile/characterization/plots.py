"""Data and fits in one picture, a panel for each fitted section."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pinat_compile.characterization.likelihood import NORMAL_95
from pinat_compile.characterization.result import Band, Bin, Characterization, Fit
from pinat_compile.compiler.places import obstacle, write_aside
from pinat_compile.errors import OptionError, extra_needed

FORMATS = ("png", "svg", "pdf")
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's, told apart by most eyes."""
SHOWN = ("programming", "drift", "relaxation", "read_noise")


def check_plot(path: Path) -> None:
    """OptionError where nothing can be drawn into that file."""
    if path.suffix.lower().removeprefix(".") not in FORMATS:
        raise OptionError(f"{path}: not a picture's name", hint="end it in .png, .svg or .pdf")
    blocked = obstacle(path.parent)
    if blocked or path.is_dir():
        raise OptionError(f"{path}: {blocked or 'is a folder'}", hint="choose another place")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise extra_needed("a plot", "matplotlib", "characterize") from None


def plot(result: Characterization, path: Path) -> Path:
    """Draw every fit; points are measurements with 95 % intervals, lines fits with theirs, rings bins that deviate."""
    check_plot(path)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels: list[tuple[Any, Fit]] = []
    for fit in result.fits:
        if fit.section in SHOWN:
            panels += [(_DRAW[fit.section], fit)]
        if fit.section == "drift":
            panels += [(_courses, fit)]
    columns = max(1, min(2, len(panels)))
    rows = max(1, -(-len(panels) // columns))
    figure = Figure(figsize=(5.0 * columns, 3.6 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for index, (draw, fit) in enumerate(panels):
        draw(figure.add_subplot(rows, columns, index + 1), fit, result)
    figure.suptitle(f"{result.target.name}: {result.measurements:,} measurements in {result.source}", fontsize=10,
                    parse_math=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_aside(path, lambda file: figure.savefig(file, format=path.suffix.lower().removeprefix("."), dpi=110))
    return path


def _sigma(axes: Any, fit: Fit, result: Characterization) -> None:
    """sigma(g) at each time."""
    times = sorted({each.time_s for each in fit.bins})
    for colour, band in zip(_colours(len(fit.bands)), fit.bands, strict=True):
        _band(axes, band, colour)
    for colour, time in zip(_colours(len(times)), times, strict=True):
        _bins(axes, [each for each in fit.bins if each.time_s == time], colour)
    _labels(axes, f"programming error: {fit.model}", "target (µS)", "standard deviation (µS)")
    axes.set_ylim(bottom=0.0)


def _read(axes: Any, fit: Fit, result: Characterization) -> None:
    """sigma of a read, growth with time taken out."""
    for band in fit.bands:
        _band(axes, band, COLOURS[0])
    times = sorted({each.time_s for each in fit.bins})
    for index, time in enumerate(times):
        colour = COLOURS[(index + 1) % len(COLOURS)]
        _bins(axes, [each for each in fit.bins if each.time_s == time], colour, f"{time:g} s")
    _labels(axes, f"read noise: {fit.model}", "conductance (µS)", "sigma of a read (µS)")
    axes.set_ylim(bottom=0.0)


def _exponents(axes: Any, fit: Fit, result: Characterization) -> None:
    """Mean and spread of nu over the conductance."""
    g_max = result.target.device.cell.g_max_us
    for colour, band in zip(COLOURS, fit.bands, strict=False):
        _band(axes, Band(band.label, band.x * g_max, band.value, band.low, band.high), colour)
    _bins(axes, fit.bins, COLOURS[0])
    _labels(axes, "drift: g (t / t0)^-nu", "target (µS)", "nu")


def _courses(axes: Any, fit: Fit, result: Characterization) -> None:
    """Quantiles of g over the first g of each device, against time."""
    points = result.points
    first = points.first()
    start = np.full(int(points.unit.max()) + 1, np.nan)
    start[first.unit] = np.where(first.g_us > 0.0, first.g_us, np.nan)
    ratio = points.g_us / start[points.unit]
    good = np.isfinite(ratio) & (points.target_us > 0.1 * result.target.device.cell.g_max_us)
    times, rows = [], []
    for number in np.unique(points.moment[good]):
        times.append(max(float(points.moments[number]), 1e-9))
        rows.append(np.quantile(ratio[good & (points.moment == number)], (0.05, 0.5, 0.95)))
    low, middle, high = np.array(rows).T
    axes.fill_between(times, low, high, color=COLOURS[0], alpha=0.25, linewidth=0.0, label="5 to 95 % of the devices")
    axes.plot(times, middle, "o-", color=COLOURS[0], markersize=3, label="median")
    axes.set_xscale("log")
    _labels(axes, "drift: devices above g_max / 10", "time (s)", "g / first g")


def _relaxation(axes: Any, fit: Fit, result: Characterization) -> None:
    if fit.model == "table":
        for colour, band in zip(_colours(len(fit.bands)), fit.bands, strict=True):
            _band(axes, band, colour)
        _labels(axes, "relaxation: table", "conductance (µS)", "shift of the mean (µS)")
        return
    for colour, band in zip(COLOURS, fit.bands, strict=False):
        _band(axes, band, colour)
    _shifts(axes, result)
    axes.set_xscale("log")
    _labels(axes, "relaxation: logarithmic", "time (s)", "shift and spread (µS)")


def _shifts(axes: Any, result: Characterization) -> None:
    """Mean deviation from the target at each time, of devices away from both ends of the cell."""
    points, cell = result.points, result.target.device.cell
    span = cell.g_max_us - cell.g_min_us
    middle = np.abs(points.target_us - cell.g_min_us - 0.5 * span) < 0.4 * span
    for number, time in enumerate(points.moments.tolist()):
        deviation = (points.g_us - points.target_us)[middle & (points.moment == number)]
        if time > 0.0 and len(deviation) > 1:
            error = NORMAL_95 * float(deviation.std()) / len(deviation) ** 0.5
            axes.errorbar([time], [deviation.mean()], [error], fmt="o", color=COLOURS[0], markersize=2.5)


_DRAW = {"programming": _sigma, "read_noise": _read, "drift": _exponents, "relaxation": _relaxation}


def _colours(count: int) -> list[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(count)]


def _band(axes: Any, band: Band, colour: str) -> None:
    axes.plot(band.x, band.value, color=colour, linewidth=1.2, label=band.label)
    axes.fill_between(band.x, band.low, band.high, color=colour, alpha=0.25, linewidth=0.0)


def _bins(axes: Any, bins: Sequence[Bin], colour: str, label: str | None = None) -> None:
    g, values = [each.g_us for each in bins], np.array([each.observed for each in bins])
    below = values - np.array([each.low for each in bins])
    above = np.array([each.high for each in bins]) - values
    axes.errorbar(g, values, (below.clip(min=0.0), above.clip(min=0.0)), fmt="o", color=colour, markersize=2.5,
                  elinewidth=0.8, label=label)
    bad = [each for each in bins if each.deviates]
    axes.plot([each.g_us for each in bad], [each.observed for each in bad], "o", color="black", markersize=8,
              fillstyle="none")


def _labels(axes: Any, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=9)
    axes.set_xlabel(x, fontsize=8)
    axes.set_ylabel(y, fontsize=8)
    axes.tick_params(labelsize=7)
    handles, _ = axes.get_legend_handles_labels()
    if handles:
        axes.legend(fontsize=7, frameon=False)
