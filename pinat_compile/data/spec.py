"""The DATA argument: a name, a split, a slice, as in ``fashion-mnist-mini@train[:500]``."""

import re
from dataclasses import dataclass
from pathlib import Path

from pinat_compile.errors import DataError

SPLITS = ("train", "fit", "validation", "val", "test")

HINT = ("give FILE.npz, a folder (IDX, CIFAR, Tiny ImageNet, one image folder per class), fashion-mnist-mini, "
        "or module:function")

_SUFFIX = re.compile(r"(?P<split>[a-z]*)(?:\[(?P<start>-?\d*):(?P<stop>-?\d*)\])?")


@dataclass(frozen=True, slots=True)
class Spec:
    """What DATA says: ``name@split[start:stop]``, each part after the name optional."""

    name: str
    split: str | None = None
    start: int | None = None
    stop: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Spec":
        """Split at the last ``@``, unless a file or folder has the whole text as its name. Raises `DataError`."""
        name, at, suffix = text.rpartition("@")
        if not at or Path(text).exists():
            name, suffix = text, ""
        if not name:
            raise DataError(f"data {text!r}: the name is missing", hint=HINT)
        match = _SUFFIX.fullmatch(suffix)
        if match is None or (match["split"] and match["split"] not in SPLITS) or (at and not suffix and name != text):
            raise DataError(f"data {text!r}: @{suffix} is not a split or slice",
                            hint=f"splits: {', '.join(SPLITS)}; a slice reads @train[:5000] or @[100:200]")
        return cls(name, match["split"] or None, _bound(match["start"]), _bound(match["stop"]))




def _bound(text: str | None) -> int | None:
    return int(text) if text else None
