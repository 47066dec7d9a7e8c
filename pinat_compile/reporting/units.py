"""Numbers as people read them."""

from __future__ import annotations

import math

DASH = "–"
"""Stands for a figure that does not apply or was not computed."""

_PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}


def engineering(value: float | None, unit: str) -> str:
    """Three digits and a prefix: ``2.33 µJ``."""
    if value is None:
        return DASH
    if value == 0.0:
        return f"0 {unit}"
    power = 3 * math.floor(math.log10(abs(value)) / 3)
    if float(f"{abs(value) / 10.0**power:.3g}") >= 1000.0:
        power += 3
    power = min(max(power, min(_PREFIXES)), max(_PREFIXES))
    return f"{plain(value / 10.0**power)} {_PREFIXES[power]}{unit}"


def prefix(largest: float) -> tuple[float, str]:
    """The power of ten, and its prefix, by which values up to ``largest`` are divided to be read: ``(1e-9, "n")``."""
    power = 3 * math.floor(math.log10(largest) / 3) if largest > 0.0 else 0
    power = min(max(power, min(_PREFIXES)), max(_PREFIXES))
    return 10.0**power, _PREFIXES[power]


def plain(value: float) -> str:
    """Three digits without an exponent: ``8.02``, ``12.3``, ``321``."""
    size = abs(value)
    decimals = 2 if size < 9.995 else 1 if size < 99.95 else 0
    return f"{value:.{decimals}f}"


def count(value: float | None) -> str:
    """A whole number with thousands apart; a fraction of one with two decimals."""
    if value is None:
        return DASH
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"


def percent(share: float | None, decimals: int = 1) -> str:
    return DASH if share is None else f"{100.0 * share:.{decimals}f} %"


def points(share: float | None) -> str:
    """A difference of two fractions, in percentage points with its sign."""
    return DASH if share is None else f"{100.0 * share:+.1f}"


def decibel(value: float | None) -> str:
    return DASH if value is None else f"{value:.1f} dB"


def duration(seconds: float | None) -> str:
    """A time after programming: ``1 s``, ``1 h``, ``30 d``."""
    if seconds is None:
        return DASH
    for unit, size in (("y", 365.25 * 86400.0), ("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= size and (seconds / size).is_integer():
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:g} s"


def approximately(seconds: float) -> str:
    """A length of time to two digits, in the largest unit of which there is one: ``12 min``."""
    for unit, size in (("y", 365.25 * 86400.0), ("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{float(f'{seconds / size:.2g}'):,g} {unit}"
    return engineering(seconds, "s")


def shortened(text: str, width: int) -> str:
    """At most ``width`` characters; the middle goes, as the ends of a layer's name tell most."""
    if len(text) <= width:
        return text
    head = (width - 1) // 3
    return f"{text[:head]}…{text[len(text) - (width - 1 - head):]}"
