"""The compiled folder: everything that a compiled network is, in files that a person or another tool can read.

    manifest.json             schema version, tool version, name and hash of every file; written last: the commit point
    graph.txt                 the mapped graph with its plan, in text form
    options.json              the compile call
    model.onnx                the imported network's structure, without weights
    tensors.safetensors       weights, scales, ranges and trained values, each once
    calibration.safetensors   input statistics per matrix
    target.toml               the resolved target
    report.json, tiles.jsonl  what the compilation found, for people and scripts
    chips/<n>.safetensors     deployments of chips, each for itself: see `pinat_compile.compiler.deployments`

A new folder appears whole or not at all. In a folder that exists, files that change get a name with their hash, and
``manifest.json`` is replaced in one step, so that a crash leaves the earlier state or the new one. One process at a
time writes; what it leaves when it is killed, ``.pinat-unfinished`` names and the next one removes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from pinat_compile import __version__
from pinat_compile.compiler.compiled import Compiled, Options
from pinat_compile.compiler.costs import estimate
from pinat_compile.compiler.manifest import (
    MANIFEST,
    SCHEMA,
    Entry,
    is_plain,
    is_unfinished,
    note,
    read_manifest,
    schema_of,
    sha256,
    sweep,
)
from pinat_compile.compiler.places import PATIENCE_S, aside, flush_names, held, obstacle
from pinat_compile.compiler.summary import report_document, tiles
from pinat_compile.data import Preprocess
from pinat_compile.errors import FolderError, PinatError
from pinat_compile.frontend import export_structure, restore
from pinat_compile.frontend.calibration import Calibration, MatrixInputs
from pinat_compile.graph import Array, dump, parse
from pinat_compile.graph.verifier import verify
from pinat_compile.hardware.loader import load_target
from pinat_compile.hardware.writer import dump_target
from pinat_compile.passes import PassRecord

TENSORS = "tensors.safetensors"
CALIBRATION = "calibration.safetensors"
ATTEMPTS = 5
"""How often a folder is read that is replaced again and again meanwhile."""


Content = Callable[[Path], object]
"""Writes a file of the folder to a path."""


# --- saving ---


def check_writable(folder: Path) -> None:
    """Raise FolderError where a compilation could not be saved: so that nobody computes for nothing."""
    try:
        if folder.is_file():
            raise FolderError(f"{folder}: is a file, not a folder", hint="choose another -o")
    except OSError as error:
        raise FolderError(f"{folder}: cannot be written: {error.strerror}", hint="choose another -o") from None
    if reason := obstacle(folder):
        raise FolderError(f"{folder}: cannot be written: {reason}", hint="choose another -o")
    if not folder.is_dir():
        return
    if schema_of(folder) is not None:
        read_manifest(folder)  # raises where it is of another version or damaged: then we do not know what is ours
    elif any(folder.iterdir()) and not is_unfinished(folder):
        raise FolderError(
            f"{folder}: is not empty and was not made by pinat-compile", hint="choose another -o, or empty it yourself"
        )


def save(compiled: Compiled, folder: Path) -> Path:
    """Write ``compiled`` into ``folder``, which is new, empty, or one that this tool made (it is then replaced).

    Raises FolderError for any other folder and where writing fails; then nothing is changed.
    """
    check_writable(folder)
    payload = dict(_payload(compiled))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with held(folder, patience=PATIENCE_S):
            if folder.is_dir():
                _fill(folder, payload, compiled)
            else:
                _create(folder, payload, compiled)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FolderError(f"{folder}: cannot be written: {reason}", hint="check space and rights") from None
    return folder


def _payload(compiled: Compiled) -> Iterator[tuple[str, Content]]:
    costs = estimate(compiled)
    yield "graph.txt", _bytes(dump(compiled.graph).encode())
    yield "options.json", _bytes(_json(_options_document(compiled)))
    yield "model.onnx", _bytes(export_structure(compiled.source))
    yield TENSORS, _tensors({**compiled.source.tensors, **compiled.graph.tensors})
    yield CALIBRATION, _calibration_tensors(compiled.calibration)
    yield "target.toml", _bytes(dump_target(compiled.target).encode())
    yield "report.json", _bytes(_json(report_document(compiled, costs=costs)))
    yield "tiles.jsonl", _bytes(_json_lines(tiles(compiled, costs=costs)))


def _create(folder: Path, payload: Mapping[str, Content], compiled: Compiled) -> None:
    """Make a new folder beside its place, then move it there."""
    with aside(folder) as made:
        made.mkdir()
        _fill(made, payload, compiled)
        os.replace(made, folder)
        flush_names(folder.parent)


def _fill(folder: Path, payload: Mapping[str, Content], compiled: Compiled) -> None:
    """Write into a folder that is empty or ours; of ours, only files that are as we left them are removed.

    1. Every file aside: a full disk shows here. 2. A note of what comes and goes. 3. The files take their names.
    4. The manifest: from here on the folder is the new one. 5. What it does not name goes, and so does the note.
    """
    sweep(folder)
    old = _as_left(folder)
    with contextlib.ExitStack() as unfinished:
        made = {name: unfinished.enter_context(aside(folder, folder)) for name in (*payload, MANIFEST)}
        entries = {name: _stored(made[name], folder, name, content) for name, content in payload.items()}
        _written(made[MANIFEST], _bytes(_json(_manifest_document(compiled, entries))))
        new = {name: entry.file for name, entry in entries.items() if not os.path.lexists(folder / entry.file)}
        note(folder, {*new.values(), *old})
        try:
            for name, file in new.items():
                os.replace(made[name], folder / file)
            flush_names(folder)
            os.replace(made[MANIFEST], folder / MANIFEST)
            flush_names(folder)
        finally:
            sweep(folder)


def _as_left(folder: Path) -> set[str]:
    """The files of an earlier network that nobody changed since."""
    old = read_manifest(folder).values() if schema_of(folder) is not None else ()
    return {entry.file for entry in old if is_plain(path := folder / entry.file) and sha256(path) == entry.sha256}


def _stored(path: Path, folder: Path, name: str, content: Content) -> Entry:
    """One file of the payload, written to ``path``; its name is its own or, where that is taken, one with its hash."""
    _written(path, content)
    digest, there = sha256(path), folder / name
    if os.path.lexists(there) and not (is_plain(there) and sha256(there) == digest):
        return Entry(_hashed(folder, name, digest), digest)
    return Entry(name, digest)


def _manifest_document(compiled: Compiled, entries: Mapping[str, Entry]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "tool_version": __version__,
        "model": compiled.name,
        "target": compiled.target.name,
        "files": {name: dataclasses.asdict(entry) for name, entry in entries.items()},
    }


def _written(path: Path, content: Content) -> None:
    """To disk: what is renamed later must be there whole."""
    content(path)
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _hashed(folder: Path, name: str, digest: str) -> str:
    """A name with as much of the hash as is needed for it to be free, or to hold just that."""
    stem, _, ending = name.partition(".")
    for length in range(12, len(digest) + 1, 4):
        file = f"{stem}-{digest[:length]}.{ending}"
        if not os.path.lexists(folder / file) or (is_plain(folder / file) and sha256(folder / file) == digest):
            return file
    raise FolderError(f"{folder}: files in it have the names that {name} could get", hint="choose another -o")


# --- loading ---


def load(folder: str | Path) -> Compiled:
    """Read a compiled folder. Nothing is planned again.

    Raises FolderError naming the file that is missing, changed or not understood, and another schema version.
    """
    folder = Path(folder)
    return _while_it_stands(folder, lambda: _loaded(folder))


def _loaded(folder: Path) -> Compiled:
    with understood(folder):
        files = _Files(folder, read_manifest(folder))
        options = files.json("options.json")
        tensors = files.tensors(TENSORS)[0]
        source = restore(files.read("model.onnx"), tensors)
        graph = parse(files.read("graph.txt").decode(), tensors)
        verify(graph)
        return Compiled(
            source,
            graph,
            load_target(files.path("target.toml")),
            _options(options["options"]),
            _calibration(*files.tensors(CALIBRATION)),
            tuple(PassRecord(**record) for record in options["passes"]),
        )


def read_report(folder: str | Path) -> dict[str, Any]:
    """The report document as it was saved with a compiled folder; FolderError as for `load`."""
    folder = Path(folder)
    return _while_it_stands(folder, lambda: _report(folder))


def _report(folder: Path) -> dict[str, Any]:
    with understood(folder):
        document = _Files(folder, read_manifest(folder)).json("report.json")
        if not isinstance(document, dict):
            raise TypeError("report.json holds no document")
        return document


def read_tiles(folder: str | Path) -> Iterator[dict[str, Any]]:
    """The tiles as they were saved with a compiled folder, one by one; FolderError as for `load`."""
    folder = Path(folder)
    with understood(folder):
        for line in _Files(folder, read_manifest(folder)).read("tiles.jsonl").splitlines():
            yield json.loads(line, parse_constant=_no_number)


T = TypeVar("T")


def _while_it_stands(folder: Path, read: Callable[[], T]) -> T:
    """What ``read`` gives; once more where another process replaced the network meanwhile."""
    for _ in range(ATTEMPTS - 1):
        with contextlib.suppress(OSError):
            before = _manifest_bytes(folder)
            try:
                return read()
            except FolderError:
                if _manifest_bytes(folder) == before:
                    raise
    return read()


def _manifest_bytes(folder: Path) -> bytes | None:
    """``None`` where there is no regular file: a pipe would not end."""
    place = folder / MANIFEST
    return place.read_bytes() if place.is_file() else None


@contextlib.contextmanager
def understood(folder: Path) -> Iterator[None]:
    """What goes wrong while the contents of a folder are read, as a FolderError that says so."""
    try:
        yield
    except FolderError:
        raise
    except PinatError as error:
        raise FolderError(f"{folder}: is damaged: {error.message}", hint="compile the network again") from error
    except _DAMAGE as error:
        what = f"{type(error).__name__}: {error}"
        raise FolderError(f"{folder}: is damaged: {what}", hint="compile the network again") from error


_DAMAGE = (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What reading damaged contents raises."""


@dataclass(frozen=True, slots=True)
class _Files:
    """The files of a folder, checked against the manifest when read."""

    folder: Path
    entries: Mapping[str, Entry]

    def path(self, name: str) -> Path:
        """Where ``name`` lies, after checking its hash."""
        entry = self.entries.get(name)
        if entry is None:
            raise FolderError(f"{self.folder}: its manifest names no {name}", hint="compile the network again")
        path = self.folder / entry.file
        if path.exists() and not path.is_file():
            raise FolderError(f"{path}: is not a regular file", hint="compile the network again")
        try:
            digest = sha256(path)
        except OSError as error:
            reason = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
            raise FolderError(f"{path}: {reason}", hint="compile the network again") from None
        if digest != entry.sha256:
            raise FolderError(
                f"{path}: was changed after it was written", hint="compile again; to change a target use --set"
            )
        return path

    def read(self, name: str) -> bytes:
        return self.path(name).read_bytes()

    def json(self, name: str) -> Any:
        return json.loads(self.read(name), parse_constant=_no_number)

    def tensors(self, name: str) -> tuple[dict[str, Array], dict[str, str]]:
        """Contents and metadata of a safetensors file."""
        path = self.path(name)
        try:
            with safe_open(str(path), framework="numpy") as file:
                return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}
        except SafetensorError as error:
            raise FolderError(f"{path}: not a safetensors file: {error}", hint="compile the network again") from None


# --- contents ---


def _json(document: object) -> bytes:
    return (json.dumps(document, indent=1, allow_nan=False) + "\n").encode()


def _json_lines(documents: Iterable[object]) -> bytes:
    encode = json.JSONEncoder(allow_nan=False).encode
    return "".join(f"{encode(document)}\n" for document in documents).encode()


def _options_document(compiled: Compiled) -> dict[str, Any]:
    options = {field.name: getattr(compiled.options, field.name) for field in dataclasses.fields(Options)}
    options["preprocess"] = compiled.options.preprocess.to_dict()
    options["bind"] = dict(compiled.options.bind)
    options["repeat"] = dict(compiled.options.repeat)
    return {"options": options, "passes": [dataclasses.asdict(record) for record in compiled.passes]}


def _options(document: Mapping[str, Any]) -> Options:
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in document.items()}
    return Options(**{**fields, "preprocess": Preprocess.from_dict(document["preprocess"])})


def _bytes(data: bytes) -> Content:
    return lambda path: path.write_bytes(data)


def _tensors(tensors: Mapping[str, Array], metadata: dict[str, str] | None = None) -> Content:
    """Straight from the arrays: large networks are not copied."""
    return lambda path: save_file(_contiguous(tensors), path, metadata)


def _calibration_tensors(calibration: Calibration) -> Content:
    vectors = {name: inputs.vectors for name, inputs in calibration.matrices.items()}
    metadata = {"source": calibration.source, "samples": str(calibration.samples)}
    return _tensors(vectors, metadata)


def _calibration(vectors: dict[str, Array], metadata: dict[str, str]) -> Calibration:
    matrices = {name: MatrixInputs(sample) for name, sample in vectors.items()}
    return Calibration(metadata["source"], int(metadata["samples"]), matrices)


def _contiguous(tensors: Mapping[str, Array]) -> dict[str, Array]:
    return {name: np.ascontiguousarray(value).reshape(value.shape) for name, value in tensors.items()}


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is not a number")
