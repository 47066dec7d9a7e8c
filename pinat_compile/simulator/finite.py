"""NaN and infinity in what a chip gives: refused, with the node where they began."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pinat_compile.errors import DataError
from pinat_compile.graph.finite import origin
from pinat_compile.simulator.module import Simulator

HINT = "logarithms, roots and quotients need inputs that they are defined for, also under noise; or mend the constant"


def check_finite(
    chip: Simulator, found: Mapping[str, Tensor], inputs: Mapping[str, Tensor], where: str, *, first_sample: int = 0
) -> None:
    """DataError where an output in ``found``, of ``chip`` for ``inputs``, is not finite; ``where``: what was run."""
    wrong = next((name for name in chip.graph.outputs if name in found and not is_finite(found[name])), None)
    if wrong is not None:
        number = chip.conditions.chip
        who = "the mapped network with ideal devices" if number is None else f"chip {number}"
        raise refused(where, who, found[wrong], begins_at(chip, inputs, first_sample=first_sample))


def refused(where: str, who: str, value: Tensor, began: str | None) -> DataError:
    """The error that says who gave ``value`` and where that began."""
    what = "NaN" if bool(value.isnan().any()) else "infinity"
    return DataError(f"{where}: {who} gives {what}" + (f", which begins at {began}" if began else ""), hint=HINT)


def begins_at(chip: Simulator, inputs: Mapping[str, Tensor], *, first_sample: int = 0) -> str | None:
    """Where values begin that make an output NaN or infinite, in words; ``None`` where all outputs are finite.

    The network runs once more, all its values kept; the number of the next sample stays.
    """
    graph, following = chip.graph, chip.next_sample
    names = [name for node in graph.nodes for name in node.outputs if name]
    with torch.no_grad():
        values = {**inputs, **chip.run(inputs, first_sample=first_sample, record=names)}
    chip.next_sample = following

    def wrong(name: str) -> bool:
        value = values.get(name)
        return not is_finite(chip.value(name) if value is None else value)

    start = next((name for name in graph.outputs if wrong(name)), None)
    return None if start is None else origin(graph, start, wrong)


def is_finite(value: Tensor) -> bool:
    """Whether no element is NaN or infinite; integers and truth values are finite."""
    return not value.is_floating_point() or bool(value.isfinite().all())
