"""``plot``: a result as a matplotlib figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import singledispatch
from typing import TYPE_CHECKING, Any

from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.costs import estimate
from pinat_compile.cost import NetworkCost
from pinat_compile.cost.value import COMPONENTS
from pinat_compile.errors import OptionError, extra_needed
from pinat_compile.evaluation.exploring import Exploration
from pinat_compile.evaluation.result import Evaluation
from pinat_compile.evaluation.sweeping import Point, Sweep
from pinat_compile.hardware.loader import literal
from pinat_compile.reporting.comparison import draw_exploration
from pinat_compile.reporting.terminal import COMPONENTS as WORDS
from pinat_compile.reporting.units import prefix

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FRACTIONS = ("top1", "agreement")


@singledispatch
def plot(result: Any) -> Figure:
    """``result`` drawn, as a matplotlib figure to show, change or save.

    Of an `Evaluation` its chips, of a `sweep` accuracy over what was varied, of `estimate` (or a compiled network)
    energy by layer and component, of an `explore` energy against accuracy or latency. Needs matplotlib. Raises
    OptionError for anything else.
    """
    raise OptionError(f"plot: {type(result).__name__} has no picture", hint="evaluate, sweep, estimate, explore have")


def _figure() -> tuple[Figure, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise extra_needed("a plot", "matplotlib", "plots") from None
    figure = Figure(figsize=(7.0, 4.0), layout="constrained")
    return figure, figure.subplots()


def _scale(metric: str) -> tuple[float, str]:
    return (100.0, f"{metric}, %") if metric in FRACTIONS else (1.0, metric)


@plot.register(Evaluation)
def _(result: Evaluation) -> Figure:
    figure, axes = _figure()
    factor, label = _scale(result.metric)
    axes.plot(result.chips, [factor * value for value in result.per_chip], "o", label="a chip")
    for value, style, name in ((result.mean, "-", "mean"), (result.ideal, "--", "ideal devices"),
                               (result.reference, ":", "as trained")):  # fmt: skip
        axes.axhline(factor * value, linestyle=style, color="0.4", label=f"{name}, {factor * value:.4g}")
    if result.ci95 is not None:
        axes.axhspan(factor * result.ci95[0], factor * result.ci95[1], alpha=0.15, label="95 % interval of the mean")
    axes.set(xlabel="chip", ylabel=label, xticks=result.chips)
    axes.legend(fontsize=8)
    return figure


@plot.register(Sweep)
def _(result: Sweep) -> Figure:
    figure, axes = _figure()
    x_key, *others = result[0].values
    factor, label = _scale(result[0].result.metric)
    lines: dict[str, list[Point]] = {}
    for point in result:
        lines.setdefault(", ".join(f"{key} {point.values[key]}" for key in others), []).append(point)
    for name, points in lines.items():
        at = _places([point.values for point in points], x_key)
        found = [point.result for point in points]
        errors = [factor * (each.std or 0.0) for each in found]
        means = [factor * each.mean for each in found]
        [line, *_] = axes.errorbar(at, means, errors, marker="o", capsize=3, label=name)
        axes.plot(at, [factor * each.worst for each in found], ":", color=line.get_color())
    axes.set(xlabel=x_key, ylabel=f"{label}: mean ± std, worst chip dotted")
    if others:
        axes.legend(fontsize=8)
    return figure


def _places(values: Sequence[Mapping[str, str]], key: str) -> list[Any]:
    """Numbers where all values are, else their texts."""
    found = [literal(each[key]) for each in values]
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in found)
    return found if numbers else [each[key] for each in values]


@plot.register(NetworkCost)
def _(result: NetworkCost) -> Figure:
    figure, axes = _figure()
    layers = [layer for layer in result.layers if layer.cost.energy_total]
    power, unit = prefix(max((layer.cost.energy_total or 0.0 for layer in layers), default=0.0))
    bottom = [0.0] * len(layers)
    for component in COMPONENTS:
        values = [(layer.cost.energy_j[component] or 0.0) / power for layer in layers]
        if any(values):
            axes.bar(range(len(layers)), values, bottom=bottom, label=WORDS[component])
            bottom = [a + b for a, b in zip(bottom, values, strict=True)]
    axes.set(ylabel=f"energy of a sample, {unit}J", xticks=range(len(layers)))
    axes.set_xticklabels([layer.name for layer in layers], rotation=60, ha="right", fontsize=7)
    axes.legend(fontsize=7, ncols=2)
    return figure


@plot.register(Compiled)
def _(result: Compiled) -> Figure:
    return plot(estimate(result))


@plot.register(Exploration)
def _(result: Exploration) -> Figure:
    return draw_exploration(result.to_dict())
