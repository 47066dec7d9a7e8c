"""What the technologies are built of: the sections that a target of each must and may have."""

from __future__ import annotations

from dataclasses import dataclass

_CELL = frozenset({
    "cell", "programming", "write_verify", "drift", "relaxation", "temperature", "mismatch", "stuck", "read_noise",
    "telegraph", "nonlinearity", "amplifier", "circuit_noise", "wires",
})


@dataclass(frozen=True, slots=True)
class Technology:
    """``needs``: sections that a target must have, ``sections``: all that belong to it and not to every target.

    ``schemes``: how it can write weights. ``coherent``: inputs are fields of either sign; else they are powers or, on a
    crossbar, voltages.
    """

    needs: tuple[str, ...]
    sections: frozenset[str]
    schemes: tuple[str, ...]
    coherent: bool = False


def _optics(*parts: str, schemes: tuple[str, ...], heaters: bool = False, coherent: bool = False) -> Technology:
    needs = ("laser", "modulator", *parts, "detector")
    own = frozenset(needs) | ({"heaters"} if heaters else frozenset())
    return Technology(needs, own, schemes, coherent)


TECHNOLOGIES = {
    "crossbar": Technology(("cell",), _CELL, ("differential", "bias", "offset")),
    "mzi_mesh": _optics("mesh", schemes=("signed",), heaters=True, coherent=True),
    "microring_bank": _optics("rings", schemes=("signed",), heaters=True),
    "optical_crossbar": _optics("transmission", schemes=("differential",)),
}
"""By the name that a target's ``technology`` gives."""
