"""Preprocessing: how raw samples become the model's input; recorded in the compiled folder."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from pinat_compile.errors import OptionError

Array = npt.NDArray[Any]
Floats = tuple[float, ...]

LARGEST = 1 << 14
"""Pixels on a side of a resized image, at most."""

LAYOUTS = ("NCHW", "NHWC", "NHW", "flat")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocess:
    """``(raw * scale - mean) / std``, resized and laid out; without arguments: float32 in [0, 1], NCHW.

    Applies to inputs of floating type and of type uint8 (images); other integers (token numbers, say) and booleans pass
    untouched. Raw samples are NCHW; uint8 images without channels, [n, height, width], become [n, 1, height, width].
    """

    scale: float | None = None
    """Factor on the raw values; ``None``: 1/255 for uint8, 1 for floating types."""
    mean: Floats | None = None
    """Subtracted after scaling: one number, or one per channel (axis 1)."""
    std: Floats | None = None
    """Divides after the mean is taken away: one number, or one per channel (axis 1)."""
    resize: tuple[int, int] | None = None
    """Height and width in pixels, bilinear with antialiasing; ``None``: as they come."""
    layout: str = "NCHW"
    """What the model gets: NCHW, NHWC, NHW (one channel only) or flat, [n, channels * height * width]."""

    def __post_init__(self) -> None:
        if self.scale is not None and not (math.isfinite(self.scale) and self.scale != 0):
            raise OptionError(f"preprocess: scale = {self.scale}: expected a finite number other than 0")
        for key, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and (not values or not all(map(math.isfinite, values))):
                raise OptionError(f"preprocess: {key} = {values}: expected finite numbers, one or one per channel")
        if self.std is not None and min(self.std) <= 0:
            raise OptionError(f"preprocess: std = {self.std}: expected numbers above 0")
        if self.resize is not None and (len(self.resize) != 2 or min(self.resize) < 1 or max(self.resize) > LARGEST):
            raise OptionError(f"preprocess: resize = {self.resize}: expected height and width of 1 to {LARGEST:,}")
        if self.layout not in LAYOUTS:
            raise OptionError(f"preprocess: layout = {self.layout!r}: expected one of {', '.join(LAYOUTS)}")

    @classmethod
    def parse(cls, text: str) -> "Preprocess":
        """From ``scale=1/255,mean=0.485,0.456,0.406,std=0.229,0.224,0.225,resize=224x224,layout=NHWC``.

        Keys may be left out; a part without ``=`` continues the list before it. Raises `OptionError`.
        """
        words: dict[str, list[str]] = {}
        key = ""
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, equals, value = part.partition("=")
            if equals:
                key = name.strip()
                if key in words:
                    raise OptionError(f"preprocess: {key} is given twice in {text!r}")
                words[key] = [value.strip()]
            elif key:
                words[key].append(part)
            else:
                raise OptionError(f"preprocess: {part!r} stands without a key", hint=_EXAMPLE)
        unknown = sorted(set(words) - set(_READERS))
        if unknown:
            raise OptionError(f"preprocess: unknown key {unknown[0]!r}; known: {', '.join(_READERS)}", hint=_EXAMPLE)
        values: dict[str, Any] = {}
        for name, parts in words.items():
            try:
                values[name] = _READERS[name](parts)
            except (ValueError, ZeroDivisionError):
                raise OptionError(f"preprocess: {name}={','.join(parts)} cannot be read", hint=_EXAMPLE) from None
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` reads them back."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preprocess":
        """The inverse of `to_dict`; raises `OptionError` on unknown keys."""
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise OptionError(f"preprocess: unknown key {unknown[0]!r}; known: {', '.join(_READERS)}")
        plain: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
        return cls(**plain)

    def __call__(self, raw: Array) -> Array:
        """Raw samples [n, ...] to the model's input; the class docstring says which types are touched."""
        if raw.dtype != np.uint8 and not np.issubdtype(raw.dtype, np.floating):
            return raw
        x: Array = raw.astype(np.float32)
        if raw.dtype == np.uint8 and raw.ndim == 3:
            x = x[:, None]  # [n, 1, height, width]
        if self.scale is not None:
            x *= np.float32(self.scale)
        elif raw.dtype == np.uint8:
            x /= np.float32(255)
        if self.resize is not None:
            x = _resized(x, self.resize)
        if self.mean is not None:
            x -= _per_channel(self.mean, x, "mean")
        if self.std is not None:
            x /= _per_channel(self.std, x, "std")
        return _laid_out(x, self.layout)


_EXAMPLE = "for example scale=1/255,mean=0.5,std=0.25,resize=32x32,layout=NCHW"


def _number(text: str) -> float:
    numerator, slash, denominator = text.partition("/")
    return float(numerator) / float(denominator) if slash else float(text)


def _only(parts: list[str]) -> str:
    (part,) = parts
    return part


def _size(parts: list[str]) -> tuple[int, int]:
    height, _, width = _only(parts).partition("x")
    return int(height), int(width or height)


_READERS: dict[str, Callable[[list[str]], Any]] = {
    "scale": lambda parts: _number(_only(parts)),
    "mean": lambda parts: tuple(map(_number, parts)),
    "std": lambda parts: tuple(map(_number, parts)),
    "resize": _size,
    "layout": lambda parts: "flat" if _only(parts).lower() == "flat" else _only(parts).upper(),
}


def _per_channel(values: Floats, x: Array, key: str) -> Array:
    if len(values) > 1 and (x.ndim < 2 or x.shape[1] != len(values)):
        raise OptionError(f"preprocess: {key} has {len(values)} numbers, but the samples have shape {x.shape[1:]}",
                          hint="give one number, or one for each channel (the first axis of a sample)")
    return np.asarray(values, np.float32).reshape(-1, *([1] * (x.ndim - 2)))


def _resized(x: Array, size: tuple[int, int]) -> Array:
    if x.ndim != 4:
        raise OptionError(f"preprocess: resize needs images (channels, height, width); the samples are {x.shape[1:]}")
    if x.shape[2:] == size:
        return x
    import torch  # late: only here does this room need it

    y: Array = torch.nn.functional.interpolate(torch.from_numpy(x), size, mode="bilinear", antialias=True).numpy()
    return y


def _laid_out(x: Array, layout: str) -> Array:
    if layout == "NCHW":
        return x
    if layout == "flat":
        return x.reshape(len(x), -1)
    if x.ndim != 4 or (layout == "NHW" and x.shape[1] != 1):
        raise OptionError(f"preprocess: layout {layout} does not fit samples of shape {x.shape[1:]}")
    return x[:, 0] if layout == "NHW" else np.ascontiguousarray(x.transpose(0, 2, 3, 1))
