"""The fitted target as a file: what was found stands in comments above it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pinat_compile import __version__
from pinat_compile.characterization.result import Characterization
from pinat_compile.compiler.places import obstacle, write_aside
from pinat_compile.errors import OptionError
from pinat_compile.hardware.loader import dump_target


def save(result: Characterization, path: Path) -> Path:
    """Write it; an old file of that name is replaced. OptionError where no file can be."""
    check_target(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join(_comments(result)) + "\n\n" + dump_target(result.target)
    write_aside(path, lambda file: file.write(text.encode("utf-8")))
    return path


def check_target(path: Path, inputs: Sequence[Path] = ()) -> None:
    """OptionError where no file can be written, or where it would replace an input."""
    blocked = "is a folder" if path.is_dir() else obstacle(path.parent)
    if blocked:
        raise OptionError(f"{path}: {blocked}", hint="give the name of a file in a folder that can be written")
    if any(path.absolute() == other.absolute() for other in inputs):
        raise OptionError(f"{path}: is an input as well", hint="give another name")


def _comments(result: Characterization) -> Iterator[str]:
    devices = "" if result.devices is None else f" of {result.devices} devices"
    yield f"# Fitted by pinat-compile {__version__} to {result.source}: {result.measurements} measurements{devices}."
    yield f"# Everything that is not fitted is that of {result.like}."
    for fit in result.fits:
        yield "#"
        yield f"# [{fit.section}] {fit.model}: {fit.how}"
        for each in fit.parameters:
            yield f"#   {each.name} = {each.value:.6g} +- {each.error:.2g} {each.unit}".rstrip() + (
                f", 95 % {each.low:.6g} to {each.high:.6g}")
    if result.kept:
        yield "#"
        yield from (f"# [{item.section}] {item.why}" for item in result.kept)
    yield "#"
    yield "# Outside the models:" if result.outside else "# Nothing was found outside the models."
    yield from (f"#   [{item.section}] {item.count}: {item.what}" for item in result.outside)
