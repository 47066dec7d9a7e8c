"""One error family: each message says where and what, its hint says what to try.

The command line prints ``error: <message>`` and below it ``  hint: <hint>`` and exits with 1. Everything that is the
user's to mend is a `PinatError`; anything else that escapes is a fault of ours.
"""

from importlib.util import find_spec


class PinatError(Exception):
    """Something the user can mend: ``message`` says where and what, ``hint`` (or ``None``) what to try."""

    message: str
    hint: str | None

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n  hint: {self.hint}"


class ModelError(PinatError):
    """The ONNX file, or the torch module behind it, cannot be imported or exported."""


class GraphError(PinatError):
    """A graph breaks a rule of the IR, or its text does not parse."""


class TargetError(PinatError):
    """A target file has an unknown key, a wrong unit or an impossible value."""


class DataError(PinatError):
    """A data set cannot be found, read or matched to the model's inputs."""


class PassError(PinatError):
    """A pass failed; the message names the pass and the node."""


class FolderError(PinatError):
    """A compiled folder is damaged, of another version, or not ours to replace."""


class EngineError(PinatError):
    """An engine is not known, cannot be reached, or could not do a unit of work."""


class StoreError(PinatError):
    """A store of results is damaged, of another version, or cannot be written."""


class OptionError(PinatError):
    """An option or argument is unknown, contradicts another, or lies outside its range."""


def need_extra(what: str, packages: tuple[str, ...], extra: str) -> None:
    """Raise before work is done that ``what`` could not finish: OptionError where one of ``packages`` is missing."""
    for package in packages:
        if find_spec(package) is None:
            raise extra_needed(what, package, extra)


def extra_needed(what: str, package: str, extra: str) -> OptionError:
    """``what`` needs a package that an extra of pinat-compile brings."""
    return OptionError(f"{what} needs {package}", hint=f"pip install 'pinat-compile[{extra}]'")
