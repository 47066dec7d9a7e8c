"""A small network, data, measurements and a study, and the long commands on them, each with what its result is."""

from __future__ import annotations

import csv
import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

STUDY = """schema = 1
[network]
model = "net.onnx"
train = "data.npz"
test = "data.npz"
[protocol]
seeds = 1
chips = 2
severities = [0.0, 1.0]
samples = 4
validation_chips = 1
[[target]]
name = "reram_128x128"
[[method]]
method = "nt"
name = "pinat"
training = { epochs = 1, batch_size = 8, validation_chips = 1 }
[[method]]
method = "ptq"
"""
SAMPLES, INPUTS, CLASSES = 40, 12, 4


@dataclass(frozen=True)
class Command:
    """A long command: its words, the words that go on with it, the place it writes, the digest of a whole result.

    ``stands``: the digest of what lies there now, ``None`` where nothing does; raises where it is damaged.
    ``before``: makes an earlier result, so that it is replaced; ``None`` where the command starts with nothing.
    """

    name: str
    words: tuple[str, ...]
    again: tuple[str, ...]
    place: str
    stands: Callable[[Path], str | None]
    before: tuple[str, ...] | None = None


def make(folder: Path) -> None:
    """The files that the commands need."""
    rng = np.random.default_rng(0)
    onnx.save(_network(rng), folder / "net.onnx")
    x, y = rng.random((SAMPLES, INPUTS), np.float32), rng.integers(0, CLASSES, SAMPLES)
    np.savez(folder / "data.npz", x=x, y=y)
    (folder / "study.toml").write_text(STUDY, "utf-8")
    with open(folder / "devices.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(_measurements(rng))


def _network(rng: np.random.Generator) -> onnx.ModelProto:
    """12 -> 10 -> 4, with a ReLU between."""
    tensors = {
        name: numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)
        for name, shape in (("w1", (INPUTS, 10)), ("b1", (10,)), ("w2", (10, CLASSES)), ("b2", (CLASSES,)))
    }
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h"], "fc1"),
        helper.make_node("Relu", ["h"], ["r"], "relu"),
        helper.make_node("Gemm", ["r", "w2", "b2"], ["y"], "fc2"),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", INPUTS])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", CLASSES])
    graph = helper.make_graph(nodes, "net", [x], [y], list(tensors.values()))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def _measurements(rng: np.random.Generator) -> Iterator[tuple[object, ...]]:
    """120 devices at six levels, each read twice, with normal errors of programming and of reading (made up)."""
    yield "g_target_us", "g_us", "time_s", "device"
    for device in range(120):
        target = 6.0 + 5.0 * (device % 6)
        programmed = target + rng.normal(0.0, 1.0)
        for _ in range(2):
            yield target, round(max(0.0, programmed + rng.normal(0.0, 0.1)), 4), 1.0, device


def _compiled(place: Path) -> str | None:
    """Plan, weights and target of a compiled folder that loads."""
    from pinat_compile.compiler.folder import load
    from pinat_compile.compiler.manifest import read_manifest, schema_of

    if schema_of(place) is None:
        return None
    load(place)
    files = read_manifest(place)
    return _digest(*(files[name].sha256 for name in ("graph.txt", "tensors.safetensors", "target.toml")))


def _studied(place: Path) -> str | None:
    """The results of a study, whatever their order; incomplete ones have another digest, torn ones cannot be read."""
    if not (place / "results.csv").is_file():
        return None
    lines = [sorted((place / name).read_text().splitlines()) for name in ("results.csv", "tuning.csv")]
    if any(len(set(rows)) != len(rows) for rows in lines):
        raise ValueError("a row is there twice")
    table = place / "table.md"
    return _digest(*map(str, lines), table.read_text() if table.is_file() else "")


def _stored(place: Path) -> str | None:
    """The points of a sweep in its store, without the order in which they came."""
    if not place.is_file():
        return None
    with closing(sqlite3.connect(place)) as store:
        if store.execute("pragma integrity_check").fetchone() != ("ok",):
            raise ValueError("the store is damaged")
        tables = store.execute("select count(*) from sqlite_master where name = 'results'").fetchone()
        rows = store.execute("select kind, key, value from results").fetchall() if tables[0] else []
    return _digest(*sorted(map(str, rows)))


def _fitted(place: Path) -> str | None:
    from pinat_compile.hardware.loader import load_target

    if not place.is_file():
        return None
    load_target(place)
    return _digest(place.read_text())


def _digest(*said: str) -> str:
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


COMPILE = ("net.onnx", "--target", "reram_128x128", "--calibrate", "data.npz", "-o", "out")
FINETUNE = ("finetune", "base", "--data", "data.npz", "--method", "nt", "--epochs", "2", "--batch-size", "8",
            "--with", "validate_every=2", "--with", "validation_chips=1", "-o", "out")
SWEEP = ("sweep", "base", "--data", "data.npz", "--vary", "severity=0,0.5,1,2", "--chips", "2", "--store", "out.db")
FIT = ("characterize", "devices.csv", "--like", "reram_128x128", "-o", "out.toml")
STUDYING = ("study", "study.toml", "-o", "out")

COMMANDS = {
    "compile": Command("compile", COMPILE, COMPILE, "out", _compiled),
    "compile again": Command("compile again", COMPILE, COMPILE, "out", _compiled,
                             ("net.onnx", "--target", "ideal_128x128", "-o", "out")),
    "finetune": Command("finetune", FINETUNE, (*FINETUNE, "--resume"), "out", _compiled),
    "study": Command("study", STUDYING, STUDYING, "out", _studied),
    "sweep": Command("sweep", SWEEP, SWEEP, "out.db", _stored),
    "characterize": Command("characterize", FIT, FIT, "out.toml", _fitted,
                            (*FIT[:-1], "out.toml", "--set", "adc.bits=4")),
}
