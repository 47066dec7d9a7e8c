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
``manifest.json`` is replaced in one step, so that a crash leaves the earlier state or the new one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from pinat_compile import __version__
from pinat_compile.compiler.compiled import Compiled, Options
from pinat_compile.compiler.costs import estimate
from pinat_compile.compiler.places import aside, obstacle
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

SCHEMA = "pinat-compiled/1"
MANIFEST = "manifest.json"
TENSORS = "tensors.safetensors"
CALIBRATION = "calibration.safetensors"


Content = Callable[[Path], object]
"""Writes a file of the folder to a path."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One file of the folder as the manifest names it."""

    file: str
    sha256: str


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
    if _schema_of(folder) is not None:
        _manifest(folder)  # raises where it is of another version or damaged: then we do not know what is ours
    elif any(folder.iterdir()):
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
        if folder.is_dir():
            _replace(folder, payload, compiled)
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
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".pinat-", dir=folder.parent))
    try:
        _write(made, payload, compiled)
        made.chmod(0o755)
        os.replace(made, folder)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _replace(folder: Path, payload: Mapping[str, Content], compiled: Compiled) -> None:
    """Write into a folder that is empty or ours; of ours, only files that are as we left them are removed."""
    if _schema_of(folder) is not None:
        old = _manifest(folder)
        _write(folder, payload, compiled)
        kept = {entry.file for entry in _manifest(folder).values()}
        for entry in old.values():
            path = folder / entry.file
            if entry.file not in kept and _is_plain(path) and _sha256(path) == entry.sha256:
                path.unlink()
        return
    try:
        _write(folder, payload, compiled)
    except BaseException:
        for name in (*payload, MANIFEST):  # it was empty
            with contextlib.suppress(OSError):
                (folder / name).unlink(missing_ok=True)
        raise


def _write(folder: Path, payload: Mapping[str, Content], compiled: Compiled) -> None:
    entries = {name: _store(folder, name, content) for name, content in payload.items()}
    manifest = {
        "schema": SCHEMA,
        "tool_version": __version__,
        "model": compiled.name,
        "target": compiled.target.name,
        "files": {name: dataclasses.asdict(entry) for name, entry in entries.items()},
    }
    with aside(folder) as path:
        _written(path, _bytes(_json(manifest)))
        os.replace(path, folder / MANIFEST)


def _store(folder: Path, name: str, content: Content) -> _Entry:
    """Write one file of the payload, under its name or, where that is taken, under one with its hash."""
    with aside(folder) as path:
        _written(path, content)
        digest = _sha256(path)
        file = name if not os.path.lexists(folder / name) else _hashed(name, digest)
        if not _is_plain(folder / file) or _sha256(folder / file) != digest:
            os.replace(path, folder / file)
    return _Entry(file, digest)


def _written(path: Path, content: Content) -> None:
    """To disk: what is renamed later must be there whole."""
    content(path)
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _hashed(name: str, digest: str) -> str:
    stem, _, ending = name.partition(".")
    return f"{stem}-{digest[:12]}.{ending}"


# --- loading ---


def load(folder: str | Path) -> Compiled:
    """Read a compiled folder. Nothing is planned again.

    Raises FolderError naming the file that is missing, changed or not understood, and another schema version.
    """
    folder = Path(folder)
    with understood(folder):
        files = _Files(folder, _manifest(folder))
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
    with understood(folder):
        document = _Files(folder, _manifest(folder)).json("report.json")
        if not isinstance(document, dict):
            raise TypeError("report.json holds no document")
        return document


def read_tiles(folder: str | Path) -> Iterator[dict[str, Any]]:
    """The tiles as they were saved with a compiled folder, one by one; FolderError as for `load`."""
    folder = Path(folder)
    with understood(folder):
        for line in _Files(folder, _manifest(folder)).read("tiles.jsonl").splitlines():
            yield json.loads(line, parse_constant=_no_number)


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
    entries: Mapping[str, _Entry]

    def path(self, name: str) -> Path:
        """Where ``name`` lies, after checking its hash."""
        entry = self.entries.get(name)
        if entry is None:
            raise FolderError(f"{self.folder}: its manifest names no {name}", hint="compile the network again")
        path = self.folder / entry.file
        if path.exists() and not path.is_file():
            raise FolderError(f"{path}: is not a regular file", hint="compile the network again")
        try:
            digest = _sha256(path)
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


def _manifest(folder: Path) -> dict[str, _Entry]:
    if not folder.is_dir():
        raise FolderError(f"{folder}: there is no such folder", hint="pinat-compile MODEL.onnx -o DIR makes one")
    schema = _schema_of(folder)
    if schema is None:
        raise FolderError(f"{folder}: not a compiled folder (no {MANIFEST})", hint="give what -o named when compiling")
    if schema != SCHEMA:
        raise FolderError(
            f"{folder}: written in schema {schema}, this version reads {SCHEMA}", hint="compile the network again"
        )
    files = json.loads((folder / MANIFEST).read_bytes()).get("files")
    if not isinstance(files, dict) or not all(isinstance(entry, dict) for entry in files.values()):
        raise FolderError(f"{folder / MANIFEST}: is damaged: it lists no files", hint="compile the network again")
    entries: dict[str, _Entry] = {}
    for name, entry in files.items():
        file = str(entry.get("file", ""))
        if Path(file).name != file or not file:
            raise FolderError(f"{folder}: its manifest names a file outside the folder: {file!r}")
        entries[name] = _Entry(file, str(entry.get("sha256", "")))
    return entries


def _schema_of(folder: Path) -> str | None:
    """The schema that the folder's manifest states; ``None`` where there is no manifest of ours."""
    path = folder / MANIFEST
    try:
        document = json.loads(path.read_bytes()) if path.is_file() else None
    except (OSError, ValueError, RecursionError):
        return None
    schema = document.get("schema") if isinstance(document, dict) else None
    return schema if isinstance(schema, str) and schema.startswith("pinat-compiled/") else None


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


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
