"""Text from outside (names, paths, titles) as it may go to a terminal: visible, on one line, of sensible length."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from pinat_compile.reporting.units import shortened

LONGEST_WORD = 200
LONGEST_MESSAGE = 4000


def printable(value: Any) -> Any:
    """Strings, also inside lists and mappings, with control characters, line separators and bidi controls escaped."""
    if isinstance(value, str):
        return value if value.isprintable() else "".join(map(_shown, value))
    if isinstance(value, Mapping):
        return {printable(key): printable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [printable(item) for item in value]
    return value


def one_line(message: str) -> str:
    """A message on one line; very long words and very long messages lose their middle."""
    text = str(printable(" ".join(re.split(r"[ \t\r\n]+", message.strip()))))
    words = [shortened(word, LONGEST_WORD) for word in text.split(" ")]
    return shortened(" ".join(words), LONGEST_MESSAGE)


def _shown(character: str) -> str:
    # Cc controls, Cf formats (bidi, zero width), Cs surrogates, Co private, Zl and Zp line separators
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
        return character.encode("unicode_escape").decode("ascii")
    return character
