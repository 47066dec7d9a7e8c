"""pinat-compile: trained networks onto analog crossbars and photonic arrays.

The public face. Names are looked up on first use (PEP 562), so that ``import pinat_compile`` costs nothing and
``pinat-compile --help`` answers at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pinat_compile.errors import PinatError as PinatError

_HOME = {
    "PinatError": "pinat_compile.errors",
}
"""Public name -> the module that defines it."""

__all__ = ["__version__", *sorted(_HOME)]  # noqa: F822  looked up below


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'pinat_compile' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
