"""Files of every kind that is read: valid ones, and ones written to do harm."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.trust.workplace import make

Files = list[tuple[str, bytes]]


@dataclass(frozen=True)
class Kind:
    """A kind of file: valid contents, hostile contents, and how the library reads one from a folder."""

    name: str
    valid: Callable[[Path], Files]
    hostile: Callable[[Path], Files]
    read: Callable[[Path, bytes], object]


def _written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


class _Bomb:
    """Runs a program when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, ("touch ../executed",)


# --- targets ---


def _targets(folder: Path) -> Files:
    from importlib import resources

    top = resources.files("pinat_compile.targets")
    names = ("reram_128x128", "photonic_mzi_16x16", "isaac", "ideal_128x128")
    return [(name, top.joinpath(f"{name}.toml").read_bytes()) for name in names]


def _hostile_targets(folder: Path) -> Files:
    text = _targets(folder)[0][1]
    return [
        ("nested lists", b"a = " + b"[" * 50_000),
        ("a number of many digits", text.replace(b"rows = 128", b"rows = " + b"9" * 20_000)),
        ("huge arrays", text.replace(b"rows = 128", b"rows = 1000000000")),
        ("dotted keys", b".".join([b"a"] * 20_000) + b" = 1"),
        ("a name that is a path", text.replace(b'name = "reram_128x128"', b'name = "../../secret"')),
        ("not a number", text.replace(b"bits = 8", b"bits = nan")),
    ]


def _read_target(folder: Path, data: bytes) -> object:
    from pinat_compile.hardware.loader import load_target

    return load_target(_written(folder, "chip.toml", data))


# --- measurements ---


def _measurements(folder: Path) -> Files:
    make(folder)
    return [("measurements", (folder / "devices.csv").read_bytes())]


def _hostile_measurements(folder: Path) -> Files:
    head = b"g_target_us,g_us,time_s,device\n"
    return [
        ("a long cell", head + b"1,2,3," + b"x" * 1_000_000),
        ("an open quote", head + b'"1,2,3,4\n' * 1000),
        ("many columns", b",".join([b"a"] * 100_000)),
        ("a formula", head + b'1,2,3,=cmd|"/C calc"!A0\n'),
        ("null bytes", head + b"1,\0,3,4\n"),
        ("infinities", head + b"inf,nan,-inf,1\n"),
    ]


def _read_measurements(folder: Path, data: bytes) -> object:
    from pinat_compile.characterization.measurements import read_measurements

    return read_measurements(_written(folder, "some.csv", data))


# --- data ---


def _npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _valid_npz(folder: Path) -> Files:
    x = np.arange(48, dtype=np.float32).reshape(12, 4)
    return [("two arrays", _npz(x=x, y=np.arange(12))), ("images", _npz(x=np.zeros((10, 3, 4, 4), np.uint8)))]


def _header(shape: tuple[int, ...], kind: str = "<f4") -> bytes:
    said = str({"descr": kind, "fortran_order": False, "shape": shape}).encode()
    return b"\x93NUMPY\x01\x00" + len(said).to_bytes(2, "little") + said


def _zipped(name: str, data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return stream.getvalue()


def _hostile_npz(folder: Path) -> Files:
    bomb = np.empty(1, object)
    bomb[0] = _Bomb()
    zeros = _header((1 << 30,), "|u1") + bytes(1 << 20)
    return [
        ("pickled code", _npz(x=bomb)),
        ("a header that lies", _zipped("x.npy", _header((1 << 40, 4)))),
        ("sizes that overflow", _zipped("x.npy", _header((1 << 62, 1 << 62)))),
        ("negative sizes", _zipped("x.npy", _header((-5, 4)))),
        ("a bomb that is cut", _zipped("x.npy", zeros)),
        ("a path in a name", _zipped("../secret.npy", _header((1,)) + bytes(4))),
        ("code in a header", _zipped("x.npy", _header((1,)).replace(b"(1,)", b"__import__('os')"))),
        ("twice the same name", _valid_npz(folder)[0][1] * 2),
    ]


def _read_npz(folder: Path, data: bytes) -> object:
    return _all_samples(str(_written(folder, "data.npz", data)))


def _all_samples(spec: str) -> object:
    from pinat_compile.data import load_data

    return load_data(spec, split="train").inputs


def _idx(shape: tuple[int, ...], data: bytes, kind: int = 8) -> bytes:
    return bytes((0, 0, kind, len(shape))) + b"".join(size.to_bytes(4, "big") for size in shape) + data


def _valid_idx(folder: Path) -> Files:
    plain = _idx((12, 3, 3), bytes(range(108)))
    return [("plain", plain), ("packed", gzip.compress(plain))]


def _hostile_idx(folder: Path) -> Files:
    return [
        ("huge sizes", _idx((0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF), b"")),
        ("255 dimensions", _idx((1,) * 255, b"\0")),
        ("a packed bomb", gzip.compress(_idx((12, 1, 1), b"")) + gzip.compress(bytes(1 << 24)) * 256),
        ("a packed file of three gibibytes, cut", gzip.compress(_idx((12, 1 << 13, 1 << 15), bytes(1 << 24)))),
        ("packed twice", gzip.compress(gzip.compress(_idx((12, 1, 1), bytes(12))))),
        ("a type that is none", _idx((12,), bytes(12), kind=7)),
    ]


def _read_idx(folder: Path, data: bytes) -> object:
    shutil.rmtree(folder / "idx", ignore_errors=True)
    _written(folder, "idx/train-images-idx3-ubyte.gz", data)
    _written(folder, "idx/train-labels-idx1-ubyte", _idx((12,), bytes(12)))
    return _all_samples(str(folder / "idx"))


def _image(kind: str) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(stream, kind)
    return stream.getvalue()


def _valid_images(folder: Path) -> Files:
    return [(kind, _image(kind)) for kind in ("png", "jpeg", "bmp", "gif", "ppm", "webp", "tiff")]


def _hostile_images(folder: Path) -> Files:
    png = _image("png")
    return [
        ("a huge ppm", b"P6 100000 100000 255\n"),
        ("a large ppm", b"P6 12000 12000 255\n"),
        ("a huge png", png[:16] + struct.pack(">II", 1 << 30, 1 << 30) + png[24:]),
        ("a script", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(../secret.txt) run\n"),
        ("a vector image", b'<svg><image href="../secret.txt"/></svg>'),
    ]


def _read_image(folder: Path, data: bytes) -> object:
    shutil.rmtree(folder / "images", ignore_errors=True)
    _written(folder, "images/cat/one.png", data)
    return _all_samples(str(folder / "images"))


def _valid_cifar(folder: Path) -> Files:
    batch = {b"data": np.zeros((12, 3072), np.uint8), b"labels": list(range(12))}
    return [(f"protocol {number}", pickle.dumps(batch, number)) for number in (2, 4)]


def _hostile_cifar(folder: Path) -> Files:
    reduce = np.empty(0).__reduce__()[0]
    asked = b"cnumpy\nndarray\n(I1000000000000\ntR."
    return [
        ("code", pickle.dumps({b"data": _Bomb()})),
        ("eval", b"c__builtin__\neval\n(S'open(\"../secret.txt\")'\ntR."),
        ("a function of ours", f"c{reduce.__module__}\n_reconstruct\n(cbuiltins\nlist\n(I0\ntS'b'\ntR.".encode()),
        ("a terabyte", asked),
        ("lists in lists", b"]" + b"q\0" + b"]" * 100_000 + b"."),
        ("a list of itself", b"]q\0h\0a" * 1000 + b"."),
    ]


def _read_cifar(folder: Path, data: bytes) -> object:
    _written(folder, "cifar/test_batch", data)
    from pinat_compile.data import load_data

    return load_data(str(folder / "cifar"), split="test").inputs


# --- networks ---


def _valid_onnx(folder: Path) -> Files:
    from tests.zoo import lenet, looped, lstm, transformer

    make(folder)
    return [("a perceptron", (folder / "net.onnx").read_bytes()),
            *((build.__name__, build().SerializeToString()) for build in (lenet, lstm, looped, transformer))]


def _model(nodes: list[onnx.NodeProto], weights: list[TensorProto], output: str = "y") -> bytes:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])
    y = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "hostile", [x], [y], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString())


def _external(location: str, offset: str = "0", shape: tuple[int, ...] = (4, 2)) -> bytes:
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=shape, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", offset)):
        weight.external_data.add(key=key, value=value)
    return _model([helper.make_node("MatMul", ["x", "w"], ["y"])], [weight])


def _constant(name: str, value: Any) -> TensorProto:
    return numpy_helper.from_array(np.asarray(value), name)


def _hostile_onnx(folder: Path) -> Files:
    huge = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=(1 << 40, 1 << 20), raw_data=b"\0")
    negative = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=(-4, -2), raw_data=bytes(32))
    product = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    deep = helper.make_node("Relu", ["x"], ["y"])
    for level in range(60):
        body = helper.make_graph([deep], f"g{level}", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
        deep = helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body) if level < 6 else deep
    ring = [helper.make_node("Relu", ["b"], ["y"]), helper.make_node("Relu", ["y"], ["b"])]
    chain = [helper.make_node("Relu", [f"v{i}" if i else "x"], [f"v{i + 1}" if i < 2999 else "y"]) for i in range(3000)]
    grown = [helper.make_node("Expand", ["o", "s"], ["big"]), helper.make_node("Add", ["x", "big"], ["y"])]
    doubled = [helper.make_node("Concat", [f"d{i}" if i else "o"] * 2, [f"d{i + 1}"], axis=0) for i in range(45)]
    return [
        ("data outside", _external("../secret.txt")),
        ("data at an absolute path", _external(str(folder.parent / "secret.txt"))),
        ("data through a link", _external("link/secret.txt")),
        ("data at no offset", _external("data.bin", "9" * 5000)),
        ("data of a device", _external("/dev/zero")),
        ("data that is the model", _external("net.onnx", "0", (1, 1))),
        ("a weight of an exabyte", _model(product, [huge])),
        ("negative sizes", _model(product, [negative])),
        ("branches in branches", _model([deep], [_constant("c", True)])),
        ("a ring", _model(ring, [])),
        ("a long chain", _model(chain, [])),
        ("a constant that grows", _model(grown, [_constant("o", np.float32(1)), _constant("s", [1 << 20] * 2)])),
        ("a constant that doubles", _model([*doubled, helper.make_node("Relu", ["d45"], ["y"])],
                                           [_constant("o", np.ones(1, np.float32))])),
        ("a name of a mebibyte", _model([helper.make_node("Relu", ["x"], ["y"], "n" * (1 << 20))], [])),
        ("a name that steers", _model([helper.make_node("Relu", ["x"], ["y"], "\x1b[2J<script>0</script>")], [])),
    ]


def _read_onnx(folder: Path, data: bytes) -> object:
    from pinat_compile.compiler.build import compile

    link = folder / "link"
    if not link.is_symlink():
        link.symlink_to("..")
    return compile(_written(folder, "net.onnx", data), "ideal_128x128")


# --- compiled folders, file by file; their hashes are made to fit ---


def _compiled(folder: Path) -> Path:
    from pinat_compile.compiler.build import compile

    if not (folder / "sound").is_dir():
        make(folder)
        compile(folder / "net.onnx", "reram_128x128", calibration=str(folder / "data.npz")).save(folder / "sound")
    return folder / "sound"


def _part(name: str) -> Callable[[Path], Files]:
    return lambda folder: [(name, (_compiled(folder) / name).read_bytes())]


def _read_part(name: str) -> Callable[[Path, bytes], object]:
    def read(folder: Path, data: bytes) -> object:
        from pinat_compile.compiler.folder import load

        damaged = folder / "damaged"
        shutil.rmtree(damaged, ignore_errors=True)
        shutil.copytree(_compiled(folder), damaged)
        (damaged / name).write_bytes(data)
        if name != "manifest.json":
            manifest = json.loads((damaged / "manifest.json").read_bytes())
            manifest["files"][name]["sha256"] = hashlib.sha256(data).hexdigest()
            (damaged / "manifest.json").write_text(json.dumps(manifest))
        return load(damaged)

    return read


def _hostile_manifest(folder: Path) -> Files:
    text = _part("manifest.json")(folder)[0][1]
    return [
        ("a file outside", text.replace(b'"file": "graph.txt"', b'"file": "../secret.txt"')),
        ("a file at an absolute path", text.replace(b'"file": "graph.txt"', b'"file": "/etc/passwd"')),
        ("nested lists", b"[" * 100_000),
        ("a later schema", text.replace(b"pinat-compiled/1", b"pinat-compiled/99999999999999999999")),
        ("names that are lists", text.replace(b'"file": "graph.txt"', b'"file": ["graph.txt"]')),
    ]


def _hostile_graph(folder: Path) -> Files:
    text = _part("graph.txt")(folder)[0][1]
    huge = text.replace(b"12", b"9" * 18)
    return [("nested", b"(" * 100_000), ("long", text.replace(b"x", b"x" * 10_000)), ("huge numbers", huge)]


def _hostile_options(folder: Path) -> Files:
    return [("nested", b"{" * 100_000), ("numbers", b'{"options": 1e999, "passes": [NaN]}')]


def _hostile_tensors(folder: Path) -> Files:
    def file(header: dict[str, Any], size: int | None = None) -> bytes:
        said = json.dumps(header).encode()
        return struct.pack("<Q", len(said) if size is None else size) + said + bytes(64)

    entry = {"dtype": "F32", "shape": [1 << 40, 1 << 20], "data_offsets": [0, 64]}
    return [
        ("a header of an exabyte", file({}, 1 << 60)), ("a huge shape", file({"w1": entry})),
        ("offsets outside", file({"w1": {**entry, "shape": [4], "data_offsets": [1 << 40, (1 << 40) + 16]}})),
        ("offsets that overlap", file({k: {**entry, "shape": [16]} for k in ("w1", "w2", "b1", "b2")})),
        ("nested", struct.pack("<Q", 100_000) + b"[" * 100_000),
        ("no numbers", file({"w1": {**entry, "dtype": "O", "shape": [8]}})),
    ]


# --- what stands beside: deployments and checkpoints ---


def _valid_deployment(folder: Path) -> Files:
    from pinat_compile.compiler.deployments import save_deployment
    from pinat_compile.compiler.folder import load
    from pinat_compile.evaluation import deploy

    sound = _compiled(folder)
    made = deploy(load(sound), chip=3, data=str(folder / "data.npz"), steps=("faults", "moments"), samples=8)
    return [("a deployment", save_deployment(made, sound).read_bytes())]


def _hostile_deployment(folder: Path) -> Files:
    data = _valid_deployment(folder)[0][1]
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    found = []
    for name, shape in (("a placement of an exabyte", [1 << 20] * 3), ("a placement without size", [-1])):
        document = json.loads(header["__metadata__"]["deployment"])
        document["cells"] = {name: shape for name in document["cells"]} or {"w1": shape}
        said = json.dumps({**header, "__metadata__": {"deployment": json.dumps(document)}}).encode()
        found.append((name, struct.pack("<Q", len(said)) + said + data[8 + size :]))
    return found


def _read_deployment(folder: Path, data: bytes) -> object:
    from pinat_compile.compiler.deployments import load_deployment

    _written(_compiled(folder), "chips/3.safetensors", data)
    return load_deployment(_compiled(folder), 3)


def _valid_checkpoint(folder: Path) -> Files:
    import torch

    from pinat_compile.training.checkpoint import Standing, save_checkpoint

    path = folder / "some.checkpoint"
    save_checkpoint(path, Standing(step=3), {"trained": {"w": torch.ones(3)}, "best": {"w": torch.ones(3)}}, "run")
    return [("a checkpoint", path.read_bytes())]


def _read_checkpoint(folder: Path, data: bytes) -> object:
    from pinat_compile.training.checkpoint import load_checkpoint

    return load_checkpoint(_written(folder, "some.checkpoint", data), "run")


KINDS = {
    kind.name: kind
    for kind in (
        Kind("targets (TOML)", _targets, _hostile_targets, _read_target),
        Kind("measurements (CSV)", _measurements, _hostile_measurements, _read_measurements),
        Kind("data (NPZ)", _valid_npz, _hostile_npz, _read_npz),
        Kind("data (IDX)", _valid_idx, _hostile_idx, _read_idx),
        Kind("data (image folders)", _valid_images, _hostile_images, _read_image),
        Kind("data (CIFAR pickles)", _valid_cifar, _hostile_cifar, _read_cifar),
        Kind("networks (ONNX)", _valid_onnx, _hostile_onnx, _read_onnx),
        Kind("folders: manifest.json", _part("manifest.json"), _hostile_manifest, _read_part("manifest.json")),
        Kind("folders: graph.txt", _part("graph.txt"), _hostile_graph, _read_part("graph.txt")),
        Kind("folders: options.json", _part("options.json"), _hostile_options, _read_part("options.json")),
        Kind("folders: model.onnx", _part("model.onnx"), _hostile_onnx, _read_part("model.onnx")),
        Kind("folders: tensors (safetensors)", _part("tensors.safetensors"), _hostile_tensors,
             _read_part("tensors.safetensors")),
        Kind("folders: deployments", _valid_deployment, _hostile_deployment, _read_deployment),
        Kind("checkpoints", _valid_checkpoint, _hostile_tensors, _read_checkpoint),
    )
}
