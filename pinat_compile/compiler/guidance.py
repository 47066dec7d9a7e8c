"""Which layers had better stay digital, from what was measured and planned: suggestions, which ``--digital`` takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LOW_SNR_DB = 10.0
"""SNR of a layer's outputs, alone on arrays, below which it is named: noise of a third of the signal."""
LITTLE = 0.01
"""Share of the cells of its arrays, and of the network's products, below which a layer wastes them."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A layer that had better stay digital, and why."""

    layer: str
    why: str


def suggestions(layers: Sequence[Mapping[str, Any]]) -> list[Suggestion]:
    """Of the layers of a report document.

    1. Its outputs, measured with this layer alone on arrays (``evaluate --per-layer``), have an SNR below `LOW_SNR_DB`.
    2. It uses less than `LITTLE` of the cells of its arrays for less than `LITTLE` of the network's products.
    """
    analog = [layer for layer in layers if layer["where"] == "analog"]
    products = sum(layer["macs"] or 0 for layer in layers)
    found = []
    for layer in analog:
        snr, share = layer["snr_db"], layer["utilisation"]
        if snr is not None and snr < LOW_SNR_DB:  # 1
            found.append(Suggestion(layer["name"], f"its outputs have an SNR of {snr:.1f} dB on arrays"))
        elif share is not None and share < LITTLE and layer["macs"] is not None and layer["macs"] < LITTLE * products:
            cells, work = f"{share:.2%} of the cells of its arrays", f"{layer['macs'] / products:.2%} of the products"
            found.append(Suggestion(layer["name"], f"it uses {cells} for {work}"))  # 2
    return found
